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
from scorefold._types import Point, Scalar, Values, safe_where
from scorefold._weights import average
from scorefold.manifolds import Manifold
from scorefold.noising._base import BrownianNoising, Reference
from scorefold.noising.references import UniformReference
from scorefold.noising.schedules import Linear, Schedule

_NARROWEST, _WIDEST = 1e-8, 20.0
"""Variances in radians²: of angles that do not vary, and of those that are all over the circle."""


class TorusBrownian(BrownianNoising):
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

    def baseline(self, x: Point, s: Scalar) -> Point:
        back = self.manifold.log(x, jnp.asarray(self.mean, x.dtype))
        return jax.vmap(_slope)(back, jnp.asarray(self.variance, x.dtype) + s)

    @property
    def carries_baseline(self) -> bool:
        return True

    def baseline_log_prob(self, x: Point, s: Scalar) -> Scalar:
        back = self.manifold.log(x, jnp.asarray(self.mean, x.dtype))
        return jnp.sum(jax.vmap(_log_density)(back, jnp.asarray(self.variance, x.dtype) + s))


class _Series(NamedTuple):
    """A wrapped normal law at x for ``back`` = μ − x in [−π, π), by two series of arrays, of which
    one is good to 1e-8: a program of a few lines, where the general profile compiles for seconds.

    Below v = 1 images, Σ_n e^{−(back + 2πn)²/2v}; else 1 + 2Σ_k c_k cos(k back), c_k = e^{−k²v/2}.
    """

    small: Array
    narrow: Scalar
    images: Array
    wide: Scalar
    k: Array
    c: Array

    @classmethod
    def at(cls, back: Scalar, v: Scalar) -> _Series:
        small = v < 1.0
        narrow, wide = safe_where(small, v, 1.0), safe_where(~small, v, 1.0)
        images = back + 2.0 * math.pi * jnp.arange(-3, 4).astype(back.dtype)
        k = jnp.arange(1, 7).astype(back.dtype)
        return cls(small, narrow, images, wide, k, jnp.exp(-0.5 * k * k * wide))


def _slope(back: Scalar, v: Scalar) -> Scalar:
    """(log WN)′ at x: Σ_n w_n (back + 2πn)/v with the shares w_n of the images, or
    2Σ_k k c_k sin(k back)/(1 + 2Σ_k c_k cos(k back))."""
    law = _Series.at(back, v)
    near = jnp.sum(jax.nn.softmax(-0.5 * law.images**2 / law.narrow) * law.images) / law.narrow
    above = jnp.sum(law.k * law.c * jnp.sin(law.k * back))
    return jnp.where(law.small, near, above / (0.5 + jnp.sum(law.c * jnp.cos(law.k * back))))


def _log_density(back: Scalar, v: Scalar) -> Scalar:
    """log WN at x."""
    law = _Series.at(back, v)
    near = jax.nn.logsumexp(-0.5 * law.images**2 / law.narrow)
    near = near - 0.5 * jnp.log(2.0 * math.pi * law.narrow)
    far = jnp.log1p(2.0 * jnp.sum(law.c * jnp.cos(law.k * back))) - math.log(2.0 * math.pi)
    return jnp.where(law.small, near, far)
