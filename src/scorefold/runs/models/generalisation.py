"""Total mass, memorisation and generalisation of a fitted model: measured by one function with keys
that depend on the seed of the run alone, shown in text and in pages."""

import jax
import numpy as np

from scorefold._types import Document, NumPyOrJax, ReadOnlyDocument
from scorefold.data import Dataset
from scorefold.metrics import PartWeights, generalisation, total_mass
from scorefold.models import Model

_SAMPLES = 2000
HEADING = ("measure", "value", "of perfect samples", "verdict")
_TITLES = {
    "nearest_ratio": "nearest ratio",
    "copying": "nearer to training points",
    "likelihood_gap": "likelihood gap (nats)",
    "mmd": "MMD²",
    "energy_distance": "energy distance",
    "sliced_wasserstein": "sliced Wasserstein",
    "wasserstein": "Wasserstein",
}


def draw_samples(model: Model, seed: int) -> np.ndarray:
    """Draws for the measures and the pictures of a run, the same for one seed."""
    return np.asarray(model.sample(jax.random.fold_in(jax.random.key(seed), 8), _SAMPLES))


def measured(
    model: Model,
    samples: np.ndarray,
    dataset: Dataset,
    seed: int,
    points: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Document:
    """``metrics.generalisation`` of a model as plain types, against the test points of the run or
    other ``points`` with their ``weights``."""
    usual = points is None
    found = generalisation(
        model.manifold,
        samples,
        dataset.train,
        dataset.test if points is None else points,
        val=dataset.val if usual else None,
        groups=_groups(dataset) if usual else None,
        apart=usual and dataset.protocol == "blocks",
        model=model,
        weights=_weights(dataset, usual, weights),
        key=jax.random.fold_in(jax.random.key(seed), 9),
    )
    return found.to_dict()


def _weights(dataset: Dataset, usual: bool, others: np.ndarray | None) -> PartWeights | None:
    """Of the training points, and of those that samples are compared with."""
    train = dataset.weights_of("train")
    test = dataset.weights_of("test") if usual else others
    if train is None and test is None:
        return None
    return PartWeights(train, test, dataset.weights_of("val") if usual else None)


def _groups(dataset: Dataset) -> tuple[np.ndarray, np.ndarray] | None:
    """Labels of training and held-out rows, where groups were kept together."""
    if dataset.groups is None or dataset.protocol != "grouped":
        return None
    train, val, test = dataset.indices
    labels = np.unique(dataset.groups, return_inverse=True)[1].reshape(-1)
    return labels[train], labels[np.concatenate([test, val])]


def mass_numbers(model: Model, samples: np.ndarray, train: NumPyOrJax, seed: int) -> Document:
    """The total mass as keys of ``metrics.json``: numbers, or null with the reason."""
    mass = total_mass(model, train, jax.random.fold_in(jax.random.key(seed), 7), draws=samples)
    return {
        "normalisation": mass.value,
        "normalisation_error": mass.error,
        "normalisation_how": mass.how,
        "normalisation_reason": mass.reason,
    }


def mass_line(metrics: ReadOnlyDocument) -> str:
    """The total mass in words."""
    value, error = metrics["normalisation"], metrics["normalisation_error"]
    if value is None:
        return f"cannot be measured: {metrics.get('normalisation_reason') or 'no reason given'}"
    how = metrics.get("normalisation_how")
    shown = f"{value:.4f}" + ("" if error is None or error < 5e-5 else f" ± {error:.4f}")
    return f"{shown} ({how})" if how else shown


def generalisation_rows(found: ReadOnlyDocument) -> list[tuple[str, str, str, str]]:
    """(measure, value, value of perfect samples, verdict) for each measure, in words."""
    rows = []
    for name, title in _TITLES.items():
        if name in found:
            parts = found[name]
            rows.append((title, _value(name, parts), _perfect(name, parts), parts["verdict"]))
        elif name in found.get("left_out", {}):
            rows.append((title, "–", "–", f"not measured: {found['left_out'][name]}"))
    return rows


def generalisation_lines(found: ReadOnlyDocument) -> list[str]:
    """One line a measure for a terminal, in columns; those left out are named, not explained."""
    rows = [(*row[:3], row[3].split(":")[0] if row[1] == "–" else row[3])
            for row in generalisation_rows(found)]  # fmt: skip
    table = [HEADING, *rows] if rows else []
    wide = [max(len(row[k]) for row in table) for k in range(3)] if rows else []
    return ["  ".join([*(f"{t:<{w}}" for t, w in zip(row, wide, strict=False)), row[3]])
            for row in table]  # fmt: skip


def _value(name: str, parts: ReadOnlyDocument) -> str:
    if name == "copying":
        c_t = _pair(parts["value"], parts["null_std"])
        return f"{_pair(parts['nearer'], parts['nearer_error'])} (C_T {c_t})"
    return _pair(parts["value"], parts.get("value_std", parts.get("standard_error")))


def _perfect(name: str, parts: ReadOnlyDocument) -> str:
    if name == "nearest_ratio":
        fresh = _pair(parts["fresh"], parts["fresh_error"])
        return f"{fresh} (uniform density: {parts['null']:.3g})"
    if name == "copying":
        return "0.5"
    if name == "wasserstein":
        return _pair(parts["floor"], parts["floor_std"])
    if "null_95" in parts:
        return f"below {parts['null_95']:.3g} (p = {parts['p_value']:.3g})"
    return "0"


def _pair(value: float | None, error: float | None) -> str:
    shown = "–" if value is None else f"{value:.3g}"
    return shown if error is None else f"{shown} ± {error:.2g}"
