"""How much more likely training points are than fresh ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from scorefold.metrics.likelihood import held_out
from scorefold.models import Model

__all__ = ["LikelihoodGap", "likelihood_gap"]


class LikelihoodGap(NamedTuple):
    """``value`` ± ``standard_error`` = ``test_nll`` − ``train_nll``, in nats; 0 is its null."""

    value: float
    standard_error: float
    train_nll: float
    test_nll: float
    n_train: int
    n_test: int

    @property
    def verdict(self) -> str:
        if not math.isfinite(self.value):
            return "test points outside the model's support"
        if self.value > 3 * self.standard_error:
            return f"training points more likely by {self.value:.3g} nats"
        return "consistent with fresh data"


def likelihood_gap(train: Any, test: Any, *, model: Model | None = None) -> LikelihoodGap:
    """Mean log p over training points minus mean log p over test points, in nats.

    **Arguments:** ``train``, ``test``: points for ``model.log_prob``; without ``model``, their
    log densities, one number a point.
    The standard error √(v_train/n + v_test/m) treats both as independent draws given the model.
    A gap of a model that stores training points grows without bound as its kernels narrow; a gap
    of 0 within error is what a law that does not depend on the training points has.
    **Raises:** ``ValueError`` if log densities are NaN, or are not one number a point.
    """
    parts = []
    for name, values in (("train", train), ("test", test)):
        if model is not None:
            found = held_out(model, values)
            parts.append((found.nll, found.standard_error, found.n))
            continue
        log_prob = np.asarray(values, np.float64)
        if log_prob.ndim != 1 or len(log_prob) == 0:
            raise ValueError(
                f"{name}: needs one log density a point, got shape {log_prob.shape}; "
                "pass model= with points."
            )
        if np.isnan(log_prob).any():
            raise ValueError(f"{name}: {np.isnan(log_prob).sum()} log densities are NaN.")
        n = len(log_prob)
        finite = bool(np.isfinite(log_prob).all())
        error = log_prob.std(ddof=1) / math.sqrt(n) if n > 1 and finite else math.nan
        parts.append((float(-log_prob.mean()), float(error), n))
    (low, low_error, n), (high, high_error, m) = parts
    return LikelihoodGap(high - low, math.hypot(low_error, high_error), low, high, n, m)
