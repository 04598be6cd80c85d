"""The points of the first law that the backward half of a light bridge leads back to."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar
from scorefold.bridges.light.potential import LightPotential
from scorefold.bridges.light.starts import some_rows
from scorefold.bridges.reference.linear import linear_transition
from scorefold.heat import TransitionMixture
from scorefold.manifolds import nearest
from scorefold.noising import Noising, OrnsteinUhlenbeck

_SCORED, _ORIGINS = 256, 1500
"""Points whose likelihood chooses the blur, and the origins that give it meanwhile."""
_FACTORS = tuple(4.0**k for k in range(-4, 2))
_CELLS = 1 << 18


class Origins(eqx.Module):
    """φ̂_s(x) = Σ_i c_i p_{s+h_i}(x | o_i), c_i = 1/(n ψ_{−h_i}(o_i)): the reference process started
    at the times −h_i from the points o_i. ``points``: o, shape (n, *shape); ``log_weights``: log c;
    ``blur``: h, shape (n,). With a drift, o_i is where the mean of the process at s = 0 is the
    data point."""

    points: Array = fixed()
    log_weights: Array = fixed()
    blur: Array = fixed()

    @property
    def scale(self) -> float:
        """A small h among them: the 10 % quantile."""
        return float(np.quantile(np.asarray(self.blur, np.float64), 0.1))

    @property
    def widest(self) -> float:
        """The largest h."""
        return float(np.max(np.asarray(self.blur, np.float64)))

    def log_terms(self, reference: Noising, x: Point, s: Scalar) -> Array:
        """log of the terms of φ̂_s(x), shape (n,)."""
        return self._started(reference, s, x.dtype).log_terms(x)

    def score(self, reference: Noising, x: Point, s: Scalar) -> Point:
        """∇ log φ̂_s(x)."""
        return self._started(reference, s, x.dtype).score(x)

    def _started(self, reference: Noising, s: Scalar, dtype: DTypeLike) -> TransitionMixture:
        points, blur, log_w = (a.astype(dtype) for a in (self.points, self.blur, self.log_weights))
        return TransitionMixture(reference, points, s + blur, log_w)


def chosen_origins(
    reference: Noising,
    potential: LightPotential,
    key: Key,
    points: Array,
    held_out: Array | None,
    most: int,
    blur: float | None,
) -> Origins:
    """Origins at ``points`` (at most ``most`` of them) with the given blur; or with
    h_i = f·d_i²/d, d_i the distance to the 6th neighbour of x_i (at least a thirtieth of its
    median, for points that repeat) and f the one of 4^{−4}, …, 4 under which ``held_out`` is most
    likely; without held-out points, each of them is left out in turn."""
    pick, some = jax.random.split(key)
    rows = points[jax.random.permutation(pick, len(points))[:most]]
    if blur is not None:
        return made_origins(reference, potential, rows, jnp.full(len(rows), blur, rows.dtype))
    leave_out = held_out is None
    trial = rows[:_ORIGINS]
    scored = (trial if held_out is None else some_rows(some, held_out))[:_SCORED]
    near, best, found = _apart(reference, trial), -math.inf, 1.0
    for factor in _FACTORS:
        h = jnp.minimum(factor * near, 0.5 * reference.schedule.total)
        value = float(_likelihood(reference, potential, trial, scored, h, leave_out))
        if value > best:
            best, found = value, factor
    h = jnp.minimum(found * _apart(reference, rows), 0.5 * reference.schedule.total)
    return made_origins(reference, potential, rows, h)


@eqx.filter_jit
def made_origins(
    reference: Noising, potential: LightPotential, rows: Array, blur: Array
) -> Origins:
    """Origins at all ``rows``, each with its blur, shape (n,)."""
    points = jax.vmap(lambda x, h: _rewound(reference, x, h))(rows, blur)
    total = reference.schedule.total

    def ahead(inputs: tuple[Point, Scalar]) -> Scalar:
        return potential.log_ahead(reference, inputs[0], total + inputs[1])

    psi = jax.lax.map(ahead, (points, blur), batch_size=min(len(rows), 512))
    return Origins(points, -psi - math.log(len(rows)), blur)


def _apart(reference: Noising, rows: Array) -> Array:
    """Squared distance to the 6th neighbour over d, not below 1e-3 times its median."""
    manifold, total = reference.manifold, reference.schedule.total
    k = min(6, len(rows) - 1)
    _, distance = nearest(manifold, rows, rows, k, exclude_self=True)
    square = distance[:, -1] ** 2 / manifold.dim
    positive = square[square > 0]
    low = 1e-3 * float(np.median(positive)) if len(positive) else 1e-3 * total
    return jnp.asarray(np.maximum(square, low), rows.dtype)


@eqx.filter_jit
def _likelihood(
    reference: Noising,
    potential: LightPotential,
    rows: Array,
    scored: Array,
    blur: Array,
    leave_out: bool,
) -> Scalar:
    """Mean log p_0 of ``scored``; row i of it is row i of ``rows`` if ``leave_out``."""
    start = made_origins(reference, potential, rows, blur)
    total, zero = jnp.asarray(reference.schedule.total, blur.dtype), jnp.zeros((), blur.dtype)

    def one(inputs: tuple[Array, Point]) -> Scalar:
        i, x = inputs
        terms = start.log_terms(reference, x, zero)
        terms = jnp.where((jnp.arange(len(terms)) == i) & leave_out, -jnp.inf, terms)
        return jax.nn.logsumexp(terms) + potential.log_ahead(reference, x, total)

    each = jax.lax.map(one, (jnp.arange(len(scored)), scored), batch_size=256)
    value = jnp.mean(each)
    return jnp.where(jnp.isfinite(value), value, -jnp.inf)


def _rewound(reference: Noising, x: Point, h: Scalar) -> Point:
    """The point from which the mean of the process after time h is x."""
    if isinstance(reference, OrnsteinUhlenbeck):
        a, shift, _ = linear_transition(reference).moments(h)
        return (x - shift) / a
    return x
