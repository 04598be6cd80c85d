"""Bandwidths of heat kernels around data, chosen on a grid in one program."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from scorefold._blocks import evenly
from scorefold._weights import mean
from scorefold.heat import HeatKernel, TransitionMixture
from scorefold.manifolds import Manifold


def same_points(x: Array, centres: Array) -> Bool[Array, "m n"]:
    """Which of n centres are, number for number, the points x: the pairs that leave-one-out
    leaves out. Repeats of a point count as that point."""
    flat = lambda a: a.reshape(len(a), -1)  # noqa: E731
    a, b = flat(x), flat(centres)
    return jax.vmap(lambda row: jnp.all(row[None] == b, axis=1))(a)


def bandwidth_grid(
    manifold: Manifold, centres: Array, size: int = 24, weights: Array | None = None
) -> np.ndarray:
    """``size`` variance-times, log-spaced from (median distance to the nearest other centre)²/4d
    to the mean square distance to a typical centre, /d: from spikes to one bump. ``weights``: of
    the centres, in the median and the mean.

    **Raises:** ``ValueError`` if all centres are the same point.
    """
    nearest, spread = (float(a) for a in _extent(manifold, centres, weights))
    if not spread > 0:
        raise ValueError("data: all rows are the same point, so no bandwidth fits them.")
    low = min(nearest / 4, spread / 4) if nearest > 0 else spread * 1e-4
    return np.geomspace(low / manifold.dim, spread / manifold.dim, size)


def scored_points(points: Array, held_out: Array | None, most: int) -> Array:
    """The points that bandwidths are compared on: held-out ones, or ``most`` of the data."""
    return points[evenly(len(points), most)] if held_out is None else held_out


@eqx.filter_jit
def _extent(manifold: Manifold, centres: Array, weights: Array | None) -> tuple[Array, Array]:
    rows = evenly(len(centres), 256)

    def one(x: Array) -> tuple[Array, Array]:
        square = jax.vmap(lambda c: manifold.dist(x, c))(centres) ** 2
        return jnp.min(jnp.where(square > 0, square, jnp.inf)), mean(square, weights)

    nearest, spread = jax.lax.map(one, centres[rows], batch_size=64)
    finite = jnp.where(jnp.isfinite(nearest), nearest, 0.0)
    return _median(finite, None if weights is None else weights[rows]), jnp.min(spread)


def _median(values: Array, weights: Array | None) -> Array:
    """Of values that each stand so often."""
    if weights is None:
        return jnp.median(values)
    order = jnp.argsort(values)
    reached = jnp.cumsum(weights[order])
    half = 0.5 * reached[-1]
    near = 1e-6 * reached[-1]
    last = len(values) - 1
    low = jnp.minimum(jnp.sum((reached < half - near).astype(jnp.int32)), last)
    high = jnp.minimum(jnp.sum((reached <= half + near).astype(jnp.int32)), last)
    return 0.5 * (values[order][low] + values[order][high])


@eqx.filter_jit
def nearest_squares(manifold: Manifold, centres: Array, k: int) -> Float[Array, "n k"]:
    """Squared distances from every centre to its 1st … k-th nearest other centre; copies of the
    centre itself do not count. **Raises:** ``ValueError`` for k outside 1 … n − 1."""
    if not 1 <= k < len(centres):
        raise ValueError(f"neighbours must lie in 1 … {len(centres) - 1}, got {k}.")

    def one(x: Array) -> Array:
        square = jax.vmap(lambda c: manifold.dist(x, c))(centres) ** 2
        far = jnp.max(square)
        others = jnp.where(square > 0, square, jnp.inf)
        return jnp.minimum(-jax.lax.top_k(-others, k)[0], far)

    return jax.lax.map(one, centres, batch_size=64)


@eqx.filter_jit
def kernel_scores(
    manifold: Manifold,
    centres: Array,
    s: Float[Array, "g n"],
    x: Array,
    leave_out: bool = True,
    cells: int = 1 << 20,
    heat: HeatKernel | None = None,
    weights: Array | None = None,
) -> Float[Array, "g m"]:
    """log (1/n′) Σ_i p_{s_i}(x | Z_i) at every x for each of g rows of variance-times, in ONE
    program: distances are shared by the rows.

    With ``leave_out`` the centres that are x itself do not count, and n′ is the number of the
    others (−∞ where there are none). Memory O(g · n + cells). ``heat``: in the place of
    ``manifold.heat``, for instance a fitted kernel. ``weights`` w: of the centres, which have
    shares w_i/Σw then in the place of 1/n′.
    """
    heat = manifold.heat if heat is None else heat
    chunk = max(1, min(len(x), cells // s.size))

    def one(y: Array) -> Array:
        same = same_points(y[None], centres)[0] & leave_out
        terms = jax.vmap(lambda row: TransitionMixture(heat, centres, row).log_kernels(y))(s)
        if weights is None:
            count = jnp.maximum(jnp.sum(~same).astype(terms.dtype), 1.0)
        else:
            terms = terms + jnp.log(weights)[None]
            count = jnp.sum(jnp.where(same, 0.0, weights))
            count = jnp.where(count > 0, count, jnp.ones_like(count))
        kept = jnp.where(same[None], -jnp.inf, terms)
        return jax.nn.logsumexp(kept, axis=1) - jnp.log(count)

    return jax.lax.map(one, x, batch_size=chunk).T


def leave_one_out_bandwidth(
    manifold: Manifold,
    centres: Array,
    *,
    scored: int = 1024,
    size: int = 24,
    weights: Array | None = None,
) -> float:
    """The variance-time s of a grid for which Σ_i log p̂_{−i}(Z_i) is largest, p̂_{−i} the density
    of heat kernels around the other centres; the sum is over ``scored`` of them, evenly spaced,
    with the ``weights`` of the centres where there are some.

    Source: Habbema, Hermans & van den Broek 1974 (leave-one-out likelihood).
    """
    grid = bandwidth_grid(manifold, centres, size, weights)
    s = jnp.asarray(np.repeat(grid[:, None], len(centres), axis=1), centres.dtype)
    x = scored_points(centres, None, scored)
    scores = kernel_scores(manifold, centres, s, x, weights=weights)
    own = None if weights is None else weights[evenly(len(centres), scored)]
    worth = np.asarray(mean(scores, own, axis=1), np.float64)
    return float(grid[int(np.argmax(np.where(np.isfinite(worth), worth, -math.inf)))])
