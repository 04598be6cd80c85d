"""The numbers of a fitted model: each measured behind a guard, once, and never estimated again."""

from __future__ import annotations

import argparse
import math
import shlex
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
import numpy as np

from scorefold import ScorefoldWarning
from scorefold._fixed import trainable
from scorefold._provenance import provenance
from scorefold.cli.notices import one_line, say
from scorefold.data import Dataset
from scorefold.fitting import History
from scorefold.metrics import held_out, reference_nll
from scorefold.models import KernelModel, Model
from scorefold.runs.folder import Run
from scorefold.runs.models.generalisation import draw_samples, mass_numbers, measured

__all__ = [
    "Measures",
    "doing",
    "measure_run",
    "take_draws",
    "take_generalisation",
    "take_likelihood",
    "take_mass",
    "take_reference",
]

_PATIENCE = 3.0


@contextmanager
def doing(what: str, quiet: bool = False) -> Iterator[None]:
    """Say on stderr what takes long, once it takes longer than three seconds."""
    timer = threading.Timer(_PATIENCE, lambda: None if quiet else say(f"{what} …"))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Measures:
    """Numbers by name. One that cannot be had is None; ``NAME_reason`` says why, and a warning."""

    def __init__(self, quiet: bool = False) -> None:
        self.found: dict[str, Any] = {}
        self.quiet = quiet

    def take(self, what: str, names: tuple[str, ...], measure: Callable[[], Any]) -> Any:
        """Put what ``measure()`` returns, a dictionary with these names, among the numbers."""
        try:
            with doing(f"measuring {what}", self.quiet):
                self.found |= measure()
        except Exception as error:
            # Whatever it is, a model that was trained is worth more than this number.
            reason = one_line(f"{type(error).__name__}: {error}")
            self.found |= dict.fromkeys(names)
            self.found[f"{names[0]}_reason"] = reason
            warnings.warn(f"{what} could not be measured: {reason}", ScorefoldWarning, stacklevel=2)
        return self.found.get(names[0])


def take_likelihood(measures: Measures, model: Model, points: Any, name: str, what: str) -> None:
    """``NAME``, ``NAME_standard_error`` and ``nfe`` of points."""

    def measure() -> dict[str, Any]:
        found = held_out(model, points)
        out: dict[str, Any] = {name: found.nll}
        error = f"{name}_standard_error"
        out[error] = found.standard_error
        if found.n < 2:
            out[f"{error}_reason"] = f"{found.n} {what}"
        if not math.isfinite(found.nll):
            out |= {
                name: None,
                error: None,
                f"{name}_reason": f"log p is not finite at some {what}",
            }
        return {**out, "nfe": found.nfe}

    measures.take(f"the likelihood of {len(points)} {what}s",
                  (name, f"{name}_standard_error", "nfe"), measure)  # fmt: skip


def take_draws(measures: Measures, model: Model, seed: int) -> np.ndarray | None:
    """The draws that a run is judged by, or None where there are none to be had."""
    return measures.take("draws", ("draws",), lambda: {"draws": draw_samples(model, seed)})


def take_reference(measures: Measures, dataset: Dataset) -> None:
    """``reference_nll``, what a model must beat, and ``reference``, the name of its law."""

    def measure() -> dict[str, Any]:
        found = reference_nll(dataset.manifold, dataset.train, dataset.test)
        return {"reference_nll": found.nll, "reference": found.name}

    measures.take("the NLL of a plain law", ("reference_nll", "reference"), measure)


def take_mass(
    measures: Measures, model: Model, samples: np.ndarray | None, train: Any, seed: int
) -> None:
    """``normalisation``, ``normalisation_error``, and how they were come by."""

    def measure() -> dict[str, Any]:
        if samples is None:
            raise ValueError("there are no draws to measure with")
        return mass_numbers(model, samples, train, seed)

    measures.take("the total mass", ("normalisation", "normalisation_error"), measure)


def take_generalisation(
    measures: Measures,
    model: Model,
    samples: np.ndarray | None,
    dataset: Dataset,
    seed: int,
    points: Any = None,
) -> None:
    """``generalisation``, against the test points of the run or other ``points``."""

    def measure() -> dict[str, Any]:
        if samples is None:
            raise ValueError("there are no draws to judge")
        return {"generalisation": measured(model, samples, dataset, seed, points)}

    measures.take("memorisation and generalisation", ("generalisation",), measure)


def measure_run(
    arguments: argparse.Namespace,
    run: Run,
    dataset: Dataset,
    name: str,
    model: Model,
    history: History,
) -> tuple[dict[str, Any], np.ndarray | None]:
    """The document of ``metrics.json``, and the draws it was measured on."""
    started, seed = time.perf_counter(), dataset.seed
    measures = Measures(arguments.quiet)
    take_likelihood(measures, model, dataset.val, "val_nll", "validation point")
    for key in ("val_nll_standard_error", "val_nll_standard_error_reason"):
        measures.found.pop(key, None)
    take_likelihood(measures, model, dataset.test, "test_nll", "test point")
    take_reference(measures, dataset)
    samples = take_draws(measures, model, seed)
    measures.found.pop("draws", None)
    take_mass(measures, model, samples, dataset.train, seed)
    take_generalisation(measures, model, samples, dataset, seed)
    more = {}
    if isinstance(model, KernelModel) and model.covariance is not None:
        more["floor"] = float(model.covariance.floor)
    params = jax.tree.leaves(eqx.filter(model, trainable(model)))
    document = {
        "model": name,
        "dataset": dataset.name,
        "manifold": dataset.manifold.name,
        "protocol": dataset.protocol,
        "seed": seed,
        "n_train": len(dataset.train),
        "n_val": len(dataset.val),
        "n_test": len(dataset.test),
        **measures.found,
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped": history.stopped,
        "train_seconds": history.seconds - history.compile_seconds,
        "compile_seconds": history.compile_seconds,
        "evaluate_seconds": time.perf_counter() - started,
        "params": sum(int(p.size) for p in params),
        **more,
        "warnings": list(arguments.notices.lines),
        "model_sha256": run.model_digest(),
        "command": "scorefold " + shlex.join(sys.argv[1:]),
        **provenance(),
    }
    return document, samples
