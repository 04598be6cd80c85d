"""How far the ends of a half-step of a learned bridge are from the data."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Scalar
from scorefold.bridges.networks.contract import Alternating
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.process import levels, simulate, steered
from scorefold.manifolds import Manifold

_POINTS, _DIRECTIONS = 2048, 64


def points_to_compare(
    manifold: Manifold, ends: tuple[Array, Array], held: tuple[Array, Array] | None, key: Key
) -> tuple[list[Array], list[float]]:
    """Equally many points of both ends, held-out ones or half of the data, and for each end their
    distance from as many others of the data."""
    if held is None:
        n = min(_POINTS, len(ends[0]) // 2, len(ends[1]) // 2)
    else:
        n = min(_POINTS, *(len(x) for x in (*ends, *held)))
    chosen, floors = [], []
    for side in (0, 1):
        k = jax.random.fold_in(key, side)
        data = jax.random.permutation(k, ends[side])
        points = data[n : 2 * n] if held is None else jax.random.permutation(k, held[side])[:n]
        chosen.append(points)
        floors.append(float(_sliced(manifold, data[:n], points)))
    return chosen, floors


@eqx.filter_jit
def measure(
    bridge: Alternating, key: Key, new: BridgeField, old: BridgeField, start: Array, goal: Array
) -> tuple[Scalar, Scalar]:
    """(gap, change) of the field ``new``, from points ``start`` towards ``goal``; see
    ``AlternationHistory``."""
    grid = jnp.asarray(levels(bridge.total, bridge.steps), start.dtype)
    paths = simulate(steered(bridge.reference, new), key, start, grid)

    def rate(x: Array, r: Scalar) -> Scalar:
        apart = new(x, r) - old(x, r)
        return 0.5 * bridge.manifold.inner(x, apart, apart)

    rates = jax.vmap(jax.vmap(rate), in_axes=(0, None))(paths[:, :-1], grid[:0:-1])
    change = jnp.mean(rates @ jnp.diff(grid)[::-1])
    return _sliced(bridge.manifold, paths[:, -1], goal), change


@eqx.filter_jit
def _sliced(manifold: Manifold, x: Array, y: Array) -> Scalar:
    """√ mean over 64 fixed directions of W₂² between projections, in coordinates on flat space
    and in the embedding elsewhere."""
    if not manifold.euclidean:
        x, y = jax.vmap(manifold.embed)(x), jax.vmap(manifold.embed)(y)
    e = jax.random.normal(jax.random.key(0), (_DIRECTIONS, x.shape[1]), x.dtype)
    e = e / jnp.linalg.norm(e, axis=1, keepdims=True)
    apart = jnp.sort(x @ e.T, axis=0) - jnp.sort(y @ e.T, axis=0)
    return jnp.sqrt(jnp.mean(apart**2))
