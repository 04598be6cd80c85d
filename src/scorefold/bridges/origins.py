"""The points of the first law that the backward half of a light bridge leads back to."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.bridges._linear import linear_transition
from scorefold.bridges.potentials import Potential, some_rows, spacing
from scorefold.noising import Noising, OrnsteinUhlenbeck

__all__ = ["Origins", "chosen_origins"]

_JUDGED, _JUDGING = 256, 1500
_FACTORS = tuple(4.0**k for k in range(-4, 2))
_CELLS = 1 << 18


class Origins(eqx.Module):
    """φ̂_s(x) = Σ_i c_i p_{s+h}(x | o_i), c_i = 1/(n ψ_{−h}(o_i)): the reference process started
    at time −h from the points o_i. ``points``: o, shape (n, *shape); ``log_weights``: log c;
    ``blur``: h. With a drift, o_i is where the mean of the process at s = 0 is the data point."""

    points: Array = fixed()
    log_weights: Array = fixed()
    blur: float

    def log_terms(self, reference: Noising, x: Point, s: Scalar) -> Array:
        """log of the terms of φ̂_s(x), shape (n,)."""
        points, age = self.points.astype(x.dtype), s + self.blur
        each = jax.vmap(lambda o: reference.log_prob(x, o, age))(points)
        return self.log_weights.astype(x.dtype) + each

    def score(self, reference: Noising, x: Point, s: Scalar) -> Point:
        """∇ log φ̂_s(x)."""
        share = jax.nn.softmax(self.log_terms(reference, x, s))
        points, age = self.points.astype(x.dtype), s + self.blur
        parts = jax.vmap(lambda o: reference.score(x, o, age))(points)
        return jnp.tensordot(share, parts, axes=1)


def chosen_origins(
    reference: Noising,
    potential: Potential,
    key: Key,
    points: Array,
    held_out: Array | None,
    most: int,
    blur: float | None,
) -> Origins:
    """Origins at ``points`` (at most ``most`` of them) with the given blur, or the one of six
    multiples of the spacing of the points, a factor 4 apart, under which ``held_out`` is most
    likely; without held-out points, each point is judged by the others."""
    pick, judge = jax.random.split(key)
    rows = points[jax.random.permutation(pick, len(points))[:most]]
    if blur is not None:
        return _origins(reference, potential, rows, float(blur))
    leave_out = held_out is None
    some = rows[:_JUDGING]
    judged = some[:_JUDGED] if held_out is None else some_rows(judge, held_out)[:_JUDGED]
    total = reference.schedule.total
    near = min(max(spacing(reference.manifold, some), 1e-6 * total), total)
    best, found = -math.inf, near
    for factor in _FACTORS:
        h = min(factor * near, 0.5 * total)
        value = float(
            _likelihood(reference, potential, some, judged, jnp.asarray(h, rows.dtype), leave_out)
        )
        if value > best:
            best, found = value, h
    return _origins(reference, potential, rows, found)


def _origins(reference: Noising, potential: Potential, rows: Array, blur: float) -> Origins:
    points, log_c = _weights(reference, potential, rows, jnp.asarray(blur, rows.dtype))
    return Origins(points, log_c, blur)


@eqx.filter_jit
def _weights(
    reference: Noising, potential: Potential, rows: Array, h: Scalar
) -> tuple[Array, Array]:
    points = jax.vmap(lambda x: _rewound(reference, x, h))(rows)
    ahead = reference.schedule.total + h
    psi = in_blocks(lambda o: potential.log_ahead(reference, o, ahead), points, 1024)
    return points, -psi - math.log(len(rows))


@eqx.filter_jit
def _likelihood(
    reference: Noising,
    potential: Potential,
    rows: Array,
    judged: Array,
    h: Scalar,
    leave_out: bool,
) -> Scalar:
    """Mean log p_0 of ``judged``; row i of it is row i of ``rows`` if ``leave_out``."""
    points, log_c = _weights(reference, potential, rows, h)
    total = jnp.asarray(reference.schedule.total, h.dtype)

    def one(inputs: tuple[Array, Point]) -> Scalar:
        i, x = inputs
        terms = log_c + jax.vmap(lambda o: reference.log_prob(x, o, h))(points)
        own = (jnp.arange(len(points)) == i) & leave_out
        terms = jnp.where(own, -jnp.inf, terms)
        return jax.nn.logsumexp(terms) + potential.log_ahead(reference, x, total)

    each = jax.lax.map(one, (jnp.arange(len(judged)), judged), batch_size=256)
    value = jnp.mean(each)
    return jnp.where(jnp.isfinite(value), value, -jnp.inf)


def _rewound(reference: Noising, x: Point, h: Scalar) -> Point:
    """The point from which the mean of the process after time h is x."""
    if isinstance(reference, OrnsteinUhlenbeck):
        a, shift, _ = linear_transition(reference).moments(h)
        return (x - shift) / a
    return x
