"""What curves tend to, and the numbers that sentences are made of."""

from collections.abc import Sequence

import numpy as np

from scorefold.bench.contract import Measurement
from scorefold.bench.theory.orders import order, rate

Curve = Sequence[float]
_LAST = 3
"""Points of a sweep, of which the last is nearest to the limit, that are fitted."""


def last_order(x: Curve, y: Curve) -> float:
    """a of y ≈ c x^a over the last three points."""
    return order(np.asarray(x[-_LAST:]), np.asarray(y[-_LAST:]))


def last_rate(x: Curve, y: Curve) -> float:
    """a of y ≈ c e^{−ax} over the last three points."""
    return rate(np.asarray(x[-_LAST:]), np.asarray(y[-_LAST:]))


def limit(x: Curve, y: Curve) -> float:
    """lim_{x→0} y of y ≈ a + bx, by the line through the two smallest x."""
    (x0, y0), (x1, y1) = sorted(zip(x, y, strict=True))[:2]
    return float(y0 - x0 * (y1 - y0) / (x1 - x0))


def numbers(found: Measurement) -> dict[str, float]:
    """The values that could be measured."""
    return {name: value for name, value in found.values.items() if value is not None}
