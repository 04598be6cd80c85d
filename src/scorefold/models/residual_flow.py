"""Densities and draws of kernels with a residual of their score, by the probability flow."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._matmul import matmul
from scorefold._types import Key, Point, Scalar
from scorefold.fields import value_and_divergence
from scorefold.kernels import ClusteredMixture, WrappedMixture
from scorefold.kernels.wrapped.background import density_at
from scorefold.kernels.wrapped.clustered import spread_kernel
from scorefold.models.residual import ResidualField
from scorefold.samplers.clocks import PowerClock

_CLOCK = PowerClock()
"""τ = s^{1/8}."""
_PAIRS = 1 << 18
_BELOW = 1 / 3
"""Steps from the data to s_min, as a share of those from there to s_max."""


def steps_below(steps: int) -> int:
    """Steps from the data to s_min where there are ``steps`` from there to s_max."""
    return max(1, round(_BELOW * steps))


def log_ratio(field: ResidualField, kernels: ClusteredMixture, x: Array, steps: int) -> Array:
    """log q(x)/p(x) in nats of the law q with score ∇ log p_s + r over that of the kernels,

        log q(x)/p(x) = −½ ∫ (div r + ⟨r, ∇ log p_s⟩)(x(s), s) ds,   dx/ds = −½(∇ log p_s + r),

    x(0) = x, r = 0 outside [s_min, s_max], where the two laws agree: for p_s that is carried by
    the flow of its own score, which holds along the heat flow. The midpoint rule in s^{1/8}.
    ``x``: shape ``(n, *shape)``.
    """
    low, high = _CLOCK.on_host(field.s_min), _CLOCK.on_host(field.s_max)
    below = steps_below(steps)
    ends = np.concatenate(
        [np.linspace(0.0, low, below + 1)[:-1], np.linspace(low, high, steps + 1)]
    )
    on = np.arange(below + steps) >= below
    one = lambda y: _flow(field, kernels, y, ends, on)[1]  # noqa: E731
    return in_blocks(one, x, max(1, _PAIRS // kernels.terms))


def flow_draws(
    field: ResidualField, kernels: ClusteredMixture, mixture: WrappedMixture, keys: Array,
    steps: int,
) -> Array:  # fmt: skip
    """Draws: one of the kernels and Brownian motion for s_max, the flow back to s_min, and the law
    of the kernels given the point there (a normal law for each kernel; exact on flat space)."""
    m, dtype = field.manifold, mixture.centres.dtype
    ends = np.linspace(_CLOCK.on_host(field.s_max), _CLOCK.on_host(field.s_min), steps + 1)

    def one(key: Key) -> Point:
        first, noise, last = jax.random.split(key, 3)
        y = m.heat.sample(noise, mixture.sample(first), jnp.asarray(field.s_max, dtype))
        y, _ = _flow(field, kernels, y, ends, np.ones(steps, bool))
        return _given(mixture, last, y, jnp.asarray(field.s_min, dtype))

    return in_blocks(one, keys, max(1, _PAIRS // len(mixture.centres)))


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
    v = matmul(shrink * matmul(axes, m.components(z, m.log(z, y))) + noise, axes)
    near = m.exp(z, m.from_components(z, v))
    apart = mixture.log_share + density_at(mixture.background, y, s)
    share = jnp.exp(
        apart - mixture.with_background(jax.nn.logsumexp(each), apart - mixture.log_share)
    )
    alone = jax.random.uniform(lost, (), y.dtype) < share
    return jnp.where(alone, m.heat.sample(draw, y, s), near)


def _flow(
    field: ResidualField, kernels: ClusteredMixture, x: Point, ends: np.ndarray, on: np.ndarray
) -> tuple[Point, Scalar]:
    """(x, −½∫ (div r + ⟨r, ∇ log p_s⟩) ds) after the steps between ``ends`` in τ = s^{1/8}; r
    counts in the steps that are ``on``. One evaluation in the program, so that it compiles fast."""
    m, h = field.manifold, np.diff(ends)
    tau = np.stack([ends[:-1], ends[:-1] + 0.5 * h], 1).ravel()
    size = np.stack([0.5 * h, h], 1).ravel()
    rows = jnp.asarray(tau, x.dtype), jnp.asarray(size, x.dtype), jnp.asarray(np.repeat(on, 2))
    half = jnp.asarray(np.arange(len(tau)) % 2 == 0)

    def stage(carry: tuple, row: tuple) -> tuple[tuple, None]:
        start, y, total = carry
        tau, h, counts, first = row
        s, ds = _CLOCK.s(tau)
        score = kernels.score(y, s)
        level = jnp.maximum(s, jnp.asarray(field.s_min, s.dtype))
        r, div = value_and_divergence(lambda p: field(p, level), m, y)
        more = jnp.where(counts, -0.5 * ds * (div + m.inner(y, r, score)), 0.0)
        velocity = -0.5 * ds * (score + jnp.where(counts, r, 0.0))
        there = m.project(start + h * velocity)
        start = jnp.where(first, start, there)
        return (start, there, total + jnp.where(first, 0.0, h * more)), None

    zero = jnp.zeros((), x.dtype)
    (last, _, total), _ = jax.lax.scan(stage, (x, x, zero), (*rows, half))
    return last, total
