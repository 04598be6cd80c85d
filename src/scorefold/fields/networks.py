"""Networks from features of a point and the noise level to a plain vector."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._matmul import matmul
from scorefold._pickle import named, restored
from scorefold._types import DTypeLike, Key, Scalar
from scorefold.fields._architecture import Architecture, Network, level_features
from scorefold.fields.products import RoundedLinear

_FREQUENCY, _FREQUENCIES = 8.0, (1.0, 200.0)
"""Where the data say nothing, and between which they may say something."""


class ScoreNetwork(Network):
    """MLP on [h, e^{−|b|²s/2} cos(Bh), e^{−|b|²s/2} sin(Bh), u, cos(ku), sin(ku)],
    h = manifold.embed(x), u = (log s + 3)/4.

    The damping is that of the heat flow: a wave of frequency b in the data's density has decayed
    by e^{−|b|²s/2} at level s, so the features carry what the density can have there and nothing
    finer; the flow of the learned score is the smoother for it.

    The weights may be of lower precision than the point: the network computes in their dtype and
    answers in that of ``h``. Hidden weights start with variance 1/n for n inputs (LeCun), the last
    layer a tenth of that size, biases at 0.

    **Arguments:**

    - ``in_size``, ``out_size``: sizes of h and of the result.
    - ``width``, ``depth``: hidden units and hidden layers.
    - ``fourier``: number of fixed random frequencies B (0: none), drawn with log-normal lengths
      ``frequency · e^{spread·n}`` and uniform directions (Tancik et al. 2020),
      each row b with |b| the length.
    - ``time_features``: number of harmonics k = π/8, 2π/8, … of u (0: none).
    - ``activation``: between the layers. ``fourier=0, time_features=0, width=512, depth=5,
      activation=sine`` is the network of De Bortoli et al. 2022, with u in the place of t.
    - ``dtype``: of the weights (default: the default float).
    - ``key``: keyword-only, for the weights and the frequencies.
    """

    layers: list
    activation: Callable = eqx.field(static=True)
    frequencies: Array = fixed()
    times: Array = fixed()

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
        dtype: DTypeLike | None = None,
        key: Key,
    ) -> None:
        dtype = dtype or jnp.result_type(float)
        size = in_size + 2 * fourier + 1 + 2 * time_features
        widths = [size] + [width] * depth + [out_size]
        direction, length, *keys = jax.random.split(key, depth + 3)
        self.layers = [
            _started(eqx.nn.Linear(a, b, key=k, dtype=dtype), 0.1 if i == depth else 1.0)
            for i, (a, b, k) in enumerate(zip(widths[:-1], widths[1:], keys, strict=True))
        ]
        b = jax.random.normal(direction, (fourier, in_size), dtype)
        b = b / jnp.linalg.norm(b, axis=1, keepdims=True)
        scale = frequency * jnp.exp(spread * jax.random.normal(length, (fourier, 1), dtype))
        self.frequencies = b * scale
        self.times = jnp.asarray(math.pi / 8 * np.arange(1, time_features + 1), dtype)
        self.activation = activation

    def __check_init__(self) -> None:
        weights = [getattr(one, "layer", one).weight for one in self.layers]
        for i, (first, second) in enumerate(itertools.pairwise(weights)):
            if first.shape[-2] != second.shape[-1]:
                raise ValueError(
                    f"layers: number {i} gives {first.shape[-2]} numbers, the one after it takes "
                    f"{second.shape[-1]}."
                )

    def __call__(self, h: Array, s: Scalar) -> Array:
        dtype = self.layers[0].weight.dtype
        # Phases of high frequency lose digits, so the features are of the better of the two.
        fine = max((dtype, h.dtype), key=lambda d: jnp.finfo(d).bits)
        x, level = h.astype(fine), s.astype(fine)
        b = jax.lax.stop_gradient(self.frequencies).astype(fine)
        damping = jnp.exp(-0.5 * level * jnp.sum(b * b, axis=1))
        phase = matmul(b, x)
        waves = [damping * jnp.cos(phase), damping * jnp.sin(phase)]
        z = jnp.concatenate([x, *waves, level_features(level, self.times)]).astype(dtype)
        for layer in self.layers[:-1]:
            z = self.activation(layer(z))
        return self.layers[-1](z).astype(h.dtype)

    def __getstate__(self) -> dict:
        return named(self.__dict__)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(restored(state))

    def with_zero_output(self) -> ScoreNetwork:
        return eqx.tree_at(
            lambda n: (n.layers[-1].weight, n.layers[-1].bias), self, replace_fn=jnp.zeros_like
        )

    def rounded(self) -> ScoreNetwork:
        """The same network with the products between hidden layers by ``rounded_dot``: to train.

        The first and the last layer stay as they are: the rounding of the features would be seen
        in the field as steps. Weights that are not float32 are left alone.
        """
        hidden = self.layers[1:-1]
        if not hidden or self.layers[0].weight.dtype != jnp.float32:
            return self
        coarse = [RoundedLinear(layer) for layer in hidden]
        return eqx.tree_at(lambda network: network.layers[1:-1], self, coarse)


def _started(layer: eqx.nn.Linear, size: float) -> eqx.nn.Linear:
    """Weights of variance size²/n (equinox draws 1/3n, uniformly) and no bias."""
    weight, bias = size * math.sqrt(3.0) * layer.weight, jnp.zeros_like(layer.weight[:, 0])
    return eqx.tree_at(lambda one: (one.weight, one.bias), layer, (weight, bias))


class NetworkSpec(Architecture):
    """The sizes of a ``ScoreNetwork``, whose arguments these are: a network to be.

    ``NetworkSpec(width=512, depth=5, fourier=0, activation=sine)`` is the network of
    De Bortoli et al. 2022.

    **Arguments:**

    - ``frequency``: by default √(2/d)/4h, between 1 and 200, for data of dimension d whose finest
      structure has length h (``models.data_resolution``) in models that measure it, and 8 in
      others.
    - ``products``: "bfloat16" trains with the products between hidden layers rounded
      (``ScoreNetwork.rounded``), which is faster where the processor multiplies bfloat16 faster;
      weights, sums, activations and optimiser stay float32, and so does everything that is asked
      of the trained model (densities, samples, validation).

    **Raises:** ``ValueError`` for another ``products`` and for impossible sizes.
    """

    learning_rate: ClassVar[float] = 5e-3

    width: int = 256
    depth: int = 4
    fourier: int = 128
    frequency: float | None = None
    spread: float = 1.0
    time_features: int = 8
    activation: Callable = eqx.field(static=True, default=jax.nn.silu)
    products: Literal["float32", "bfloat16"] = "float32"

    def __check_init__(self) -> None:
        if self.products not in ("float32", "bfloat16"):
            raise ValueError(f'products must be "float32" or "bfloat16", got {self.products!r}.')
        least = {"width": 1, "depth": 0, "fourier": 0, "time_features": 0, "spread": 0.0}
        for name, low in least.items():
            if not low <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be {low} or more; got {getattr(self, name)!r}.")
        if self.frequency is not None and not 0.0 < self.frequency < math.inf:
            raise ValueError(f"frequency must be positive and finite; got {self.frequency!r}.")

    def __getstate__(self) -> dict:
        return named(self.__dict__)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(restored(state))

    def at_resolution(self, length: Callable[[], float], dim: int) -> NetworkSpec:
        if self.frequency is not None:
            return self
        low, high = _FREQUENCIES
        found = math.sqrt(2.0 / dim) / (4.0 * length())
        return dataclasses.replace(self, frequency=min(max(found, low), high))

    def in_training(self, network: Network) -> Network:
        coarse = self.products == "bfloat16"
        return network.rounded() if coarse and isinstance(network, ScoreNetwork) else network

    def build(
        self, in_size: int, out_size: int, *, dtype: DTypeLike | None = None, key: Key
    ) -> ScoreNetwork:
        """The network, with parameters drawn from ``key``."""
        sizes = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del sizes["products"]
        sizes["frequency"] = self.frequency or _FREQUENCY
        return ScoreNetwork(in_size, out_size, **sizes, dtype=dtype, key=key)
