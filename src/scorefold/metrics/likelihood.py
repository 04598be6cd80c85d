"""Held-out negative log likelihood."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._foreign import plain
from scorefold._types import Values
from scorefold._weights import counted, effective_number, rows_that_count
from scorefold.models import Model


class HeldOut(NamedTuple):
    """Mean NLL over n points, its standard error (None for one point, and where the density of a
    point is 0), and evaluations of the network a point; ``effective``: the number of points of
    equal weight that they are worth, n without weights."""

    nll: float
    standard_error: float | None
    nfe: float
    n: int
    effective: float


def held_out(model: Model, x: Values, *, weights: Values | None = None) -> HeldOut:
    """−Σ w_i log p(x_i)/Σ w_i in nats with respect to Riemannian volume, w_i = 1 without weights.

    The standard error is over the points, given the model; it does not cover the choice of split
    or seed. ``nfe`` is 0 for models whose density is closed form.

    **Weights** w: of the points, ≥ 0. The standard error is that of n* = (Σw)²/Σw² points,
    √(Σ w (l − l̄)²/(Σw (n* − 1))) for l = log p, and that of n points where all are alike.
    **Raises:** ``ValueError`` for weights that are none.
    """
    if weights is not None:
        x = np.asarray(plain("x", x))
        kept, w = rows_that_count("weights", weights, len(x))
        x = counted(x, kept)
        if w is not None:
            return _weighted(model, x, w)
    log_prob, nfe = model.log_prob_and_nfe(x)
    values = np.asarray(log_prob, np.float64)
    n = values.size
    error = None
    if n > 1 and np.isfinite(values).all():
        error = float(values.std(ddof=1) / math.sqrt(n))
    return HeldOut(float(-values.mean()), error, nfe, n, float(n))


def _weighted(model: Model, x: np.ndarray, weights: np.ndarray) -> HeldOut:
    log_prob, nfe = model.log_prob_and_nfe(x)
    values, effective = np.asarray(log_prob, np.float64), effective_number(weights)
    middle, error = np.average(values, weights=weights), None
    if effective > 1.0 and np.isfinite(values).all():
        spread = np.average((values - middle) ** 2, weights=weights)
        error = float(math.sqrt(spread / (effective - 1.0)))
    return HeldOut(float(-middle), error, nfe, values.size, effective)
