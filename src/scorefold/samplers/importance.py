"""Means of weighted draws, with the signs by which one sees that they cannot be trusted."""

import math
from typing import NamedTuple

import numpy as np

_SHAPE = 0.5
_LEAST = 100.0


class Mass(NamedTuple):
    """∫ exp(log_prob) dvol.

    ``value`` ± ``error``: the mass, and one standard error, a difference of rules or a bound, as
    ``how`` says; both None where it cannot be measured, and then ``reason`` says why.
    """

    value: float | None
    error: float | None
    how: str
    reason: str | None = None

    def __str__(self) -> str:
        if self.value is None or self.error is None:
            return f"cannot be measured: {self.reason}"
        shown = f" ± {self.error:.2g}" if self.error >= 5e-7 else ""
        return f"{self.value:.6g}{shown} ({self.how})"


def weighted_mass(log_weights: np.ndarray, how: str = "importance sampling") -> Mass:
    """The mean of w = exp(log_weights), w = p(x)/q(x) at draws x of q, and its standard error.

    The standard error is that of a mean only if w has a second moment and the draws have met the
    large values of w. So the mean is given only if both hold as far as the draws show:

    * the effective number of draws, (Σ w)²/Σ w², is at least 100,
    * the largest weights fall off like a power law of shape k̂ < ½ (``pareto_shape``): from there
      on their variance is infinite and a standard error means nothing.

    What no draw has come near does not show in either.

    Source: Kong 1992 (effective number); Vehtari, Simpson, Gelman, Yao & Gabry 2024 (k̂).
    """
    logs = np.asarray(log_weights, np.float64)
    n = len(logs)
    bad = int(np.sum(np.isnan(logs) | (logs == np.inf)))
    if bad:
        return Mass(None, None, how, f"the density is not finite at {bad} of {n} points drawn")
    top = float(logs.max()) if n else -math.inf
    if top == -math.inf:
        return Mass(None, None, how, f"the density is 0 at all {n} points drawn")
    w = np.exp(logs - top)
    effective = float(w.sum() ** 2 / np.sum(w * w))
    shape = pareto_shape(w)
    if effective < _LEAST:
        reason = (
            f"of {n} points drawn {effective:.0f} carry the weight (effective number), and "
            f"{_LEAST:.0f} are needed"
        )
        return Mass(None, None, how, reason)
    if shape >= _SHAPE:
        reason = (
            f"the largest of {n} weights have too heavy a tail for a mean (Pareto shape "
            f"{shape:.2f}; below {_SHAPE} there is a standard error)"
        )
        return Mass(None, None, how, reason)
    scale = math.exp(min(top, 700.0))
    error = scale * float(w.std(ddof=1)) / math.sqrt(n)
    return Mass(scale * float(w.mean()), error, f"{how}, {effective:.0f} effective of {n} draws")


def pareto_shape(weights: np.ndarray) -> float:
    """k̂ of the generalised Pareto law 1 − (1 + kx/σ)^{−1/k} of the excesses of the largest
    min(n/5, 3√n) weights over the next: moments of order below 1/k exist. −∞ if all of these are
    equal or there are fewer than five.

    Source: Zhang & Stephens 2009 (the posterior mean of θ = −k/σ over a grid), with their prior
    and the ten pseudo-observations of k = ½ of Vehtari et al. 2024.
    """
    w = np.sort(np.asarray(weights, np.float64))
    m = int(min(len(w) / 5.0, 3.0 * math.sqrt(len(w))))
    if m < 5:
        return -math.inf
    x = w[-m:] - w[-m - 1]
    if not x[0] >= 0 or not x[-1] > 0:
        return -math.inf
    x = np.maximum(x / x[-1], 1e-300)
    quarter = x[max(int(m / 4 + 0.5) - 1, 0)]
    grid = 30 + int(math.sqrt(m))
    steps = 1.0 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    theta = 1.0 + steps / (3.0 * max(quarter, 1e-12))
    theta = theta[theta != 0]
    each = np.mean(np.log1p(-theta[:, None] * x[None]), axis=1)
    likelihood = m * (np.log(-theta / each) - each - 1.0)
    share = np.exp(likelihood - likelihood.max())
    best = float(np.sum(theta * share) / np.sum(share))
    shape = float(np.mean(np.log1p(-best * x)))
    return (m * shape + 5.0) / (m + 10.0)
