"""Memorisation and generalisation of a fitted model: measured once, shown in text and in pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from scorefold.metrics import generalisation
from scorefold.models import Model

__all__ = ["HEADING", "draw_samples", "generalisation_lines", "generalisation_rows", "measured"]

_SAMPLES = 2000
HEADING = ("measure", "value", "of perfect samples", "verdict")
_TITLES = {
    "nearest_ratio": "nearest ratio",
    "copying": "copying, C_T",
    "likelihood_gap": "likelihood gap (nats)",
    "mmd": "MMD²",
    "energy_distance": "energy distance",
    "sliced_wasserstein": "sliced Wasserstein",
    "wasserstein": "Wasserstein",
}


def draw_samples(model: Model, seed: int) -> np.ndarray:
    """The draws that a run is judged by and that its pictures show, the same for one seed."""
    return np.asarray(model.sample(jax.random.fold_in(jax.random.key(seed), 8), _SAMPLES))


def measured(model: Model, samples: np.ndarray, train: Any, test: Any, seed: int) -> dict[str, Any]:
    """``metrics.generalisation`` of a model as plain types."""
    key = jax.random.fold_in(jax.random.key(seed), 9)
    found = generalisation(model.manifold, samples, train, test, model=model, key=key)
    return found.to_dict()


def generalisation_rows(found: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """(measure, value, value of perfect samples, verdict) for each measure, in words."""
    rows = []
    for name, title in _TITLES.items():
        if name in found:
            parts = found[name]
            rows.append((title, _value(name, parts), _perfect(name, parts), parts["verdict"]))
        elif name in found.get("left_out", {}):
            rows.append((title, "–", "–", f"not measured: {found['left_out'][name]}"))
    return rows


def generalisation_lines(found: Mapping[str, Any]) -> list[str]:
    """One line a measure for a terminal, in columns; those left out are named, not explained."""
    rows = [(*row[:3], row[3].split(":")[0] if row[1] == "–" else row[3])
            for row in generalisation_rows(found)]  # fmt: skip
    table = [HEADING, *rows] if rows else []
    wide = [max(len(row[k]) for row in table) for k in range(3)] if rows else []
    return ["  ".join([*(f"{t:<{w}}" for t, w in zip(row, wide, strict=False)), row[3]])
            for row in table]  # fmt: skip


def _value(name: str, parts: Mapping[str, Any]) -> str:
    errors = {"copying": "null_std", "wasserstein": "value_std"}
    return _pair(parts["value"], parts.get(errors.get(name, "standard_error")))


def _perfect(name: str, parts: Mapping[str, Any]) -> str:
    if name == "nearest_ratio":
        fresh = _pair(parts["fresh"], parts["fresh_error"])
        return f"{fresh} (uniform density: {parts['null']:.3g})"
    if name == "wasserstein":
        return _pair(parts["floor"], parts["floor_std"])
    if "null_95" in parts:
        return f"below {parts['null_95']:.3g} (p = {parts['p_value']:.3g})"
    return "0"


def _pair(value: float | None, error: float | None) -> str:
    shown = "–" if value is None else f"{value:.3g}"
    return shown if error is None else f"{shown} ± {error:.2g}"
