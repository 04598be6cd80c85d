"""Brownian motion on a torus, with the wrapped normal law of the data as its baseline."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Point, Scalar, Values, safe_where
from scorefold._weights import average
from scorefold.manifolds import Manifold
from scorefold.noising._base import CarryingNoising, Reference
from scorefold.noising.references import UniformReference
from scorefold.noising.schedules import Linear, Schedule

_NARROWEST, _WIDEST = 1e-8, 20.0
"""Variances in radians²: of angles that do not vary, and of those that are all over the circle."""


class TorusBrownian(CarryingNoising):
    """dX_t = √β(t) dB_t on T^d, as ``Brownian``; ``baseline`` is the score at s of one blob of
    data, the product of wrapped normal laws with the circular means μ_i and variances v_i:

        ∂_i log p_s(x) = (log WN(·; μ_i, v_i + s))′(x_i),   v_i = −2 log |E e^{i x_i}|.

    What flat space has by standardising each coordinate: a network is not asked for d numbers that
    d means and variances give, and of which each of its hidden units sees all at once. Where an
    angle is all over the circle its baseline is 0.

    **Arguments:** ``manifold``: the torus; ``mean``, ``variance``: μ and v, shape ``(d,)``;
    ``schedule``: the clock. ``TorusBrownian.measure(manifold, data)`` takes them from data.
    **Raises:** ``ValueError`` for shapes other than ``(d,)`` and variances that are not positive.

    Source: Mardia & Jupp 2000, Section 3.5.7 (moments of wrapped normal laws).
    """

    manifold: Manifold
    schedule: Schedule = Linear()
    mean: np.ndarray | Array = fixed(kw_only=True)
    variance: np.ndarray | Array = fixed(kw_only=True)

    def __check_init__(self) -> None:
        if not self.manifold.toral:
            raise ValueError(f"manifold: T^d, got {self.manifold.name}.")
        for name in ("mean", "variance"):
            if (shape := np.shape(getattr(self, name))) != self.manifold.shape:
                raise ValueError(f"{name}: shape {self.manifold.shape}, got {shape}.")
        if is_traced((self.mean, self.variance)):
            return
        if not np.isfinite(self.mean).all():
            raise ValueError("mean: finite numbers, one for each angle.")
        if not (np.isfinite(self.variance) & (np.asarray(self.variance) > 0.0)).all():
            raise ValueError("variance: positive numbers, one for each angle.")

    @classmethod
    def measure(
        cls,
        manifold: Manifold,
        data: Values,
        schedule: Schedule | None = None,
        weights: np.ndarray | None = None,
    ) -> TorusBrownian:
        """With the circular moments of ``data``, shape ``(n, d)``; ``weights``: of its rows."""
        turns = average(np.exp(1j * np.asarray(data, np.float64)), weights)
        length = np.maximum(np.abs(turns), np.exp(-0.5 * _WIDEST))
        return cls(
            manifold, schedule or Linear(), mean=np.angle(turns),
            variance=np.maximum(-2.0 * np.log(np.minimum(length, 1.0)), _NARROWEST),
        )  # fmt: skip

    @property
    def starts_at_data(self) -> bool:
        return True

    @property
    def reference(self) -> Reference:
        return UniformReference(self.manifold)

    def scale(self, s: Scalar) -> Scalar:
        """e^{−s/2} / √s, as ``Brownian``."""
        return jnp.exp(-0.5 * s) / jnp.sqrt(s)

    def carried(self, s: Scalar, dtype: DTypeLike) -> WrappedNormals:
        mean, variance = (jnp.asarray(a, dtype) for a in (self.mean, self.variance))
        return WrappedNormals(self.manifold, mean, variance + s)


class WrappedNormals(NamedTuple):
    """The product of wrapped normal laws, by two series of arrays, of which one is good to 1e-8 for
    each angle: a program of a few lines, where the general profile compiles for seconds.

    With ``back`` = μ − x in [−π, π): below v = 1 images, Σ_n e^{−(back + 2πn)²/2v}; else
    1 + 2Σ_k c_k cos(k back), c_k = e^{−k²v/2}.
    """

    manifold: Manifold
    mean: Array
    variance: Array

    def log_prob(self, x: Point) -> Scalar:
        narrow, images, _, c, waves = self._series(x)
        near = jax.nn.logsumexp(-0.5 * images**2 / narrow[:, None], axis=1)
        near = near - 0.5 * jnp.log(2.0 * math.pi * narrow)
        far = jnp.log1p(2.0 * jnp.sum(c * jnp.cos(waves), axis=1)) - math.log(2.0 * math.pi)
        return jnp.sum(jnp.where(self.variance < 1.0, near, far))

    def score(self, x: Point) -> Point:
        """(log WN)′ of each angle: Σ_n w_n (back + 2πn)/v with the shares w_n of the images, or
        2Σ_k k c_k sin(k back)/(1 + 2Σ_k c_k cos(k back))."""
        narrow, images, k, c, waves = self._series(x)
        shares = jax.nn.softmax(-0.5 * images**2 / narrow[:, None], axis=1)
        near = jnp.sum(shares * images, axis=1) / narrow
        above, below = (jnp.sum(a, axis=1) for a in (k * c * jnp.sin(waves), c * jnp.cos(waves)))
        return jnp.where(self.variance < 1.0, near, above / (0.5 + below))

    def _series(self, x: Point) -> tuple[Array, ...]:
        small, back = self.variance < 1.0, self.manifold.log(x, self.mean)
        narrow, wide = (safe_where(which, self.variance, 1.0) for which in (small, ~small))
        images = back[:, None] + 2.0 * math.pi * jnp.arange(-3, 4).astype(back.dtype)[None]
        k = jnp.arange(1, 7).astype(back.dtype)[None]
        return narrow, images, k, jnp.exp(-0.5 * k * k * wide[:, None]), k * back[:, None]
