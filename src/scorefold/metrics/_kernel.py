"""Heat kernels between many pairs of points, in NumPy."""

from collections.abc import Iterable, Sequence
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np

from scorefold._blocks import device
from scorefold._compile import quick_jit
from scorefold._types import Scalar
from scorefold.manifolds import Manifold, Torus, pairwise
from scorefold.manifolds.neighbours import rows_of

_NODES = 1 << 15
_REACH = 12.0


def heat_matrix(manifold: Manifold, x: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """The mean over scales σ of k(x_i, x_j) = p_s(x_i | x_j)/p_s(o | o), s = σ², shape ``(n, n)``:
    exp(−r²/2σ²) on R^d.

    Where the kernel is a function of distance it is tabulated at 32 768 distances up to 12σ and
    joined by straight lines, within 3e-7 of it and rounding if the scales are within a factor 4; it
    is a product over the angles of a torus and the factors of a product. Elsewhere it is computed
    for all pairs.
    """
    x = rows_of(manifold, "x", x)
    if manifold.toral and manifold.dim > 1:
        angles = [Torus(1)] * manifold.dim
        return _mean(_product(angles, list(x.T[:, :, None]), scale) for scale in scales)
    if len(manifold.factors) > 1:
        parts = manifold.split(x)
        return _mean(_product(manifold.factors, parts, scale) for scale in scales)
    if not (manifold.dim == 1 or manifold.euclidean or manifold.heat.radial):
        return _mean(_all_pairs(manifold, x, scale) for scale in scales)
    distance = pairwise(manifold, x, x)
    if manifold.euclidean:
        return _mean(np.exp(-0.5 / scale**2 * distance**2) for scale in scales)
    furthest = min(float(distance.max()), manifold.diameter, _REACH * max(scales))
    step = max(furthest, 1e-12) / (_NODES - 1)
    table = _mean(_table(manifold, scale, step) for scale in scales)
    return _look_up(table, distance, step)


def _all_pairs(manifold: Manifold, x: np.ndarray, scale: float) -> np.ndarray:
    points = device(x, jnp.result_type(float))
    values = _log_matrix(manifold, points, jnp.asarray(scale**2, points.dtype))
    return np.exp(np.asarray(values, np.float64))


@jax.jit(static_argnums=0)
def _log_matrix(manifold: Manifold, x: jax.Array, s: jax.Array) -> jax.Array:
    o = manifold.origin(s.dtype)
    row = jax.vmap(manifold.heat.log_prob, (None, 0, None))
    return jax.lax.map(lambda p: row(p, x, s), x) - manifold.heat.log_prob(o, o, s)


def _mean(parts: Iterable[np.ndarray]) -> np.ndarray:
    each = list(parts)
    return reduce(np.add, each) / len(each)


def _product(factors: Sequence[Manifold], parts: Sequence[np.ndarray], scale: float) -> np.ndarray:
    pairs = zip(factors, parts, strict=True)
    return reduce(np.multiply, (heat_matrix(m, p, [scale]) for m, p in pairs))


def _table(manifold: Manifold, scale: float, step: float) -> np.ndarray:
    dtype = jnp.result_type(float)
    found = quick_jit(_profile)(manifold, device(scale**2, dtype), device(step, dtype))
    values = np.asarray(found, np.float64)
    return np.exp(values - values[0])


def _profile(manifold: Manifold, s: jax.Array, step: jax.Array) -> jax.Array:
    o = manifold.origin(s.dtype)
    direction = manifold.frame(o)[0]

    def one(r: Scalar) -> Scalar:
        return manifold.heat.log_prob(manifold.exp(o, r * direction), o, s)

    return jax.vmap(one)(step * jnp.arange(_NODES, dtype=s.dtype))


def _look_up(table: np.ndarray, distance: np.ndarray, step: float) -> np.ndarray:
    """Linear interpolation, row by row so that a row stays in the cache; constant beyond the last
    node, where the kernel is below 1e-31 or the distance is the diameter."""
    rise = np.append(np.diff(table), 0.0)
    out = np.empty_like(distance)
    for row, r in zip(out, distance, strict=True):
        place = np.minimum(r / step, _NODES - 1)
        node = place.astype(np.int32)
        row[:] = table[node] + (place - node) * rise[node]
    return out
