"""Convolutional networks for images: a small U-Net."""

from __future__ import annotations

import functools
import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Scalar
from scorefold.fields._architecture import Architecture, Network, level_features
from scorefold.fields.convolution import Attention, Convolution, ResidualBlock, normalised


class UNet(Network):
    """A convolutional network of images: residual blocks at each of a few resolutions, down to
    the coarsest and up again, the results on the way down put beside those on the way up.

    A point is a flat vector, an image (height, width, channels) by rows; so is the result. Between
    resolutions a convolution of stride 2, and twice the rows and columns (the nearest pixel), then
    a convolution. The noise level enters every block, by the features of ``ScoreNetwork``.
    With ``periodic`` it commutes with cyclic shifts by patch · 2^(levels − 1) pixels.

    Built by ``ImageNetworkSpec``, whose arguments describe it. The weights may be of lower
    precision than the point.

    Source: Ronneberger et al. 2015; Ho et al. 2020 (residual blocks that know the noise level).
    """

    shape: tuple[int, int, int]
    patch: int
    inward: Convolution
    level: eqx.nn.Linear
    down: list[list[ResidualBlock]]
    halve: list[Convolution]
    middle: list[ResidualBlock | Attention]
    up: list[list[ResidualBlock]]
    double: list[Convolution]
    gain: Array
    offset: Array
    outward: Convolution
    times: Array = fixed()

    def __call__(self, h: Array, s: Scalar) -> Array:
        dtype = self.inward.weight.dtype
        fine = max((dtype, h.dtype), key=lambda d: jnp.finfo(d).bits)
        level = level_features(s.astype(fine), self.times).astype(dtype)
        level = jax.nn.silu(self.level(level))
        z, beside = self.inward(self._cut(h).astype(dtype)), []
        for depth, blocks in enumerate(self.down):
            for block in blocks:
                z = block(z, level)
            beside.append(z)
            if depth < len(self.halve):
                z = self.halve[depth](z)
        for part in self.middle:
            z = part(z) if isinstance(part, Attention) else part(z, level)
        for depth, blocks in enumerate(self.up):
            if depth > 0:
                z = jnp.repeat(jnp.repeat(z, 2, axis=0), 2, axis=1)
                z = self.double[depth - 1](z)
            z = jnp.concatenate([z, beside.pop()], axis=2)
            for block in blocks:
                z = block(z, level)
        groups = self.down[0][0].groups
        z = normalised(z, groups) * self.gain[None, None] + self.offset[None, None]
        return self._joined(self.outward(jax.nn.silu(z))).astype(h.dtype)

    def with_zero_output(self) -> UNet:
        return eqx.tree_at(
            lambda n: (n.outward.weight, n.outward.bias), self, replace_fn=jnp.zeros_like
        )

    def _cut(self, h: Array) -> Array:
        """Squares of ``patch`` × ``patch`` pixels as the channels of one."""
        height, width, channels = self.shape
        p = self.patch
        x = h.reshape(height // p, p, width // p, p, channels).swapaxes(1, 2)
        return x.reshape(height // p, width // p, p * p * channels)

    def _joined(self, x: Array) -> Array:
        height, width, channels = self.shape
        p = self.patch
        return x.reshape(height // p, width // p, p, p, channels).swapaxes(1, 2).reshape(-1)


class ImageNetworkSpec(Architecture):
    """A ``UNet`` to be, for points of ``Euclidean(height · width · channels)`` that are images.

    Pixels are standardised alike, by one mean and one deviation.

    **Arguments:**

    - ``shape``: of the images, (height, width) or (height, width, channels).
    - ``channels``: at the finest resolution; ``multipliers``: times how many at each resolution,
      finest first. Each resolution halves height and width.
    - ``blocks``: residual blocks at each resolution on each of the two ways.
    - ``patch``: squares of this many pixels a side are cut out and treated as one pixel: at 2 the
      work is a quarter.
    - ``attention``: at the coarsest resolution, one head.
    - ``groups``: of channels that are normalised together.
    - ``time_features``: harmonics of the logarithm of the noise level.
    - ``periodic``: images without border, whose last row is the neighbour of the first.

    **Raises:** ``ValueError`` for sizes that are not divided by patch · 2^(levels − 1), or channels
    that are not by ``groups``.
    """

    shape: tuple[int, ...]
    channels: int = 32
    multipliers: tuple[int, ...] = (1, 2, 2)
    blocks: int = 1
    patch: int = 1
    attention: bool = False
    groups: int = 8
    time_features: int = 8
    periodic: bool = False

    def __check_init__(self) -> None:
        counts = (
            *self.shape, self.channels, *self.multipliers, self.blocks, self.patch, self.groups
        )  # fmt: skip
        if len(self.shape) not in (2, 3) or not self.multipliers or min(counts) < 1:
            raise ValueError(
                "shape must be (height, width) or (height, width, channels), multipliers at least "
                f"one number, and all of these 1 or more; got {self}."
            )
        stride = self.patch * 2 ** (len(self.multipliers) - 1)
        height, width = self.shape[:2]
        if height % stride or width % stride:
            raise ValueError(
                f"shape: {height} × {width} pixels cannot be halved {len(self.multipliers) - 1} "
                f"times after patches of {self.patch}; both sides must be multiples of {stride}. "
                "Give fewer multipliers, a smaller patch, or images with a margin."
            )
        if any(self.channels * k % self.groups for k in self.multipliers):
            raise ValueError(
                f"channels: {self.channels} times {self.multipliers} must be multiples of "
                f"groups={self.groups}."
            )

    @property
    def alike(self) -> bool:
        return True

    def build(
        self, in_size: int, out_size: int, *, dtype: DTypeLike | None = None, key: Key
    ) -> UNet:
        if {in_size, out_size} != {math.prod(self.shape)}:
            raise ValueError(
                f"shape: images {self.shape} are points of R^{math.prod(self.shape)}, but this "
                f"network is to take {in_size} numbers and give {out_size}."
            )
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        keys = iter(jax.random.split(key, 8 + 4 * len(self.multipliers) * (self.blocks + 1)))
        height, width, colours = (*self.shape, 1)[:3]
        pixel = self.patch**2 * colours
        wide = [self.channels * k for k in self.multipliers]
        features = 4 * self.channels
        convolution = functools.partial(Convolution, periodic=self.periodic, dtype=dtype)
        block = functools.partial(ResidualBlock, periodic=self.periodic, dtype=dtype)

        def blocks(inputs: int, outputs: int) -> list[ResidualBlock]:
            return [
                block(a, outputs, features, self.groups, key=next(keys))
                for a in [inputs] + [outputs] * (self.blocks - 1)
            ]

        middle: list[ResidualBlock | Attention] = []
        if self.attention:
            middle = [Attention(wide[-1], self.groups, dtype=dtype, key=next(keys))]
        around = list(itertools.pairwise(wide))
        return UNet(
            shape=(height, width, colours),
            patch=self.patch,
            inward=convolution(pixel, wide[0], key=next(keys)),
            level=eqx.nn.Linear(1 + 2 * self.time_features, features, key=next(keys), dtype=dtype),
            down=[blocks(a, a) for a in wide],
            halve=[convolution(a, b, stride=2, key=next(keys)) for a, b in around],
            middle=[*middle, *blocks(wide[-1], wide[-1])[:1]],
            up=[blocks(2 * a, a) for a in wide[::-1]],
            double=[convolution(b, a, key=next(keys)) for a, b in around[::-1]],
            gain=jnp.ones((wide[0],), dtype),
            offset=jnp.zeros((wide[0],), dtype),
            outward=convolution(wide[0], pixel, size=0.1, key=next(keys)),
            times=jnp.asarray(math.pi / 8 * np.arange(1, self.time_features + 1), dtype),
        )
