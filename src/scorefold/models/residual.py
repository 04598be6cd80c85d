"""Residual of a kernel model's score: the field, noised points to train it, its densities."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._compile import quick
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.fields import NetworkSpec, ScoreNetwork, TangentField, TangentOutput
from scorefold.fields import value_and_divergence
from scorefold.kernels import WrappedMixture, spread_kernel
from scorefold.manifolds import Euclidean, Manifold

__all__ = ["ResidualField", "log_ratio", "noised", "reverse_draws"]


class ResidualField(TangentField):
    """r(x, s) = output(network((embed(x) − shift)/unit, s/unit²)) / √s."""

    manifold: Manifold
    network: ScoreNetwork
    output: TangentOutput
    s_min: float
    s_max: float
    shift: Array = fixed()
    unit: Array = fixed()

    @classmethod
    def start(cls, manifold, spec, output, data, s_min, s_max, *, key) -> ResidualField:
        features = jax.vmap(manifold.embed)(data)
        shift, unit = jnp.zeros_like(features[0]), jnp.ones((), data.dtype)
        if isinstance(manifold, Euclidean):
            shift = jnp.mean(features, axis=0)
            unit = jnp.sqrt(jnp.mean((features - shift[None]) ** 2))
        sizes = int(features[0].size), output.size(manifold)
        network = quick(_build, level=0)(spec, *sizes, data.dtype, key)
        network = eqx.tree_at(
            lambda n: n.layers[-1].weight, network, jnp.zeros_like(network.layers[-1].weight)
        )
        return cls(manifold, network, output, s_min, s_max, shift, unit)

    def __call__(self, x: Point, s: Scalar) -> Point:
        unit = self.unit.astype(x.dtype)
        h = (self.manifold.embed(x) - self.shift.astype(x.dtype)) / unit
        c = self.network(h, s / unit**2)
        return self.output(self.manifold, x, c) / jnp.sqrt(s)


def _build(spec: NetworkSpec, in_size: int, out_size: int, dtype, key: Key) -> ScoreNetwork:
    return spec.build(in_size, out_size, dtype=dtype, key=key)


def noised(
    manifold: Manifold, data: Array, key: Key, levels: int, s_min: float, s_max: float
) -> tuple[Array, Array, Array]:
    """(s, x, ∇ log p_s(x | x₀))"""
    pairs = levels // 2
    when, draw = jax.random.split(key)
    n = len(data)
    place = jax.random.uniform(when, (n, pairs), data.dtype)
    place = (jnp.arange(pairs, dtype=data.dtype)[None] + place) / pairs
    s = s_min * jnp.exp(math.log(s_max / s_min) * place)
    keys = jax.random.split(draw, (n, pairs))

    def one(x0: Point, level: Scalar, k: Key) -> tuple[Array, Array]:
        x = manifold.heat.sample(k, x0, level)
        other = manifold.exp(x0, -manifold.log(x0, x))
        both = jnp.stack([x, other])
        return both, jax.vmap(lambda p: manifold.heat.score(p, x0, level))(both)

    def row(args):
        x0, s, k = args
        return jax.vmap(lambda s, k: one(x0, s, k))(s, k)
    x, score = jax.lax.map(row, (data, s, keys), batch_size=256)
    join = lambda a: a.reshape(n, 2 * pairs, *manifold.shape)  # noqa: E731
    return jnp.repeat(s, 2, axis=1), join(x), join(score)


def log_ratio(field: ResidualField, mixture: WrappedMixture, rows: Array, steps: int) -> Array:
    return quick(_log_ratio)(field, mixture, rows, steps)


def kernel_score(mixture: WrappedMixture, x: Point, s: Scalar) -> Point:
    m = mixture.manifold

    def density(y: Point) -> Scalar:
        parts = mixture.centres, mixture.axes, mixture.variances
        each = jax.vmap(lambda z, a, v: spread_kernel(m, y, z, a, v, s))(*parts)
        kernels = jax.nn.logsumexp(mixture.log_weights + each)
        return mixture.with_background(kernels, mixture.background.log_prob(y))

    return m.gradient(x, jax.grad(density)(x))


def _log_ratio(field, mixture, rows, steps):
    m = field.manifold
    ends = [e**0.125 for e in (field.s_min, field.s_max)]
    h = (ends[1] - ends[0]) / steps
    taus = ends[0] + h * jnp.arange(steps, dtype=rows.dtype)

    def one(x):
        def both(y, tau):
            y = m.project(y)
            s, ds = tau**8, 8 * tau**7
            score = kernel_score(mixture, y, s)
            r, div = value_and_divergence(lambda p: field(p, s), m, y)
            return -0.5 * ds * (score + r), 0.5 * ds * (div + m.inner(y, r, score))

        def step(carry, tau):
            y, total = carry
            v, _ = both(y, tau)
            v, g = both(y + 0.5 * h * v, tau + 0.5 * h)
            return (m.project(y + h * v), total - h * g), None

        (_, total), _ = jax.lax.scan(step, (x, jnp.zeros((), x.dtype)), taus)
        return total

    return in_blocks(one, rows, max(1, (1 << 18) // len(mixture.centres)))


def reverse_draws():
    pass
