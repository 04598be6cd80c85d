"""Held-out negative log likelihood."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scorefold.models import InformedModel, Model, ScoreModel

__all__ = ["HeldOut", "held_out"]


class HeldOut(NamedTuple):
    """Mean NLL over n points, its standard error, and evaluations of the network a point."""

    nll: float
    standard_error: float
    nfe: float
    n: int


def held_out(model: Model, x: Any) -> HeldOut:
    """−(1/n) Σ log p(x_i) in nats with respect to Riemannian volume.

    The standard error is over the points, given the model; it does not cover the choice of split
    or seed. ``nfe`` is 0 for models whose density is closed form.
    """
    if isinstance(model, ScoreModel):
        density = model.density(x)
        values, nfe = np.asarray(density.log_prob, np.float64), float(np.mean(density.nfe))
    else:
        values = np.asarray(model.log_prob(x), np.float64)
        nfe = float(model.evaluations) if isinstance(model, InformedModel) else 0.0
    n = values.size
    error = float(values.std(ddof=1) / math.sqrt(n)) if n > 1 else float("nan")
    return HeldOut(float(-values.mean()), error, nfe, n)
