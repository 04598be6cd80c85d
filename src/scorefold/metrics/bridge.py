"""How well a bridge meets its ends, and what its paths cost."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges import Bridge
from scorefold.manifolds import Manifold
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._draws import generator
from scorefold.metrics.wasserstein import transport_distance

__all__ = ["EndDistance", "PathEnergy", "end_distance", "path_energy"]


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


class PathEnergy(NamedTuple):
    """``value`` ± ``standard_error``, in nats, over ``n`` starting points."""

    value: float
    standard_error: float
    n: int


def end_distance(
    manifold: Manifold,
    bridged: Any,
    held_out: Any,
    fresh: Any,
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
    sets = [
        rows_of(manifold, name, rows)
        for name, rows in (("bridged", bridged), ("fresh", fresh), ("held_out", held_out))
    ]
    n = min(*(len(rows) for rows in sets), at_most)
    rng = generator(key)
    found = []
    for _ in range(repeats):
        mine, other, held = (rows[rng.permutation(len(rows))[:n]] for rows in sets)
        found.append([transport_distance(manifold, rows, held, order) for rows in (mine, other)])
    values = np.asarray(found)
    ratio = values[:, 0] / np.where(values[:, 1] > 0, values[:, 1], np.nan)
    spread = float(np.std(ratio, ddof=1)) if repeats > 1 else math.nan
    value, floor = values.mean(axis=0)
    return EndDistance(float(value), float(floor), spread, order, n, repeats)


def path_energy(bridge: Bridge, x0: Any, *, key: Key, steps: int = 100) -> PathEnergy:
    """E ∫₀^S ½|∇ log ψ_s(X_s)|² ds over paths of the bridge from the points ``x0``, in nats: by
    Girsanov's theorem the KL divergence from the reference process started at the same points.
    With a constant clock β, E ∫₀¹ |u_t|² dt of the drift u = β∇ log ψ is 2β times it.

    Left sums over simulated paths at the levels ``bridge.grid(steps)``: biased by O(1/steps).
    """
    paths = bridge.sample_forward(key, x0, steps=steps, paths=True)
    grid = bridge.grid(steps, paths.dtype)
    each = np.asarray(_energies(bridge, paths, grid), np.float64)
    error = float(each.std(ddof=1) / math.sqrt(len(each))) if len(each) > 1 else math.nan
    return PathEnergy(float(each.mean()), error, len(each))


@eqx.filter_jit
def _energies(bridge: Bridge, paths: Array, grid: Array) -> Array:
    manifold = bridge.manifold

    def one(path: Array) -> Scalar:
        def step(total: Scalar, inputs: tuple[Point, Scalar, Scalar]) -> tuple[Scalar, None]:
            x, s, ds = inputs
            u = bridge.forward(x, s)
            return total + 0.5 * ds * manifold.inner(x, u, u), None

        start = jnp.zeros((), grid.dtype)
        return jax.lax.scan(step, start, (path[:-1], grid[:-1], jnp.diff(grid)))[0]

    return jax.lax.map(one, paths, batch_size=64)
