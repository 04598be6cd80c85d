"""Riemannian metrics on R^D from a field of local covariances."""

import abc
import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._types import Scalar
from scorefold.learned_manifolds.manifold import LearnedManifold, tangent_projector

_MOST = 12.0
"""Largest logarithm of the factor far from all data: finite in single precision."""


class LearnedMetric(eqx.Module):
    """A metric tensor at every point of R^D, from the covariances of a ``LearnedManifold``.

    **Away from the data** Σ(x) is that of the nearest kernels, and empty space costs no more than
    the data's own normal directions. ``fade`` = α > 0 divides Σ(x) by

        c(x)⁻¹ = (K(x) + α)/((1 + α) K(x)),   K(x) = exp(log_crowd(x)),

    which is about 1 among the data (between 1/(1 + α) and 1 for K ≥ 1, exactly 1 at K = 1) and
    α/K(x) in empty space, at most e¹².
    """

    learned: eqx.AbstractVar[LearnedManifold]

    @abc.abstractmethod
    def tensor(self, x: Float[Array, " d"]) -> Float[Array, "d d"]:
        """g(x), symmetric and positive definite."""

    def _factor(self, x: Array, fade: float) -> Scalar:
        if not fade:
            return jnp.ones((), x.dtype)
        empty = math.log(fade) - self.learned.log_crowd(x)
        log_factor = jnp.logaddexp(jnp.zeros((), x.dtype), empty) - math.log1p(fade)
        return jnp.exp(jnp.minimum(log_factor, _MOST))


class InverseCovariance(LearnedMetric):
    """g(x) = (Σ(x) + ρ·1)⁻¹ / c(x): lengths in local standard deviations.

    **Arguments:** ``learned``; ``floor``: ρ ≥ 0, a variance that bounds g from above by 1/ρ;
    ``fade``: α ≥ 0 (see ``LearnedMetric``; 0: c = 1).

    Source: Hauberg, Freifeld & Black 2012; Arvanitidis, Hansen & Hauberg 2016 (large away from
    the data).
    """

    learned: LearnedManifold
    floor: float = 0.0
    fade: float = 0.0

    def tensor(self, x: Float[Array, " d"]) -> Float[Array, "d d"]:
        full = self.learned.covariance(x)
        raised = full + self.floor * jnp.eye(len(x), dtype=x.dtype)
        return jnp.linalg.inv(raised) * self._factor(x, self.fade)


class InducedMetric(LearnedMetric):
    """g(x) = (P(x) + κ(x)(1 − P(x))) / c(x), P(x) the projector onto the tangent space of
    dimension ``dim``: along the learned manifold the length of R^D, which is the metric that a
    submanifold inherits, and κ times as much (as a square) across it.

    **Arguments:** ``learned``; ``dim``: from 1 to D − 1; ``normal``: κ ≥ 1, or None for the ratio
    of the mean eigenvalues of Σ(x) along and across, what the data themselves say. A curve on a
    sphere that turns by θ cuts its corner by a share θ²/24κ of its length; a large κ holds it.
    ``fade``: α ≥ 0.
    """

    learned: LearnedManifold
    dim: int
    normal: float | None = None
    fade: float = 0.0

    def __check_init__(self) -> None:
        if not 1 <= self.dim < self.learned.dim:
            raise ValueError(
                f"dim: must be from 1 to {self.learned.dim - 1} in R^{self.learned.dim}, "
                f"got {self.dim}."
            )

    def tensor(self, x: Float[Array, " d"]) -> Float[Array, "d d"]:
        along, ratio = tangent_projector(self.learned.covariance(x), self.dim)
        normal = ratio if self.normal is None else jnp.asarray(self.normal, x.dtype)
        across = jnp.eye(len(x), dtype=x.dtype) - along
        return (along + normal * across) * self._factor(x, self.fade)
