"""Networks from features of a point and the noise level to a plain vector."""

from __future__ import annotations

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Scalar

__all__ = ["ScoreNetwork"]


class ScoreNetwork(eqx.Module):
    """MLP on [h, cos(Bh), sin(Bh), features of log s], h = manifold.embed(x).

    **Arguments:**

    - ``in_size``, ``out_size``: sizes of h and of the result.
    - ``width``, ``depth``: hidden units and hidden layers.
    - ``fourier``: number of fixed random frequencies B (0: none), drawn with log-normal lengths
      ``frequency · e^{spread·n}`` and uniform directions (Tancik et al. 2020).
    - ``key``: keyword-only, for the weights and the frequencies.
    """

    layers: list[eqx.nn.Linear]
    frequencies: Array = fixed()
    times: Array = fixed()
    activation: Callable = eqx.field(static=True)

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        width: int = 256,
        depth: int = 4,
        fourier: int = 128,
        frequency: float = 6.0,
        spread: float = 0.8,
        time_features: int = 8,
        activation: Callable = jax.nn.silu,
        dtype=None,
        key: Key,
    ) -> None:
        dtype = dtype or jnp.result_type(float)
        size = in_size + 2 * fourier + 1 + 2 * time_features
        widths = [size] + [width] * depth + [out_size]
        direction, length, *keys = jax.random.split(key, depth + 3)
        self.layers = [
            eqx.nn.Linear(a, b, key=k, dtype=dtype)
            for a, b, k in zip(widths[:-1], widths[1:], keys, strict=True)
        ]
        b = jax.random.normal(direction, (fourier, in_size), dtype)
        b = b / jnp.linalg.norm(b, axis=1, keepdims=True)
        scale = frequency * jnp.exp(spread * jax.random.normal(length, (fourier, 1), dtype))
        self.frequencies = b * scale
        self.times = jnp.asarray([math.pi * (k + 1) / 8 for k in range(time_features)], dtype)
        self.activation = activation

    def __call__(self, h: Array, s: Scalar) -> Array:
        b = jax.lax.stop_gradient(self.frequencies)
        times = jax.lax.stop_gradient(self.times)
        # log s runs over about (−10, 3): centre it, and give the network a few harmonics.
        u = (jnp.log(s) + 3.0) / 4.0
        phase = b @ h
        z = jnp.concatenate(
            [h, jnp.cos(phase), jnp.sin(phase), u[None], jnp.cos(times * u), jnp.sin(times * u)]
        )
        for layer in self.layers[:-1]:
            z = self.activation(layer(z))
        return self.layers[-1](z)
