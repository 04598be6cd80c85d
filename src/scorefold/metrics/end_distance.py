"""How well a bridge meets its ends."""

import math
from typing import NamedTuple

import numpy as np

from scorefold._types import Key, Values
from scorefold.manifolds import Manifold
from scorefold.metrics._draws import generator, points_of
from scorefold.metrics.wasserstein import transport_distance


class EndDistance(NamedTuple):
    """``value``: W_p between n bridged points and n held-out points of the end that they should
    reach. ``floor``: W_p between n fresh points of that end and the same held-out points.
    ``ratio_std``: standard deviation of value/floor over ``repeats`` draws of the n points."""

    value: float
    floor: float
    ratio_std: float
    order: int
    n: int
    repeats: int

    @property
    def ratio(self) -> float:
        return self.value / self.floor if self.floor else math.inf


def end_distance(
    manifold: Manifold,
    bridged: Values,
    held_out: Values,
    fresh: Values,
    *,
    key: Key,
    order: int = 1,
    at_most: int = 500,
    repeats: int = 8,
) -> EndDistance:
    """W_p(bridged, held out) beside W_p(fresh, held out), p = ``order``, with geodesic cost.

    Two finite samples of one law are not at distance 0, and a set of held-out points has a draw of
    its own that both distances share. So a perfect bridge has ratio 1 up to the noise of the draws.

    **Arguments:** points, shapes ``(·, *manifold.shape)``; ``fresh``: other points of the end, for
    example those of training; n = min(sizes, ``at_most``).
    """
    sets = points_of(manifold, bridged=bridged, fresh=fresh, held_out=held_out)
    n = min(*map(len, sets), at_most)
    rng = generator(key)
    values = np.empty((repeats, 2))
    for row in values:
        mine, other, held = (rows[rng.permutation(len(rows))[:n]] for rows in sets)
        row[:] = [transport_distance(manifold, rows, held, order) for rows in (mine, other)]
    ratio = values[:, 0] / np.where(values[:, 1] > 0, values[:, 1], np.nan)
    spread = float(np.std(ratio, ddof=1)) if repeats > 1 else math.nan
    value, floor = values.mean(axis=0)
    return EndDistance(float(value), float(floor), spread, order, n, repeats)
