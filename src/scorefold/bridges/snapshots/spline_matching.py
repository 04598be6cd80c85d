"""Which point of one snapshot became which point of the next: matchings of least bending."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, NumPyOrJax
from scorefold.bridges.snapshots.splines import SplineClock, spline_energy
from scorefold.manifolds import Manifold, pairwise


def match(manifold: Manifold, clock: SplineClock, cloud: Array, rounds: int = 50) -> np.ndarray:
    """A matching whose total spline energy no exchange at one snapshot, and none of ends at one
    cut, can lower. It starts from assignments of least squared distance, snapshot by snapshot, of
    the points themselves or of where the paths would go on to: whichever bends less in all.

    **Arguments:** ``cloud``: shape (K + 1, n, *shape).
    **Returns:** shape (n, K + 1): row i holds the point of each snapshot that path i visits.
    """
    from scipy.optimize import linear_sum_assignment

    count = len(cloud)
    starts = [_assigned(manifold, clock, cloud, ahead) for ahead in (False, True)]
    if count < 3:
        return starts[0]
    values = [_total(manifold, clock, cloud, index) for index in starts]
    index, best = starts[int(np.argmin(values))], min(values)
    for _ in range(rounds):
        for k in range(count):
            for other in (np.arange(count) == k, np.arange(count) >= k)[: 1 + (k > 0)]:
                costs = _crossed(manifold, clock, joined(cloud, index), jnp.asarray(other))
                donor = linear_sum_assignment(np.asarray(costs))[1]
                index = np.where(other[None, :], index[donor], index)
        energy = _total(manifold, clock, cloud, index)
        if not energy < best * (1.0 - 1e-6):
            break
        best = energy
    return index


@eqx.filter_jit
def heat_matching(
    manifold: Manifold,
    clock: SplineClock,
    cloud: Array,
    index: Array,
    epsilon: float,
    key: Key,
    sweeps: int,
) -> Array:
    """Draws a matching from P ∝ exp(−Σ E/2ε), started from ``index``, by Metropolis sweeps.

    A sweep takes one snapshot, pairs its points (neighbours along a random direction, or at
    random; the pairing does not look at the paths, so it is its own reverse), and for all pairs
    at once proposes to exchange the two points, or the two ends from there on. Pairs share no
    path, so each is accepted by itself with probability min(1, e^{−ΔE/2ε}).
    """
    count, n = cloud.shape[:2]
    flat = cloud.reshape(count, n, -1)
    half = n // 2
    scale = jnp.asarray(0.5 / epsilon, cloud.dtype)

    def energies(index):
        knots = jax.vmap(lambda row: jax.vmap(lambda c, i: c[i])(cloud, row))(index)
        return jax.vmap(lambda path: spline_energy(manifold, clock, path))(knots)

    def sweep(state, k):
        index, energy = state
        which, way, kind, line, offset, coin = jax.random.split(k, 6)
        at = jax.random.randint(which, (), 0, count)
        direction = jax.random.normal(line, (flat.shape[2],), flat.dtype)
        along = jnp.matmul(flat[at], direction)
        mixed = jax.random.uniform(offset, (n,), flat.dtype)
        near = jax.random.bernoulli(way)
        order = jnp.argsort(jnp.where(near, along, mixed))
        order = jnp.roll(order, jnp.where(mixed[0] < 0.5, 0, 1))
        holder = jnp.argsort(index[:, at])  # the path that visits each point
        rows = holder[order]
        first, second = rows[0 : 2 * half : 2], rows[1 : 2 * half : 2]
        columns = jnp.arange(count)
        moved = jnp.where(jax.random.bernoulli(kind), columns == at, columns >= at)
        swap = index
        swap = swap.at[first].set(jnp.where(moved[None, :], index[second], index[first]))
        swap = swap.at[second].set(jnp.where(moved[None, :], index[first], index[second]))
        new = energies(swap)
        change = new[first] + new[second] - energy[first] - energy[second]
        yes = jnp.log(jax.random.uniform(coin, (half,), flat.dtype)) < -change * scale
        accept = jnp.zeros(n, bool).at[first].set(yes).at[second].set(yes)
        index = jnp.where(accept[:, None], swap, index)
        return (index, jnp.where(accept, new, energy)), None

    state = (index, energies(index))
    (index, _), _ = jax.lax.scan(sweep, state, jax.random.split(key, sweeps))
    return index


def _assigned(manifold: Manifold, clock: SplineClock, cloud: Array, ahead: bool) -> np.ndarray:
    """Each snapshot assigned to the one before it, or to where that would be with the velocity it
    came with, by least squared distance."""
    from scipy.optimize import linear_sum_assignment

    count, n = cloud.shape[:2]
    index = np.zeros((n, count), np.int64)
    index[:, 0] = np.arange(n)
    for k in range(count - 1):
        here = cloud[k][index[:, k]]
        if ahead and k:
            ratio = (clock.at[k + 1] - clock.at[k]) / (clock.at[k] - clock.at[k - 1])
            here = _onward(manifold, cloud[k - 1][index[:, k - 1]], here, ratio)
        index[:, k + 1] = linear_sum_assignment(pairwise(manifold, here, cloud[k + 1]) ** 2)[1]
    return index


def _total(manifold: Manifold, clock: SplineClock, cloud: Array, index: np.ndarray) -> float:
    return float(np.sum(total_energies(manifold, clock, joined(cloud, index))))


@eqx.filter_jit
def _onward(manifold: Manifold, before: Array, here: Array, ratio: Array) -> Array:
    """exp_x(−r log_x(y)) for the point y before x."""
    return jax.vmap(lambda y, x: manifold.exp(x, -ratio * manifold.log(x, y)))(before, here)


@eqx.filter_jit
def total_energies(manifold: Manifold, clock: SplineClock, knots: Array) -> Array:
    """∫|x″|² of each path, shape (n,)."""
    return jax.vmap(lambda path: spline_energy(manifold, clock, path))(knots)


@eqx.filter_jit
def joined_energies(manifold: Manifold, clock: SplineClock, heads: Array, tails: Array) -> Array:
    """Energies of all paths made of one head and one tail, shape (heads, tails)."""
    return _table(manifold, clock, heads, tails, lambda head, tail: jnp.concatenate([head, tail]))


@eqx.filter_jit
def moved_energies(
    manifold: Manifold, clock: SplineClock, knots: Array, points: Array, k: Array
) -> Array:
    """Energies of all paths, moved to pass each of the points at their k-th time, shape
    ``(points, paths)``."""
    return _table(manifold, clock, points, knots, lambda x, path: path.at[k].set(x))


def least_epsilon(costs: Array) -> float:
    """Below a ten-thousandth of their range costs choose as an assignment does."""
    return max(1e-4 * float(jnp.ptp(costs)), float(jnp.finfo(costs.dtype).tiny))


@eqx.filter_jit
def _crossed(manifold: Manifold, clock: SplineClock, knots: Array, other: Array) -> Array:
    """Energies with the knots marked in ``other``, shape (K + 1,), of path i replaced by those of
    path j, shape (n, n)."""
    mask = other.reshape(-1, *(1,) * len(manifold.shape))
    return _table(manifold, clock, knots, knots, lambda path, donor: jnp.where(mask, donor, path))


def _table(
    manifold: Manifold, clock: SplineClock, rows: Array, columns: Array, join: Callable
) -> Array:
    def row(first: Array) -> Array:
        return jax.vmap(lambda other: spline_energy(manifold, clock, join(first, other)))(columns)

    return jax.lax.map(row, rows, batch_size=32)


def joined(cloud: Array, index: NumPyOrJax) -> Array:
    """The points of the paths, shape ``(n, K + 1, *shape)``."""
    return jnp.stack([cloud[k][index[:, k]] for k in range(len(cloud))], axis=1)
