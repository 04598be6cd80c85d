"""Held-out negative log likelihood."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scorefold.models import FittedInformedModel, FittedScoreModel, Model

__all__ = ["HeldOut", "held_out", "log_densities"]


class HeldOut(NamedTuple):
    """Mean NLL over n points, its standard error (None for one point, and where the density of a
    point is 0), and evaluations of the network a point."""

    nll: float
    standard_error: float | None
    nfe: float
    n: int


def held_out(model: Model, x: Any) -> HeldOut:
    """−(1/n) Σ log p(x_i) in nats with respect to Riemannian volume.

    The standard error is over the points, given the model; it does not cover the choice of split
    or seed. ``nfe`` is 0 for models whose density is closed form.
    """
    values, nfe = log_densities(model, x)
    n = values.size
    error = None
    if n > 1 and np.isfinite(values).all():
        error = float(values.std(ddof=1) / math.sqrt(n))
    return HeldOut(float(-values.mean()), error, nfe, n)


def log_densities(model: Model, x: Any) -> tuple[np.ndarray, float]:
    """log p at each point, float64, and the evaluations of the network that one takes."""
    if isinstance(model, FittedScoreModel):
        density = model.density(x)
        return np.asarray(density.log_prob, np.float64), float(np.mean(density.nfe))
    nfe = float(model.evaluations) if isinstance(model, FittedInformedModel) else 0.0
    return np.asarray(model.log_prob(x), np.float64), nfe
