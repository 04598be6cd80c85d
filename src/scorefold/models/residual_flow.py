"""Densities and draws of kernels with a residual of their score, by the probability flow."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._types import Key, Point, Scalar
from scorefold.fields import value_and_divergence
from scorefold.kernels import ClusteredMixture, WrappedMixture
from scorefold.kernels.clustered import spread_kernel
from scorefold.manifolds import Manifold
from scorefold.models.residual import ResidualField

__all__ = ["flow_draws", "log_ratio"]

Rate = Callable[[Point, Scalar], tuple[Point, Scalar]]

_PAIRS = 1 << 18
_BELOW = 1 / 3
"""Steps from the data to s_min, as a share of those from there to s_max."""


def log_ratio(field: ResidualField, kernels: ClusteredMixture, x: Array, steps: int) -> Array:
    """log q(x)/p(x) in nats of the law q with score ∇ log p_s + r over that of the kernels,

        log q(x)/p(x) = −½ ∫ (div r + ⟨r, ∇ log p_s⟩)(x(s), s) ds,   dx/ds = −½(∇ log p_s + r),

    x(0) = x, r = 0 outside [s_min, s_max], where the two laws agree: for p_s that is carried by
    the flow of its own score, which holds along the heat flow. The midpoint rule in s^{1/8}.
    ``x``: shape ``(n, *shape)``.
    """
    m = field.manifold
    ends = field.s_min**0.125, field.s_max**0.125
    below = max(1, round(_BELOW * steps))

    def far(y: Point, tau: Scalar) -> tuple[Point, Scalar]:
        s, ds = tau**8, 8.0 * tau**7
        score = kernels.score(y, s)
        r, div = value_and_divergence(lambda p: field(p, s), m, y)
        return -0.5 * ds * (score + r), -0.5 * ds * (div + m.inner(y, r, score))

    def near(y: Point, tau: Scalar) -> tuple[Point, Scalar]:
        return -4.0 * tau**7 * kernels.score(y, tau**8), jnp.zeros((), y.dtype)

    def one(y: Point) -> Scalar:
        y, _ = _midpoint(m, near, y, (0.0, ends[0]), below)
        return _midpoint(m, far, y, ends, steps)[1]

    return in_blocks(one, x, max(1, _PAIRS // kernels.terms))


def flow_draws(
    field: ResidualField, kernels: ClusteredMixture, mixture: WrappedMixture, keys: Array,
    steps: int,
) -> Array:  # fmt: skip
    """Draws: one of the kernels and Brownian motion for s_max, the flow back to s_min, and the law
    of the kernels given the point there (a normal law for each kernel; exact on flat space)."""
    m = field.manifold
    ends = field.s_max**0.125, field.s_min**0.125

    def back(y: Point, tau: Scalar) -> tuple[Point, Scalar]:
        s = tau**8
        velocity = -4.0 * tau**7 * (kernels.score(y, s) + field(y, s))
        return velocity, jnp.zeros((), y.dtype)

    def one(key: Key) -> Point:
        first, noise, last = jax.random.split(key, 3)
        y = m.heat.sample(noise, mixture.sample(first), jnp.asarray(field.s_max, keys_dtype))
        y, _ = _midpoint(m, back, y, ends, steps)
        return _given(mixture, last, y, jnp.asarray(field.s_min, y.dtype))

    keys_dtype = mixture.centres.dtype
    return jax.lax.map(one, keys, batch_size=max(1, _PAIRS // len(mixture.centres)))


def _given(mixture: WrappedMixture, key: Key, y: Point, s: Scalar) -> Point:
    """A draw of x ~ p given that Brownian motion has carried it to y in the variance-time s."""
    m = mixture.manifold
    pick, lost, draw = jax.random.split(key, 3)
    parts = mixture.centres, mixture.axes, mixture.variances
    each = mixture.log_weights + jax.vmap(lambda z, a, v: spread_kernel(m, y, z, a, v, s))(*parts)
    i = jax.random.categorical(pick, each)
    z, axes, variances = (a[i] for a in parts)
    shrink = variances / (variances + s)
    noise = jnp.sqrt(shrink * s) * jax.random.normal(draw, (m.dim,), y.dtype)
    v = (shrink * (axes @ m.components(z, m.log(z, y))) + noise) @ axes
    near = m.exp(z, m.from_components(z, v))
    apart = mixture.log_share + mixture.background.log_prob(y)
    share = jnp.exp(
        apart - mixture.with_background(jax.nn.logsumexp(each), apart - mixture.log_share)
    )
    alone = jax.random.uniform(lost, (), y.dtype) < share
    return jnp.where(alone, m.heat.sample(draw, y, s), near)


def _midpoint(
    manifold: Manifold, rate: Rate, x: Point, ends: tuple[float, float], steps: int
) -> tuple[Point, Scalar]:
    """(x, ∫) at the second end: of a point and of a number, whose rates ``rate(x, τ)`` gives."""
    start, end = ends
    h = (end - start) / steps
    grid = start + h * jnp.arange(steps, dtype=x.dtype)

    def step(carry: tuple[Point, Scalar], tau: Scalar) -> tuple[tuple[Point, Scalar], None]:
        y, total = carry
        middle = manifold.project(y + 0.5 * h * rate(y, tau)[0])
        velocity, more = rate(middle, tau + 0.5 * h)
        return (manifold.project(y + h * velocity), total + h * more), None

    last: tuple[Point, Scalar] = jax.lax.scan(step, (x, jnp.zeros((), x.dtype)), grid)[0]
    return last
