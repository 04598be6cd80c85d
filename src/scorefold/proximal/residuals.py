"""The two equations of the mean-field game at one point, by automatic differentiation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scorefold._types import Point, Scalar, ScalarLike

SpaceTime = Callable[[Point, Scalar], Scalar]
"""(x, t) ↦ a number; x of shape ``(d,)``."""


def hjb_residual(U: SpaceTime, x: Point, t: ScalarLike, *, gamma: float) -> Scalar:
    """−∂_t U + ½|∇U|² − γΔU at (x, t): 0 for the value function of the game.

    **Arguments:** ``U``: (x, t) ↦ U(x, t), twice differentiable; ``x``: one point, ``(d,)``.
    """
    t = jnp.asarray(t, x.dtype)
    slope = jax.grad(U)(x, t)
    return -jax.grad(U, 1)(x, t) + 0.5 * jnp.sum(slope * slope) - gamma * _laplacian(U, x, t)


def fokker_planck_residual(
    rho: SpaceTime, U: SpaceTime, x: Point, t: ScalarLike, *, gamma: float
) -> Scalar:
    """∂_t ρ − ∇·(ρ∇U) − γΔρ at (x, t): 0 for the density that moves with velocity −∇U.

    **Arguments:** as for ``hjb_residual``; ``rho``: (x, t) ↦ ρ(x, t).
    """
    t = jnp.asarray(t, x.dtype)
    transport = jnp.sum(jax.grad(rho)(x, t) * jax.grad(U)(x, t)) + rho(x, t) * _laplacian(U, x, t)
    return jax.grad(rho, 1)(x, t) - transport - gamma * _laplacian(rho, x, t)


def _laplacian(f: SpaceTime, x: Point, t: Scalar) -> Scalar:
    return jnp.trace(jax.hessian(f)(x, t))
