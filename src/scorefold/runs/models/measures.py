"""What is measured of every fitted model: a new number is an entry of ``MEASURES``."""

import math
from functools import cached_property

import numpy as np

from scorefold._types import Document, NumPyOrJax
from scorefold._warnings import warn
from scorefold.data import Dataset
from scorefold.metrics import held_out, reference_nll
from scorefold.models import Model
from scorefold.runs.measures import Measure
from scorefold.runs.models.generalisation import draw_samples, mass_numbers, measured

_NOTED = 0.01
"""Share of draws of another sign than all rows, from which on it is said."""


class MeasuredModel:
    """A model beside the data it was fitted to, and draws of it. It is compared with the test
    points, or with ``points`` and their ``weights``. ``dataset``: None where it cannot be read any
    more."""

    def __init__(
        self,
        model: Model,
        dataset: Dataset | None,
        seed: int,
        points: np.ndarray | None = None,
        weights: np.ndarray | None = None,
    ):
        self.model, self.dataset, self.seed, self.points = model, dataset, seed, points
        self.word = "test point" if points is None else "point"
        self.test: NumPyOrJax = self.data.test if points is None else points
        self.weights = self.data.weights_of("test") if points is None else weights
        self.train = self.test if dataset is None else dataset.train
        self.n_test, self.n_val = len(self.test), 0 if dataset is None else len(dataset.val)

    @cached_property
    def draws(self) -> np.ndarray:
        return draw_samples(self.model, self.seed)

    @property
    def data(self) -> Dataset:
        if self.dataset is None:
            raise ValueError("the data of the run are not there")
        return self.dataset


def _test_nll(fitted: MeasuredModel) -> Document:
    return _likelihood(fitted.model, fitted.test, fitted.weights, "test_nll", fitted.word)


def _val_nll(fitted: MeasuredModel) -> Document:
    data = fitted.data
    found = _likelihood(
        fitted.model, data.val, data.weights_of("val"), "val_nll", "validation point"
    )
    return {k: v for k, v in found.items() if not k.startswith("val_nll_standard_error")}


def _likelihood(
    model: Model, points: NumPyOrJax, weights: np.ndarray | None, name: str, what: str
) -> Document:
    """``NAME``, ``NAME_standard_error`` and ``nfe`` of points."""
    found, error = held_out(model, points, weights=weights), f"{name}_standard_error"
    out: Document = {name: found.nll, error: found.standard_error, "nfe": found.nfe}
    if found.n < 2:
        out[f"{error}_reason"] = f"{found.n} {what}"
    elif found.effective <= 1.0:
        out[f"{error}_reason"] = f"one {what} has all the weight"
    if not math.isfinite(found.nll):
        reason = f"log p is not finite at some {what}"
        out |= {name: None, error: None, f"{name}_reason": reason}
    return out


def _reference(fitted: MeasuredModel) -> Document:
    """What a model must beat, and the name of its law."""
    data = fitted.data
    found = reference_nll(
        data.manifold, data.train, data.test,
        train_weights=data.weights_of("train"), weights=data.weights_of("test"),
    )  # fmt: skip
    return {"reference_nll": found.nll, "reference": found.name}


def _mass(fitted: MeasuredModel) -> Document:
    return mass_numbers(fitted.model, fitted.draws, fitted.train, fitted.seed)


def _negative(fitted: MeasuredModel) -> Document:
    """Flat columns of positive numbers, by name, with the share of draws that are negative."""
    data = fitted.data
    flat = [p for part in data.coordinates.parts if part.system == "flat" for p in part.places]
    positive = [p for p in flat if float(data.values[:, p].min()) > 0.0]
    if not positive:
        return {"negative_draws": {}}
    drawn = data.coordinates.to_columns(fitted.draws)
    shares = {data.coordinates.columns[p]: float((drawn[:, p] < 0.0).mean()) for p in positive}
    found = {name: share for name, share in shares.items() if share >= _NOTED}
    if found:
        words = ", ".join(
            f"{100 * share:.2g} % of those of {name!r}" for name, share in found.items()
        )
        warn(f"draws are negative where no row is: {words}. The model knows no bounds: fit the "
             "logarithm of such a column.")  # fmt: skip
    return {"negative_draws": found}


def _generalisation(fitted: MeasuredModel) -> Document:
    found = measured(
        fitted.model, fitted.draws, fitted.data, fitted.seed, fitted.points, fitted.weights
    )
    return {"generalisation": found}


MEASURES: dict[str, Measure[MeasuredModel]] = {
    "validation": Measure(
        "the likelihood of {0.n_val} validation points", ("val_nll", "nfe"), _val_nll, fresh=False
    ),
    "likelihood": Measure(
        "the likelihood of {0.n_test} {0.word}s", ("test_nll", "test_nll_standard_error", "nfe"),
        _test_nll,
    ),
    "reference": Measure(
        "the NLL of a plain law", ("reference_nll", "reference"), _reference, fresh=False
    ),
    "mass": Measure("the total mass", ("normalisation", "normalisation_error"), _mass),
    "negative": Measure(
        "the signs of draws", ("negative_draws",), _negative, fresh=False
    ),
    "generalisation": Measure(
        "memorisation and generalisation", ("generalisation",), _generalisation
    ),
}  # fmt: skip
