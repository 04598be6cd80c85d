"""The potential mean-field game behind the regularised Wasserstein proximal operator."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Scalar, ScalarLike
from scorefold.proximal._check import check_finite_positive
from scorefold.proximal.calculus import Calculus


class Residuals(NamedTuple):
    """What is left of the two equations at the nodes, each of shape ``box.shape``."""

    hjb: Array
    """−∂_t U + ½|∇U|² − γΔU."""
    fokker_planck: Array
    """∂_t ρ − ∇·(ρ∇U) − γΔρ."""


class MeanFieldGame(eqx.Module):
    """The Benamou–Brenier problem with viscosity on a periodic grid,

        inf ∫₀^τ∫ ½ρ|v|² dx dt + ∫ V ρ(·, τ) dx,   ∂_t ρ + ∇·(ρv) = γΔρ,   ρ(·, 0) = ρ₀,

    solved by Cole–Hopf: v = −∇U, and with η(·, t) = G_{2γ(τ−t)} * e^{−V/2γ}

        U(·, t) = −2γ log η(·, t),
        ρ(·, t) = η(·, t) · (G_{2γt} * (ρ₀/η(·, 0))),
        −∂_t U + ½|∇U|² = γΔU,  U(·, τ) = V,      ∂_t ρ − ∇·(ρ∇U) = γΔρ,

    G_s the normal law of variance s. No time steps: any t costs two heat flows. ρ(·, τ) is
    WProx_{τV,γ}(ρ₀). Everything is kept as logs.

    **Arguments:**

    - ``calculus``: how heat flows and derivatives are computed on the grid.
    - ``potential``: V at the nodes; ``log_rho0``: log ρ₀ at the nodes, of total mass 1 (see
      ``PeriodicBox.normalised``). One dtype.
    - ``tau``: τ > 0, the step of the operator; ``gamma``: γ > 0, the viscosity (β of the kernel
      formula, σ²/2 of the diffusion).

    **Raises:** ``ValueError`` for bad numbers, arrays that do not fit the grid or are NaN.

    Source: Zhang et al. 2024 (arXiv 2402.06162); Li, Liu & Osher 2023.
    """

    calculus: Calculus
    V: Array
    log_rho0: Array
    tau: float
    gamma: float

    def __init__(
        self, calculus: Calculus, potential: Array, log_rho0: Array, *, tau: float, gamma: float
    ):
        check_finite_positive(tau=tau, gamma=gamma)
        for name, values in (("potential", potential), ("log_rho0", log_rho0)):
            calculus.box.check(name, values)
            if not isinstance(values, jax.core.Tracer) and bool(jnp.isnan(values).any()):
                raise ValueError(f"{name} is NaN at {int(jnp.isnan(values).sum())} nodes.")
        self.calculus = calculus
        self.V = potential
        self.log_rho0 = log_rho0
        self.tau = tau
        self.gamma = gamma

    def potential(self, t: ScalarLike) -> Array:
        """U(·, t) at the nodes, 0 ≤ t ≤ τ; the viscous Moreau envelope of V at t = 0."""
        return -2.0 * self.gamma * self._log_eta(t)

    def log_density(self, t: ScalarLike) -> Array:
        """log ρ(·, t) at the nodes, nats."""
        t = self._time(t)
        ratio = self.log_rho0 - self._log_eta(jnp.zeros_like(t))
        return self._log_eta(t) + self.calculus.log_heat(ratio, 2.0 * self.gamma * t)

    def velocity(self, t: ScalarLike) -> Array:
        """v(·, t) = −∇U, the drift of dX = v dt + √(2γ) dW, shape ``(*shape, d)``."""
        return -self.calculus.gradient(self.potential(t))

    def residuals(self, t: ScalarLike) -> Residuals:
        """Both equations at time t, 0 < t < τ: time derivatives by automatic differentiation,
        space derivatives by the calculus, applied to U and ρ and not to η."""
        t, one = self._time(t), jnp.ones((), self.V.dtype)
        U, dU = jax.jvp(self.potential, (t,), (one,))
        rho, drho = jax.jvp(lambda r: jnp.exp(self.log_density(r)), (t,), (one,))
        c = self.calculus
        slope = c.gradient(U)
        hjb = -dU + 0.5 * jnp.sum(slope * slope, axis=-1) - self.gamma * c.laplacian(U)
        flux = c.divergence(rho[..., None] * slope)
        return Residuals(hjb, drho - flux - self.gamma * c.laplacian(rho))

    def kinetic_energy(self, nodes: int = 16) -> Scalar:
        """∫₀^τ∫ ½ρ|∇U|² dx dt = W_γ(ρ₀, ρ_τ)²/2τ at the optimum, by Gauss–Legendre in t."""
        at, weight = np.polynomial.legendre.leggauss(nodes)
        times = jnp.asarray(0.5 * self.tau * (1.0 + at), self.V.dtype)
        weights = jnp.asarray(0.5 * self.tau * weight, self.V.dtype)

        def power(t: Scalar) -> Scalar:
            v = self.velocity(t)
            density = jnp.exp(self.log_density(t))
            return self.calculus.box.integral(0.5 * density * jnp.sum(v * v, axis=-1))

        return jnp.sum(weights * jax.lax.map(power, times))

    def value(self, potential: Array | None = None, nodes: int = 16) -> Scalar:
        """The objective ∫ V ρ_τ + ∫₀^τ∫ ½ρ|v|² reached by this flow. With another ``potential``
        than its own, an upper bound of that potential's optimum."""
        V = self.V if potential is None else potential
        end = jnp.exp(self.log_density(self.tau))
        return self.calculus.box.integral(V * end) + self.kinetic_energy(nodes)

    def dual_value(self) -> Scalar:
        """∫ U(·, 0) ρ₀ dx: equal to ``value`` (strong duality), without an integral over time."""
        return self.calculus.box.integral(self.potential(0.0) * jnp.exp(self.log_rho0))

    def _time(self, t: ScalarLike) -> Scalar:
        t, end = jnp.asarray(t, self.V.dtype), self.tau * (1 + 1e-6)
        if not isinstance(t, jax.core.Tracer) and not 0 <= float(t) <= end:
            raise ValueError(f"t must lie in [0, tau] = [0, {end:g}], got {float(t):g}.")
        return t

    def _log_eta(self, t: ScalarLike) -> Array:
        left = jnp.maximum(self.tau - self._time(t), 0.0)
        return self.calculus.log_heat(-self.V / (2.0 * self.gamma), 2.0 * self.gamma * left)
