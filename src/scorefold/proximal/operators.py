"""Wasserstein proximal operators of laws on a grid, their inverse, and the identity of both."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Scalar, ScalarLike
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.calculus import Calculus
from scorefold.proximal.game import MeanFieldGame


def wasserstein_prox(
    calculus: Calculus, potential: Array, log_rho0: Array, *, tau: float, gamma: float
) -> Array:
    """log WProx_{τV,γ}(ρ₀), the minimiser of ∫ V q dx + W_γ(ρ₀, q)²/2τ over densities q.

    **Arguments:** as for ``MeanFieldGame``, whose density at t = τ this is.
    **Returns:** log density at the nodes, nats, of the mass of ρ₀.

    Source: Li, Liu & Osher 2023; Zhang et al. 2024.
    """
    return MeanFieldGame(calculus, potential, log_rho0, tau=tau, gamma=gamma).log_density(tau)


def cross_entropy_prox(
    calculus: Calculus, log_target: Array, log_rho0: Array, s: ScalarLike
) -> Array:
    """log WProx_{σ²τH,σ²/2}(ρ₀) for the cross-entropy H(q, π) = −∫ q log π, s = σ²τ:

        x ↦ π(x) ∫ G_s(x − y) ρ₀(y) / (G_s * π)(y) dy.

    The potential is V = −2γ log π with γ = σ²/2, so that τ and γ enter through s = 2γτ alone. It
    contracts the Kullback–Leibler divergence: KL(WProx ρ₀ ‖ π) ≤ KL(ρ₀ ‖ G_s * π).

    **Arguments:** ``log_target``: log π at the nodes, normalised; ``log_rho0``: log ρ₀ likewise;
    ``s``: the variance of the noise, in the units of x².

    Source: Zhang et al. 2024.
    """
    ratio = log_rho0 - calculus.log_heat(log_target, s)
    return log_target + calculus.log_heat(ratio, s)


def inverse_cross_entropy_prox(calculus: Calculus, log_target: Array, s: ScalarLike) -> Array:
    """log WProx⁻¹(π) = log(G_s * π): the inverse of ``cross_entropy_prox`` at π is the heat flow,
    s = σ²τ. This is the forward diffusion of a score-based model.

    Source: Zhang et al. 2024.
    """
    return calculus.log_heat(log_target, s)


def round_trip(calculus: Calculus, log_target: Array, s: ScalarLike) -> Array:
    """log WProx(WProx⁻¹(π)), which is log π: noising followed by denoising changes nothing.

    Source: Zhang et al. 2024, π = WProx_{σ²τH,σ²/2}(WProx⁻¹_{σ²τH,σ²/2}(π)).
    """
    start = inverse_cross_entropy_prox(calculus, log_target, s)
    return cross_entropy_prox(calculus, log_target, start, s)


def kernel_formula(
    potential: Array,
    nodes: Array,
    log_weights: Array,
    sources: Array,
    log_masses: Array,
    *,
    tau: float,
    beta: float,
) -> Array:
    """The kernel formula for the regularised operator, on any nodes with quadrature weights w:

        ρ_τ(x) = Σ_j m_j K(x | y_j),   K(x | y) = e^{−(V(x) + |x − y|²/2τ)/2β} / Z(y),
        Z(y) = Σ_i w_i e^{−(V(x_i) + |x_i − y|²/2τ)/2β}.

    On flat space, without walls: nothing is periodic. Sources are particles (equal masses) or the
    nodes again (masses w_i ρ₀(x_i)). Each column of K has mass 1 under the weights.

    **Arguments:** ``potential``: V at the nodes (n,); ``nodes``: (n, d); ``log_weights``: (n,);
    ``sources``: y, (m, d); ``log_masses``: (m,); ``tau``: τ; ``beta``: β, the viscosity.
    **Returns:** log ρ_τ at the nodes, (n,). Memory n·m.
    **Raises:** ``ValueError`` for numbers that are not positive and lengths that do not agree.

    Source: Li, Liu & Osher 2023, "A kernel formula for regularized Wasserstein proximal
    operators".
    """
    check_finite_positive(tau=tau, beta=beta)
    n, m = nodes.shape[0], sources.shape[0]
    for name, values, rows in (
        ("potential", potential, n), ("log_weights", log_weights, n), ("log_masses", log_masses, m)
    ):  # fmt: skip
        if values.shape != (rows,):
            raise ValueError(f"{name} has shape {values.shape}, needs ({rows},).")
    scale = jnp.asarray(tau, nodes.dtype), jnp.asarray(beta, nodes.dtype)
    return _kernel_formula(potential, nodes, log_weights, sources, log_masses, *scale)


@jax.jit
def _kernel_formula(
    V: Array, x: Array, log_w: Array, y: Array, log_m: Array, tau: Scalar, beta: Scalar
) -> Array:
    gap = x[:, None, :] - y[None, :, :]
    exponent = V[:, None] + jnp.sum(gap * gap, axis=-1) / (2.0 * tau)
    log_kernel = -exponent / (2.0 * beta)
    log_z = jax.nn.logsumexp(log_kernel + log_w[:, None], axis=0)
    return jax.nn.logsumexp(log_kernel + (log_m - log_z)[None, :], axis=1)
