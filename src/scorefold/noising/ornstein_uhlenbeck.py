"""The Ornstein–Uhlenbeck process on flat space: variance-preserving noising."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.manifolds import Euclidean, Manifold
from scorefold.noising._base import Noising
from scorefold.noising.references import WrappedNormal
from scorefold.noising.schedules import Linear, Schedule, check_positive


class OrnsteinUhlenbeck(Noising):
    """dX_t = −β(t)(X_t − μ)/(2σ²) dt + √β(t) dB_t on R^d, reference N(μ, σ²I):

        X_s | x₀ ~ N(μ + m(x₀ − μ), v I),   m = e^{−s/2σ²},  v = σ²(1 − e^{−s/σ²}).

    With σ = 1 this is the variance-preserving process. ``baseline`` and ``scale`` are those of
    data with mean μ and standard deviation ``data_std`` = τ (Karras et al. 2022, Table 1):
    −(x − μ)/(m²τ² + v) and mτ/√(v(m²τ² + v)), so that a network sees targets of unit variance.

    **Arguments:** ``manifold``: R^d as ``Euclidean(d)`` or the number d; ``schedule``: the clock;
    keyword-only ``location`` μ, shape ``(d,)`` (default 0), ``std`` σ > 0, ``data_std`` τ > 0.
    **Raises:** ``ValueError`` for a manifold that is not flat space and for bad values.

    Source: Song et al. 2021, Section 3.4 (VP SDE).
    """

    manifold: Manifold
    schedule: Schedule
    law: WrappedNormal
    std: float
    data_std: float

    def __init__(
        self,
        manifold: Manifold | int,
        schedule: Schedule = Linear(),  # noqa: B008  (a frozen value)
        *,
        location: np.ndarray | Array | None = None,
        std: float = 1.0,
        data_std: float = 1.0,
    ) -> None:
        self.manifold = Euclidean(manifold) if isinstance(manifold, int) else manifold
        _require_flat(self.manifold)
        self.schedule = schedule
        self.law = WrappedNormal(self.manifold, location, std)
        self.std = std
        self.data_std = data_std

    def __check_init__(self) -> None:
        _require_flat(self.manifold)
        check_positive("std", self.std)
        check_positive("data_std", self.data_std)

    @property
    def reference(self) -> WrappedNormal:
        return self.law

    def drift(self, x: Point) -> Point:
        return -(x - self._location(x)) / (2.0 * self.std**2)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        m, v = self._moments(jnp.asarray(s, x0.dtype))
        mu = self._location(x0)
        return mu + m * (x0 - mu) + jnp.sqrt(v) * jax.random.normal(key, x0.shape, x0.dtype)

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        m, v = self._moments(jnp.asarray(s, x.dtype))
        mu = self._location(x)
        gap = x - mu - m * (x0 - mu)
        d = self.manifold.dim
        return -0.5 * jnp.sum(gap * gap) / v - 0.5 * d * (math.log(2.0 * math.pi) + jnp.log(v))

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        m, v = self._moments(jnp.asarray(s, x.dtype))
        mu = self._location(x)
        return -(x - mu - m * (x0 - mu)) / v

    def scale(self, s: Scalar) -> Scalar:
        m, v = self._moments(s)
        return m * self.data_std / jnp.sqrt(v * (m * m * self.data_std**2 + v))

    def baseline(self, x: Point, s: Scalar) -> Point:
        m, v = self._moments(s)
        return -(x - self._location(x)) / (m * m * self.data_std**2 + v)

    def _moments(self, s: Scalar) -> tuple[Scalar, Scalar]:
        rate = 1.0 / self.std**2
        return jnp.exp(-0.5 * rate * s), -jnp.expm1(-rate * s) / rate

    def _location(self, x: Point) -> Point:
        location = self.law.location
        return jnp.zeros_like(x) if location is None else jnp.asarray(location, x.dtype)


def _require_flat(manifold: Manifold) -> None:
    if not manifold.euclidean:
        raise ValueError(
            f"OrnsteinUhlenbeck is the process on flat space, not on {manifold.name}. "
            "Use Langevin(manifold), which drifts to a reference on any manifold."
        )
