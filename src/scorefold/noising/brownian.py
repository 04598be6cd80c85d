"""Brownian motion as the noising process of a compact manifold."""

import jax.numpy as jnp

from scorefold._types import Point, Scalar
from scorefold.manifolds import Manifold
from scorefold.noising._base import BrownianNoising, Reference
from scorefold.noising.references import UniformReference
from scorefold.noising.schedules import Linear, Schedule


class Brownian(BrownianNoising):
    """dX_t = √β(t) dB_t; X_t | x₀ is the heat kernel at s(t), reference: uniform.

    **Arguments:** ``manifold``: compact; ``schedule``: the clock.
    **Raises:** ``ValueError`` for a manifold that is not compact: Brownian motion has no limit
    law there (use ``VarianceExploding``, or ``Langevin`` for a drift towards a reference).

    Source: De Bortoli et al. 2022, Section 3, with β as in Song et al. 2021.
    """

    manifold: Manifold
    schedule: Schedule = Linear()

    def __check_init__(self) -> None:
        if not self.manifold.compact:
            raise ValueError(
                f"Brownian motion on {self.manifold.name} has no limit law. Use "
                "VarianceExploding(manifold), or Langevin(manifold), which has a drift."
            )

    @property
    def reference(self) -> Reference:
        return UniformReference(self.manifold)

    def scale(self, s: Scalar) -> Scalar:
        """e^{−λ₁s/2} / √s: the kernel's own size at small s, the decay of its slowest mode."""
        return jnp.exp(-0.5 * self.manifold.spectral_gap * s) / jnp.sqrt(s)

    def baseline(self, x: Point, s: Scalar) -> Point:
        return jnp.zeros_like(x)
