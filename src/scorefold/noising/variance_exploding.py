"""Brownian motion that is stopped at s(1) rather than run to a limit law."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Scalar
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Manifold
from scorefold.noising._base import CarryingNoising, Reference
from scorefold.noising.references import HeatReference, check_centres, heat_mixture
from scorefold.noising.schedules import Linear, Schedule, check_positive


class VarianceExploding(CarryingNoising):
    """dX_t = √β(t) dB_t on any manifold; X_t | x₀ is the heat kernel at s(t), exactly.

    There is no limit law to end in, so the reference is what data gathered around K centres,
    with variance σ² = ``data_std²`` along each dimension, would have become:

        p_ref(x) = (1/K) Σ_k p_{s(1)+σ²}(x | c_k),

    on flat space N(c, (s(1) + σ²) I): X = x₀ + √s Z. ``baseline`` is the score of the same
    mixture at s + σ², and ``scale`` = √(σ² / (s(s + σ²))) is the size of what is left, so that a
    network sees targets of unit variance (the preconditioning of Karras et al. 2022, Table 1).

    **Arguments:** ``manifold``: any; ``schedule``: the clock; ``data_std``: σ > 0; ``centres``:
    K points, shape ``(K, *manifold.shape)`` (default: the origin).
    **Raises:** ``ValueError`` for a bad ``data_std`` and for centres off the manifold.

    On a hyperbolic space Brownian motion never forgets its starting point: the direction in which
    it escapes depends on it. So the reference is wrong by an amount that no longer clock mends:
    for two groups of data at distance 1 on either side of the centre in H^2, by 0.07 nats
    (Kullback–Leibler, s(1) = 5); by 0.01 and 0.005 with 16 and 64 training points as ``centres``.

    Source: Song et al. 2021 (flat space); the heat kernel takes the place of the normal law.
    """

    manifold: Manifold
    schedule: Schedule = Linear()
    data_std: float = 1.0
    centres: np.ndarray | Array | None = fixed(default=None)

    def __check_init__(self) -> None:
        check_positive("data_std", self.data_std)
        check_centres(self.manifold, self.centres)

    @property
    def reference(self) -> Reference:
        end = self.schedule.total + self.data_std**2
        return HeatReference(self.manifold, end, self.centres)

    def scale(self, s: Scalar) -> Scalar:
        variance = self.data_std**2
        return jnp.sqrt(variance / (s * (s + variance)))

    def carried(self, s: Scalar, dtype: DTypeLike) -> TransitionMixture:
        return heat_mixture(self.manifold, self.centres, s + self.data_std**2, dtype)
