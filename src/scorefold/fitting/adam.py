"""Adam with decoupled weight decay, clipping and the learning-rate schedule."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._types import Scalar
from scorefold.fitting.settings import Settings

_B1, _B2, _EPS = 0.9, 0.999, 1e-8


class Moments(eqx.Module):
    """Running means of the gradient and of its square."""

    first: PyTree
    second: PyTree

    @classmethod
    def zero(cls, params: PyTree) -> Moments:
        return cls(jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params))


def descend(
    params: PyTree,
    grads: PyTree,
    moments: Moments,
    step: Array,
    rate: Scalar,
    decay: PyTree | None = None,
) -> tuple[PyTree, Moments]:
    """One step of AdamW, θ ← θ − η(m̂/(√v̂ + ε) + λθ), with β = (0.9, 0.999) and ε = 1e−8.

    ``decay`` holds λ for each number of θ (None: 0). Source: Kingma & Ba 2015, Algorithm 1;
    Loshchilov & Hutter 2019, Algorithm 2.
    """
    first = jax.tree.map(lambda m, g: _B1 * m + (1 - _B1) * g, moments.first, grads)
    second = jax.tree.map(lambda v, g: _B2 * v + (1 - _B2) * g * g, moments.second, grads)

    def update(p: Array, m: Array, v: Array, d: Array | float) -> Array:
        t = (step + 1).astype(p.dtype)
        mean = m / (1 - jnp.power(jnp.asarray(_B1, p.dtype), t))
        square = v / (1 - jnp.power(jnp.asarray(_B2, p.dtype), t))
        direction = mean / (jnp.sqrt(square) + _EPS)
        if decay is not None:
            direction = direction + d * p
        return p - rate.astype(p.dtype) * direction

    decay_of = jax.tree.map(lambda _: 0.0, params) if decay is None else decay
    return jax.tree.map(update, params, first, second, decay_of), Moments(first, second)


def norm(grads: PyTree) -> Scalar:
    """The Euclidean norm of all entries, in the widest dtype; finite where squares overflow too."""
    leaves = jax.tree.leaves(grads)
    dtype = max((g.dtype for g in leaves), key=lambda d: d.itemsize)
    leaves = [g.astype(dtype) for g in leaves]

    def length(scale: Array) -> Scalar:
        return jnp.sqrt(sum(jnp.sum(jnp.square(g * scale)) for g in leaves))

    plain, small = length(jnp.ones((), dtype)), float(jnp.finfo(dtype).tiny) ** 0.5
    return jnp.where(jnp.isfinite(plain), plain, length(jnp.asarray(small, dtype)) / small)


def clip(grads: PyTree, length: Scalar, limit: float) -> PyTree:
    """The gradient, of norm ``length``, scaled down to norm ``limit`` if it is longer."""
    shrink = limit / jnp.maximum(length, limit)
    return jax.tree.map(lambda g: g * shrink.astype(g.dtype), grads)


def learning_rate(step: Array, total: Array, settings: Settings) -> Scalar:
    """Linear warm-up to the peak, then half a cosine to 0 at ``total``, or in every period of
    ``settings.restart`` steps (Loshchilov & Hutter 2017).

    The schedule reads ``total`` from the state, so that a run with a time budget, which learns
    its length only after compiling, and a resumed run use the same compiled program.
    """
    if settings.restart is not None:
        step, total = step % settings.restart, jnp.int32(settings.restart)
    t, end = step.astype(jnp.float32), total.astype(jnp.float32)
    if settings.warmup is None:
        warmup = jnp.minimum(500.0, 0.1 * end)
    else:
        warmup = jnp.float32(settings.warmup)
    ramp = jnp.minimum(1.0, (t + 1.0) / jnp.maximum(warmup, 1.0))
    through = jnp.clip((t - warmup) / jnp.maximum(end - warmup, 1.0), 0.0, 1.0)
    return settings.learning_rate * ramp * 0.5 * (1.0 + jnp.cos(jnp.pi * through))
