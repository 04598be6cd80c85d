"""How much more likely training points are than fresh ones."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._types import Values
from scorefold.metrics._verdicts import FRESH, UNTOLD
from scorefold.models import Model


class LikelihoodGap(NamedTuple):
    """``value`` ± ``standard_error`` = ``test_nll`` − ``train_nll``, in nats; 0 is its null.
    ``z``: the normal deviate of the same probability as value/standard_error has by Student's law
    with Welch's degrees of freedom. The error and z are None where either part is one point, and
    where a density is 0; the value too where both parts have such points."""

    value: float | None
    standard_error: float | None
    z: float | None
    train_nll: float
    test_nll: float
    n_train: int
    n_test: int

    @property
    def verdict(self) -> str:
        for nll, part in ((self.test_nll, "test"), (self.train_nll, "training")):
            if not math.isfinite(nll):
                return f"{part} points outside the model's support"
        if self.z is None:
            return UNTOLD
        if self.z > 3:
            return f"training points more likely by {self.value:.3g} nats"
        return FRESH


def likelihood_gap(train: Values, test: Values, *, model: Model | None = None) -> LikelihoodGap:
    """Mean log p over training points minus mean log p over test points, in nats.

    **Arguments:** ``train``, ``test``: points for ``model.log_prob``; without ``model``, their
    log densities, one number a point.
    The standard error √(v_train/n + v_test/m) treats both as independent draws given the model;
    equal points count as one draw, repeated.
    A gap of a model that stores training points grows without bound as its kernels narrow; a gap
    of 0 within error is what a law that does not depend on the training points has.
    **Raises:** ``ValueError`` if log densities are NaN, or are not one number a point.
    """
    parts = [_part(name, values, model) for name, values in (("train", train), ("test", test))]
    (low, v, freedom_v, n), (high, w, freedom_w, m) = parts
    if not math.isfinite(low) or not math.isfinite(high):
        both = not math.isfinite(low) and not math.isfinite(high)
        return LikelihoodGap(None if both else high - low, None, None, low, high, n, m)
    if v is None or w is None:
        return LikelihoodGap(high - low, None, None, low, high, n, m)
    from scipy import stats

    error = math.sqrt(v + w)
    z = 0.0
    if error > 0:
        freedom = (v + w) ** 2 / (v * v / freedom_v + w * w / freedom_w)
        z = float(-stats.norm.ppf(stats.t.sf((high - low) / error, freedom)))
    elif high != low:
        z = math.copysign(40.0, high - low)
    return LikelihoodGap(high - low, error, float(np.clip(z, -40.0, 40.0)), low, high, n, m)


def _part(name: str, values: Values, model: Model | None) -> tuple[float, float | None, int, int]:
    """(NLL, variance of the mean or None, degrees of freedom, number of points)."""
    if model is not None:
        log_prob = np.asarray(model.log_prob(values), np.float64)
        rows = np.asarray(values).reshape(log_prob.size, -1)
        draw = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
        log_prob = log_prob.reshape(-1)
    else:
        log_prob = np.asarray(values, np.float64)
        draw = np.arange(len(log_prob) if log_prob.ndim else 0)
    if log_prob.ndim != 1 or len(log_prob) == 0:
        raise ValueError(
            f"{name}: needs one log density a point, got shape {log_prob.shape}; "
            "pass model= with points."
        )
    if np.isnan(log_prob).any():
        raise ValueError(f"{name}: {np.isnan(log_prob).sum()} log densities are NaN.")
    n, nll = len(log_prob), float(-log_prob.mean())
    draws = int(draw.max()) + 1
    if draws < 2 or not np.isfinite(log_prob).all():
        return nll, None, 0, n
    sums = np.bincount(draw, log_prob + nll)
    return nll, float(draws / (draws - 1) * np.sum(sums**2)) / n**2, draws - 1, n
