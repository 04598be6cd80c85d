"""The operator without viscosity: every point moves to its Euclidean proximal point."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Point, Scalar
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.potentials import Potential
from scorefold.proximal.preconditioner import Preconditioner


def prox_particles(
    potential: Potential, particles: Array, tau: float, metric: Preconditioner | None = None
) -> Array:
    """WProx_{τV} of equal masses at ``particles``, shape (n, d): y_j ↦ prox_{τV}(y_j).

    Without viscosity the optimal transport of a law to its Wasserstein proximal point is the
    Euclidean proximal map, the limit β → 0 of the kernel formula, where that map is unique
    (V convex, or τ∇²V > −I).
    """
    check_finite_positive(tau=tau)
    metric = Preconditioner() if metric is None else metric
    return jax.vmap(lambda y: potential.prox(y, tau, metric))(particles)


def moreau_envelope(
    potential: Potential, y: Point, tau: float, metric: Preconditioner | None = None
) -> Scalar:
    """min_z V(z) + |z − y|²_{M⁻¹}/2τ at one point: the limit γ → 0 of U(y, 0)."""
    check_finite_positive(tau=tau)
    metric = Preconditioner() if metric is None else metric
    z = potential.prox(y, tau, metric)
    return potential(z) + metric.squared(z - y) / (2.0 * tau)


def pushforward_log_prob(
    potential: Potential,
    log_rho0: Callable[[Point], Scalar],
    x: Point,
    tau: float,
    metric: Preconditioner | None = None,
) -> Scalar:
    """log density of WProx_{τV}(ρ₀) at one point x, for V convex and smooth at x:

        log ρ_τ(x) = log ρ₀(x + τM∇V(x)) + log det(I + τM∇²V(x)),

    since x + τM∇V(x) is the point whose proximal point is x. −∞ where no point maps to x is not
    seen by this formula.
    """
    check_finite_positive(tau=tau)
    metric = Preconditioner() if metric is None else metric
    origin = x + tau * metric.apply(jax.grad(potential)(x))
    pull = tau * metric.matrix(x)
    stretch = jnp.eye(x.shape[0], dtype=x.dtype) + pull @ jax.hessian(potential)(x)
    return log_rho0(origin) + jnp.linalg.slogdet(stretch)[1]
