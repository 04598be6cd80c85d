"""Cubic splines through points of a manifold, one path at a time."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import DTypeLike, Scalar, ScalarLike, Values
from scorefold.bridges.reference.integrated import knot_slopes, position_precision
from scorefold.manifolds import Manifold


class SplineClock(eqx.Module):
    """Times of knots and what follows from them alone, as arrays: one program serves all times.

    ``at``: t_0 < … < t_K; ``slopes``: B of ``knot_slopes``; ``precision``: Q of
    ``position_precision``, both of shape ``(K + 1, K + 1)``.
    """

    at: Array
    slopes: Array
    precision: Array

    @classmethod
    def of(cls, times: Values | SplineClock, dtype: DTypeLike) -> SplineClock:
        if isinstance(times, SplineClock):
            return times
        parts = times, knot_slopes(times), position_precision(times)
        return cls(*(jnp.asarray(part, dtype) for part in parts))


def unroll(manifold: Manifold, path: Array) -> tuple[Array, Array]:
    """The broken geodesic through the points of ``path``, shape (K + 1, *shape), unrolled onto
    the flat tangent space at its first point: u_0 = 0, u_{k+1} = u_k + log_{x_k}(x_{k+1}) in an
    orthonormal frame carried along by parallel transport.

    **Returns:** u, shape (K + 1, d), and the frames, shape (K + 1, d, *shape). On flat space
    u_k = x_k − x_0. Lengths and angles between pieces are kept; geodesics become straight lines.

    Source: Jupp & Kent 1987 (splines on the sphere by unrolling).
    """

    def step(carry, ahead):
        x, frame, u = carry
        tangent = manifold.log(x, ahead)
        move = jax.vmap(lambda e: manifold.inner(x, tangent, e))(frame)
        moved = jax.vmap(lambda e: manifold.transport(x, ahead, e))(frame)
        carry = (ahead, moved, u + move)
        return carry, (u + move, moved)

    frame, zero = manifold.frame(path[0]), jnp.zeros(manifold.dim, path.dtype)
    _, (u, frames) = jax.lax.scan(step, (path[0], frame, zero), path[1:])
    return jnp.concatenate([zero[None], u]), jnp.concatenate([frame[None], frames])


def spline_energy(manifold: Manifold, times: Values | SplineClock, path: Array) -> Scalar:
    """u·Q u of the unrolled path: ∫|x″|² dt of the natural cubic spline on flat space; 0 for a
    geodesic run at constant speed on every manifold. Unchanged by isometries."""
    u, _ = unroll(manifold, path)
    q = SplineClock.of(times, path.dtype).precision
    return jnp.sum(u * jnp.matmul(q, u, precision="highest"))


def spline_velocities(manifold: Manifold, times: Values | SplineClock, path: Array) -> Array:
    """Velocities at the knots, tangent vectors of the shape of ``path``: those of the natural
    cubic spline through the unrolled path, rolled back."""
    u, frames = unroll(manifold, path)
    slopes = SplineClock.of(times, path.dtype).slopes
    v = jnp.matmul(slopes, u, precision="highest")
    return jnp.sum(v.reshape(*v.shape, *(1,) * len(manifold.shape)) * frames, axis=1)


def spline_at(
    manifold: Manifold, times: Values | SplineClock, path: Array, velocities: Array, t: ScalarLike
) -> Array:
    """The C¹ curve through the knots with those velocities, at time t (a number). Between knots it
    is de Casteljau's cubic with geodesics in place of segments,

        control points x_k, exp_{x_k}(h v_k/3), exp_{x_{k+1}}(−h v_{k+1}/3), x_{k+1},

    which on flat space is Hermite's cubic, hence the natural spline; before t_0 and after t_K the
    geodesic with the velocity of that end.

    Source: Park & Ravani 1995; Popiel & Noakes 2007 (end velocities of such curves).
    """
    time = jnp.asarray(t, path.dtype)
    knots = SplineClock.of(times, path.dtype).at
    k = jnp.clip(jnp.searchsorted(knots, time, side="right") - 1, 0, len(knots) - 2)
    h = knots[k + 1] - knots[k]
    share = jnp.clip((time - knots[k]) / h, 0.0, 1.0)
    # Together, so that the map is compiled once: control points, and the ends that go on.
    from_knot = jnp.stack([k, k + 1, jnp.zeros_like(k), jnp.full_like(k, len(knots) - 1)])
    spans = jnp.stack([h / 3.0, -h / 3.0, time - knots[0], time - knots[-1]])
    moves = spans.reshape(-1, *(1,) * len(manifold.shape)) * velocities[from_knot]
    ahead = jax.vmap(manifold.exp)(path[from_knot], moves)

    def between(a: Array, b: Array) -> Array:
        return manifold.exp(a, share * manifold.log(a, b))

    def level(points: Array, _: None) -> tuple[Array, None]:
        found = jax.vmap(between)(points[:-1], points[1:])
        return jnp.concatenate([found, points[-1:]]), None

    points = jnp.stack([path[k], ahead[0], ahead[1], path[k + 1]])
    points, _ = jax.lax.scan(level, points, length=3)
    inside = jnp.where(time < knots[0], ahead[2], points[0])
    return jnp.where(time > knots[-1], ahead[3], inside)
