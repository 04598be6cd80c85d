"""The regularised Wasserstein proximal operator of an ensemble of particles."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.normalisers import ClosedForm, Laplace, Normaliser
from scorefold.proximal.potentials import Potential, Smooth
from scorefold.proximal.preconditioner import Preconditioner


class ProximalKernel(eqx.Module):
    """The kernel formula in R^d, for equal masses at particles y_1, …, y_N:

        ρ_τ(x) = (1/N) Σ_j K(x | y_j),   K(x | y) = e^{−(V(x) + |x − y|²_{M⁻¹}/2τ)/2β}/Z(y),
        ∇ log ρ_τ(x) = −(1/2β)(∇V(x) + M⁻¹(x − Σ_j w_j y_j)/τ),
        w = softmax_j(−|x − y_j|²_{M⁻¹}/4βτ − log Z(y_j)).

    ρ_τ = WProx_{τV,β}(ρ₀) is smooth: a score without a network and without a bandwidth.

    **Arguments:**

    - ``potential``: V, a ``Potential`` or a smooth function of one point (wrapped in ``Smooth``).
    - ``tau``: τ > 0; ``beta``: β > 0, viscosity and temperature.
    - ``preconditioner``: M (default: the identity).
    - ``normaliser``: how log Z is computed (default: ``ClosedForm``, ``Laplace`` for functions).

    Methods take ONE point x, particles (N, d) and their log Z, shape (N,), from
    ``log_normalisers``.

    Source: Li, Liu & Osher 2023; Tan, Osher & Li 2025 (M).
    """

    potential: Potential
    tau: float
    beta: float
    preconditioner: Preconditioner
    normaliser: Normaliser

    def __init__(
        self,
        potential: Potential | Callable[[Point], Scalar],
        *,
        tau: float,
        beta: float,
        preconditioner: Preconditioner | None = None,
        normaliser: Normaliser | None = None,
    ):
        check_finite_positive(tau=tau, beta=beta)
        self.potential = potential if isinstance(potential, Potential) else Smooth(potential)
        self.tau = tau
        self.beta = beta
        self.preconditioner = Preconditioner() if preconditioner is None else preconditioner
        if normaliser is None:
            normaliser = Laplace() if isinstance(self.potential, Smooth) else ClosedForm()
        self.normaliser = normaliser

    def log_normalisers(self, particles: Array, key: Key | None = None) -> Array:
        """log Z(y_j), shape (N,). ``key`` is needed by ``MonteCarlo`` alone.

        **Raises:** ``ValueError`` if it is missing."""
        key = self.checked_key(key)

        def one(y: Point) -> Scalar:
            return self.normaliser(key, self.potential, y, self.tau, self.beta, self.preconditioner)

        return jax.vmap(one)(particles)

    def checked_key(self, key: Key | None) -> Key:
        """``key``, or any key where none is used. **Raises:** ``ValueError`` where one is."""
        if key is None and self.normaliser.draws_points:
            raise ValueError("normaliser draws points: pass key=.")
        return jax.random.key(0) if key is None else key

    def log_kernel(self, x: Point, y: Point, log_z: Scalar) -> Scalar:
        """log K(x | y) in nats."""
        apart = self.preconditioner.squared(x - y) / (2.0 * self.tau)
        return -(self.potential(x) + apart) / (2.0 * self.beta) - log_z

    def log_prob(self, x: Point, particles: Array, log_z: Array) -> Scalar:
        """log ρ_τ(x) in nats."""
        terms = jax.vmap(self.log_kernel, (None, 0, 0))(x, particles, log_z)
        return jax.nn.logsumexp(terms) - math.log(particles.shape[0])

    def attention(self, x: Point, particles: Array, log_z: Array) -> Array:
        """w, shape (N,): the share of each particle in ρ_τ(x)."""
        gap = self.preconditioner.whiten(x[None, :] - particles)
        apart = jnp.sum(gap * gap, axis=-1) / (4.0 * self.beta * self.tau)
        return jax.nn.softmax(-apart - log_z)

    def score(self, x: Point, particles: Array, log_z: Array) -> Point:
        """∇ log ρ_τ(x)."""
        away = x - self.attention(x, particles, log_z) @ particles
        pulled = self.preconditioner.inverse(x) @ away
        return -(jax.grad(self.potential)(x) + pulled / self.tau) / (2.0 * self.beta)
