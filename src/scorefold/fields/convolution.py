"""The parts of convolutional networks, on images (height, width, channels)."""

import functools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import DTypeLike, Key


class Convolution(eqx.Module):
    """y_ij = b + Σ_kl W_kl x_{i+k, j+l} on images (height, width, channels), zero (or, if
    ``periodic``, the image again) beyond the border; ``stride`` 2 keeps every second row and
    column, from the first. Weights start with variance size²/n for n inputs."""

    weight: Array
    bias: Array
    stride: int
    periodic: bool

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, size: float = 1.0,
        periodic: bool = False, dtype: DTypeLike, key: Key,
    ) -> None:  # fmt: skip
        size = size / math.sqrt(kernel * kernel * inputs)
        shape = (kernel, kernel, inputs, outputs)
        self.weight = size * jax.random.normal(key, shape, dtype)
        self.bias = jnp.zeros((outputs,), dtype)
        self.stride, self.periodic = stride, periodic

    def __call__(self, x: Array) -> Array:
        reach = len(self.weight) // 2
        around = ((reach, reach), (reach, reach), (0, 0))
        if reach:
            x = jnp.pad(x, around, mode="wrap" if self.periodic else "constant")
        convolve = by_products if jax.default_backend() == "cpu" else by_primitive
        return convolve(x, self.weight, self.stride) + self.bias[None, None, :]


def by_products(x: Array, weight: Array, stride: int) -> Array:
    """One product of the shifted images side by side: on a processor, where XLA has no fast code
    for the derivative of a convolution by its weights inside a loop (thirty times as long)."""
    height, width = (n + 1 - len(weight) for n in x.shape[:2])
    shifted = [
        x[i : i + height : stride, j : j + width : stride]
        for i in range(len(weight))
        for j in range(len(weight))
    ]
    rows = jnp.concatenate(shifted, axis=2)
    flat = rows.reshape(-1, rows.shape[2]) @ weight.reshape(rows.shape[2], -1)
    return flat.reshape(*rows.shape[:2], -1)


def by_primitive(x: Array, weight: Array, stride: int) -> Array:
    """XLA's own convolution, elsewhere."""
    y = jax.lax.conv_general_dilated(
        x[None], weight, (stride,) * 2, "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y[0]


class ResidualBlock(eqx.Module):
    """x + C₂ σ((1 + a) ⊙ n(C₁ σ(n(x))) + b), a and b linear in the features of the noise level,
    n the normalisation of groups of channels (Wu & He 2018), σ = SiLU; C₂ starts at zero.
    Where the number of channels changes, x goes through a 1 × 1 convolution."""

    first: Convolution
    second: Convolution
    level: eqx.nn.Linear
    across: Convolution | None
    gain: Array
    offset: Array
    groups: int

    def __init__(
        self, inputs: int, outputs: int, features: int, groups: int, *, periodic: bool,
        dtype: DTypeLike, key: Key,
    ) -> None:  # fmt: skip
        a, b, c, d = jax.random.split(key, 4)
        convolution = functools.partial(Convolution, periodic=periodic, dtype=dtype)
        self.first = convolution(inputs, outputs, key=a)
        self.second = convolution(outputs, outputs, size=0.0, key=b)
        self.level = eqx.nn.Linear(features, 2 * outputs, key=c, dtype=dtype)
        same = inputs == outputs
        self.across = None if same else convolution(inputs, outputs, kernel=1, key=d)
        self.gain, self.offset = jnp.ones((inputs,), dtype), jnp.zeros((inputs,), dtype)
        self.groups = groups

    def __call__(self, x: Array, level: Array) -> Array:
        y = normalised(x, self.groups) * self.gain[None, None] + self.offset[None, None]
        y = normalised(self.first(jax.nn.silu(y)), self.groups)
        gain, offset = jnp.split(self.level(level)[None, None], 2, axis=2)
        y = self.second(jax.nn.silu((1.0 + gain) * y + offset))
        return y + (x if self.across is None else self.across(x))


class Attention(eqx.Module):
    """x + P softmax(QKᵀ/√c) V over all places of an image; Q, K, V linear in n(x), P at zero."""

    three: Convolution
    out: Convolution
    groups: int

    def __init__(self, channels: int, groups: int, *, dtype: DTypeLike, key: Key) -> None:
        a, b = jax.random.split(key)
        self.three = Convolution(channels, 3 * channels, kernel=1, dtype=dtype, key=a)
        self.out = Convolution(channels, channels, kernel=1, size=0.0, dtype=dtype, key=b)
        self.groups = groups

    def __call__(self, x: Array) -> Array:
        height, width, channels = x.shape
        flat = self.three(normalised(x, self.groups)).reshape(height * width, -1)
        q, k, v = jnp.split(flat, 3, axis=1)
        seen = jax.nn.softmax(q @ k.T / math.sqrt(channels), axis=1) @ v
        return x + self.out(seen.reshape(x.shape))


def normalised(x: Array, groups: int) -> Array:
    """Each of ``groups`` groups of neighbouring channels with mean 0 and variance 1."""
    parts = x.reshape(*x.shape[:2], groups, -1)
    centred = parts - jnp.mean(parts, axis=(0, 1, 3), keepdims=True)
    spread = jnp.mean(centred * centred, axis=(0, 1, 3), keepdims=True)
    return (centred * jax.lax.rsqrt(spread + 1e-5)).reshape(x.shape)
