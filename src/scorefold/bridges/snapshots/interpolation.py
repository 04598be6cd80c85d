"""Interpolation of snapshots along geodesics: what a bridge through them is compared with."""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Point, Values
from scorefold.bridges._base import brownian_reference
from scorefold.bridges.exact.transport import transport
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.reference.integrated import check_times
from scorefold.bridges.reference.pinned import pinned_walk
from scorefold.bridges.units import BridgeUnits
from scorefold.manifolds import Manifold, pairwise

_STEPS = 40


class SnapshotInterpolation(eqx.Module):
    """Pairs (x, y) of points of consecutive snapshots and the path between them: the geodesic
    exp_x(τ log_x y), or with ``rate`` > 0 Brownian motion of that variance per unit of time,
    pinned at both. ``pairs``: x and y of each interval, shapes ``(n, *shape)``."""

    manifold: Manifold
    times: tuple[float, ...]
    rate: float
    pairs: tuple[tuple[np.ndarray | Array, np.ndarray | Array], ...] = fixed()

    def sample_at(self, key: Key, t: float, n: int) -> Array:
        """n draws at time t, shape ``(n, *shape)``; each pair is used ⌊n/m⌋ or ⌈n/m⌉ times.

        **Raises:** ``ValueError`` for t outside the snapshots."""
        if not self.times[0] <= t <= self.times[-1]:
            raise ValueError(
                f"t: {t:g} is outside the snapshots, {self.times[0]:g} to {self.times[-1]:g}."
            )
        k = min(max(int(np.searchsorted(self.times, t)) - 1, 0), len(self.pairs) - 1)
        gap = self.times[k + 1] - self.times[k]
        # Each end around its own mean, as everywhere: paths between far points keep their digits.
        reference = brownian_reference(self.manifold, gap)
        units, (first, last) = BridgeUnits.of(reference, *self.pairs[k]), self.pairs[k]
        if units is None:
            x, y = jnp.asarray(first), jnp.asarray(last)
        else:
            units = BridgeUnits(1.0, units.start, units.end)
            x = units.enter(reference, first, 0.0, "pairs")
            y = units.enter(reference, last, gap, "pairs")
        part = jnp.asarray((t - self.times[k]) / gap, x.dtype)
        order, noise = jax.random.split(key)
        rows = jnp.tile(jax.random.permutation(order, len(x)), -(-n // len(x)))[:n]
        if self.rate == 0.0 or not self.times[k] < t < self.times[k + 1]:
            found = _along(self.manifold, x[rows], y[rows], part)
        else:
            keys = jax.random.split(noise, n)
            found = _pinned(self.manifold, self.rate * gap, keys, x[rows], y[rows], part)
        if units is None:
            return found
        return jnp.asarray(units.leave(reference, found, t - self.times[k]), found.dtype)


def interpolate_snapshots(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    pairing: Literal["optimal", "random", "entropic"] = "optimal",
    rate: float = 0.0,
) -> SnapshotInterpolation:
    """Pairs of points of consecutive snapshots, joined.

    ``pairing``: ``"optimal"``, the assignment with the least Σ r²: McCann's displacement
    interpolation; ``"random"``, independent pairs; ``"entropic"``, drawn from ``transport`` with
    the Brownian motion of variance ``rate`` per unit of time, one partner for each point. The
    smaller snapshot is repeated until it has as many points as the larger.

    **Raises:** ``ValueError`` for another pairing, ``"entropic"`` without a rate, times that do
    not increase, and arrays that are not points.

    Source: McCann 2001 (polar factorisation of maps on Riemannian manifolds).
    """
    if pairing not in ("optimal", "random", "entropic"):
        raise ValueError(f'pairing must be "optimal", "random" or "entropic", got {pairing!r}.')
    if pairing == "entropic" and not rate > 0:
        raise ValueError("rate: entropic pairs need a positive variance per unit of time.")
    at = check_times(times)
    rows = [exact_rows(manifold, x, f"points[{k}]") for k, x in enumerate(points)]
    pairs = []
    for k, gap in enumerate(np.diff(at)):
        first, second, third = jax.random.split(jax.random.fold_in(key, k), 3)
        n = max(len(rows[k]), len(rows[k + 1]))
        x, y = _repeated(first, rows[k], n), _repeated(second, rows[k + 1], n)
        if pairing == "optimal":
            from scipy.optimize import linear_sum_assignment

            i, j = linear_sum_assignment(pairwise(manifold, x, y) ** 2)
            x, y = x[i], y[j]
        elif pairing == "entropic":
            reference = brownian_reference(manifold, rate * float(gap))
            # Partners are drawn: an error of a hundredth in the marginals is below that of draws.
            plan = transport(reference, x, y, tolerance=1e-2, max_iterations=1000)
            y = y[np.asarray(plan.sample_targets(third, np.arange(n)))]
        pairs.append((x, y))
    return SnapshotInterpolation(manifold, tuple(map(float, at)), float(rate), tuple(pairs))


def _repeated(key: Key, rows: NumPyOrJax, n: int) -> NumPyOrJax:
    order = np.asarray(jax.random.permutation(key, len(rows)))
    return rows[np.tile(order, -(-n // len(rows)))[:n]]


@eqx.filter_jit
def _along(manifold: Manifold, x: Array, y: Array, part: Array) -> Array:
    def one(p: Point, q: Point) -> Point:
        return manifold.exp(p, part * manifold.log(p, q))

    return jax.vmap(one)(x, y)


@eqx.filter_jit
def _pinned(
    manifold: Manifold, total: float, keys: Array, x: Array, y: Array, part: Array
) -> Array:
    reference = brownian_reference(manifold, total)
    # Levels up to the time asked for, then on to the end.
    ahead = jnp.linspace(0.0, 1.0, _STEPS + 1, dtype=x.dtype)
    grid = jnp.concatenate([part * ahead, part + (1.0 - part) * ahead[1:]]) * total

    def one(key: Key, p: Point, q: Point) -> Point:
        return pinned_walk(reference, key, p, q, grid)[_STEPS]

    return jax.vmap(one)(keys, x, y)
