"""Three ways to the normaliser log Z(y) of the kernel formula."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.proximal.potentials import Potential
from scorefold.proximal.preconditioner import Preconditioner


class Normaliser(eqx.Module):
    """log Z(y) = log ∫ e^{−(V(z) + |z − y|²_{M⁻¹}/2τ)/2β} dz at one point."""

    @abc.abstractmethod
    def __call__(
        self, key: Key, V: Potential, y: Point, tau: float, beta: float, metric: Preconditioner
    ) -> Scalar:
        """log Z(y). Particles of one ensemble share ``key``."""

    @property
    def draws_points(self) -> bool:
        """Whether the key is used."""
        return False


class ClosedForm(Normaliser):
    """The potential's own formula: ``Quadratic`` and ``AbsoluteValue`` have one."""

    def __call__(
        self, key: Key, V: Potential, y: Point, tau: float, beta: float, metric: Preconditioner
    ) -> Scalar:
        return V.log_normaliser(y, tau, beta, metric)


class Laplace(Normaliser):
    """Laplace's method at the proximal point p = prox(y):

        log Z ≈ −(V(p) + |p − y|²_{M⁻¹}/2τ)/2β + (d/2) log 4πβ − ½ log det(∇²V(p) + M⁻¹/τ).

    Exact for quadratic V; relative error O(β) elsewhere. Where V has kinks the second derivative
    is that of automatic differentiation (0 for ``AbsoluteValue``).

    Source: Han, Osher & Li 2025 (the value at the proximal point, without the determinant).
    """

    def __call__(
        self, key: Key, V: Potential, y: Point, tau: float, beta: float, metric: Preconditioner
    ) -> Scalar:
        p = V.prox(y, tau, metric)
        lowest = V(p) + metric.squared(p - y) / (2.0 * tau)
        curvature = jax.hessian(V)(p) + metric.inverse(y) / tau
        volume = y.shape[0] * math.log(4.0 * math.pi * beta) - jnp.linalg.slogdet(curvature)[1]
        return -lowest / (2.0 * beta) + 0.5 * volume


class MonteCarlo(Normaliser):
    """A mean over normal draws:

        Z(y) = ((4πβτ)^d det M)^½ E e^{−V(z)/2β},   z ~ N(y, 2βτM).

    All particles of a step use the same standard normal draws, so that what they have in common
    cancels in the weights. Unbiased for Z, biased low for log Z by half the relative variance.

    **Arguments:** ``draws``: ≥ 1.
    """

    draws: int = 25

    def __check_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws must be at least 1, got {self.draws}.")

    @property
    def draws_points(self) -> bool:
        return True

    def __call__(
        self, key: Key, V: Potential, y: Point, tau: float, beta: float, metric: Preconditioner
    ) -> Scalar:
        d = y.shape[0]
        noise = metric.colour(jax.random.normal(key, (self.draws, d), y.dtype))
        z = y[None, :] + math.sqrt(2.0 * beta * tau) * noise
        mean = jax.nn.logsumexp(-jax.vmap(V)(z) / (2.0 * beta)) - math.log(self.draws)
        volume = d * math.log(4.0 * math.pi * beta * tau) + metric.log_det(y)
        return mean + 0.5 * volume
