"""Brownian motion as the noising process of a compact manifold."""

from __future__ import annotations

import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.heat import HeatKernel
from scorefold.manifolds import Manifold
from scorefold.noising._base import Noising, Reference
from scorefold.noising.schedules import Linear, Schedule

__all__ = ["Brownian", "UniformReference"]


class UniformReference(Reference):
    """p_ref = 1 / vol(M) on a compact manifold."""

    manifold: Manifold

    def log_prob(self, x: Point) -> Scalar:
        return jnp.full((), -jnp.log(self.manifold.volume), x.dtype)

    def score(self, x: Point) -> Point:
        return jnp.zeros_like(x)

    def sample(self, key: Key, dtype=None) -> Point:
        return self.manifold.uniform(key, dtype)


class Brownian(Noising):
    """dX_t = √β(t) dB_t; X_t | x₀ is the heat kernel at s(t), reference: uniform.

    **Arguments:** ``manifold``: compact; ``schedule``: the clock.
    **Raises:** ``ValueError`` for a manifold that is not compact (use ``Langevin``, or
    ``VarianceExploding`` on flat space): Brownian motion has no limit law there.

    Source: De Bortoli et al. 2022, Section 3, with β as in Song et al. 2021.
    """

    manifold: Manifold
    schedule: Schedule = Linear()

    def __check_init__(self) -> None:
        if not self.manifold.compact:
            raise ValueError(
                f"Brownian motion on {self.manifold.name} has no limit law. Use "
                "Langevin(manifold), or VarianceExploding / OrnsteinUhlenbeck on flat space."
            )

    @property
    def kernel(self) -> HeatKernel:
        return self.manifold.heat

    @property
    def reference(self) -> Reference:
        return UniformReference(self.manifold)

    @property
    def exact(self) -> bool:
        return True

    def drift(self, x: Point) -> Point:
        return jnp.zeros_like(x)

    def sample(self, key: Key, x0: Point, s: Scalar) -> Point:
        return self.kernel.sample(key, x0, s)

    def log_prob(self, x: Point, x0: Point, s: Scalar) -> Scalar:
        return self.kernel.log_prob(x, x0, s)

    def score(self, x: Point, x0: Point, s: Scalar) -> Point:
        return self.kernel.score(x, x0, s)

    def scale(self, s: Scalar) -> Scalar:
        return jnp.exp(-0.5 * self.manifold.spectral_gap * s) / jnp.sqrt(s)

    def baseline(self, x: Point, s: Scalar) -> Point:
        return jnp.zeros_like(x)
