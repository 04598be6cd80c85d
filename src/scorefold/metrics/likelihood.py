"""Held-out negative log likelihood."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.models import Model


class HeldOut(NamedTuple):
    """Mean NLL over n points, its standard error (None for one point, and where the density of a
    point is 0), and evaluations of the network a point."""

    nll: float
    standard_error: float | None
    nfe: float
    n: int


def held_out(model: Model, x: Values) -> HeldOut:
    """−(1/n) Σ log p(x_i) in nats with respect to Riemannian volume.

    The standard error is over the points, given the model; it does not cover the choice of split
    or seed. ``nfe`` is 0 for models whose density is closed form.
    """
    log_prob, nfe = model.log_prob_and_nfe(x)
    values = np.asarray(log_prob, np.float64)
    n = values.size
    error = None
    if n > 1 and np.isfinite(values).all():
        error = float(values.std(ddof=1) / math.sqrt(n))
    return HeldOut(float(-values.mean()), error, nfe, n)
