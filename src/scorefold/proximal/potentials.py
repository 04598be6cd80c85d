"""Potentials V on R^d and what is known about them in closed form."""

import abc
import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._pickle import named, restored
from scorefold._types import Point, Scalar, Values
from scorefold.proximal._check import check_matrix
from scorefold.proximal.preconditioner import Preconditioner


class Potential(eqx.Module):
    """V: R^d → R, one point at a time. Its Gibbs law at temperature β is e^{−V/β}/∫e^{−V/β}."""

    @abc.abstractmethod
    def __call__(self, x: Point) -> Scalar:
        """V(x)."""

    @abc.abstractmethod
    def prox(self, y: Point, tau: float, metric: Preconditioner) -> Point:
        """argmin_z V(z) + |z − y|²_{M⁻¹}/2τ, the Euclidean proximal operator."""

    @abc.abstractmethod
    def log_normaliser(self, y: Point, tau: float, beta: float, metric: Preconditioner) -> Scalar:
        """log Z(y) = log ∫ e^{−(V(z) + |z − y|²_{M⁻¹}/2τ)/2β} dz in closed form.

        **Raises:** ``NotImplementedError`` where there is none."""


class Quadratic(Potential):
    """V(x) = ½(x − c)ᵀA(x − c). Gibbs law N(c, βA⁻¹).

        prox(y) = c + (I + τMA)⁻¹(y − c),
        log Z(y) = −(y − c)ᵀA(prox(y) − c)/4β + ½ log((4πβτ)^d det M / det(I + τMA)).

    **Arguments:** ``matrix``: A, symmetric positive definite (d, d); ``centre``: c (d,), default 0.
    **Raises:** ``ValueError`` for other matrices and a centre of another length.
    """

    matrix: Array
    centre: Array

    def __init__(self, matrix: Values, centre: Values | None = None):
        a = check_matrix("matrix", matrix)
        c = np.zeros(len(a)) if centre is None else np.asarray(centre, np.float64)
        if c.shape != (len(a),) or not np.isfinite(c).all():
            raise ValueError(f"centre must be {len(a)} finite numbers, got {c}.")
        self.matrix = jnp.asarray(a, jnp.result_type(float))
        self.centre = jnp.asarray(c, jnp.result_type(float))

    def __call__(self, x: Point) -> Scalar:
        gap = x - self.centre.astype(x.dtype)
        return 0.5 * jnp.sum(gap * (self.matrix.astype(x.dtype) @ gap))

    def prox(self, y: Point, tau: float, metric: Preconditioner) -> Point:
        c = self.centre.astype(y.dtype)
        return c + jnp.linalg.solve(self._spread(y, tau, metric), y - c)

    def log_normaliser(self, y: Point, tau: float, beta: float, metric: Preconditioner) -> Scalar:
        c, spread = self.centre.astype(y.dtype), self._spread(y, tau, metric)
        nearest = jnp.linalg.solve(spread, y - c)
        lowest = jnp.sum((y - c) * (self.matrix.astype(y.dtype) @ nearest))
        volume = y.shape[0] * math.log(4.0 * math.pi * beta * tau) + metric.log_det(y)
        return -lowest / (4.0 * beta) + 0.5 * (volume - jnp.linalg.slogdet(spread)[1])

    def _spread(self, y: Point, tau: float, metric: Preconditioner) -> Array:
        """I + τMA."""
        product = metric.matrix(y) @ self.matrix.astype(y.dtype)
        return jnp.eye(y.shape[0], dtype=y.dtype) + tau * product


class AbsoluteValue(Potential):
    """V(x) = λ Σ_i |x_i|. Gibbs law: independent Laplace laws of scale β/λ.

        prox(y)_i = sign(y_i) max(|y_i| − τλM_ii, 0)   (soft threshold),
        Z(y) = Π_i √(2πv)(e^{μ²v/2 − μy}Φ((y − μv)/√v) + e^{μ²v/2 + μy}Φ(−(y + μv)/√v)),

    v = 2βτM_ii, μ = λ/2β. The derivative is λ·sign(x_i), and 0 at x_i = 0.

    **Arguments:** ``weight``: λ > 0. A preconditioner must be diagonal.
    """

    weight: float = 1.0

    def __check_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise ValueError(f"weight must be a positive finite number, got {self.weight}.")

    def __call__(self, x: Point) -> Scalar:
        # Automatic differentiation of |x| gives 1 at x = 0; of x·sign(x) it gives 0.
        return self.weight * jnp.sum(x * jax.lax.stop_gradient(jnp.sign(x)))

    def prox(self, y: Point, tau: float, metric: Preconditioner) -> Point:
        threshold = tau * self.weight * _diagonal(metric, y)
        return jnp.sign(y) * jnp.maximum(jnp.abs(y) - threshold, 0.0)

    def log_normaliser(self, y: Point, tau: float, beta: float, metric: Preconditioner) -> Scalar:
        v = 2.0 * beta * tau * _diagonal(metric, y)
        mu, width = self.weight / (2.0 * beta), jnp.sqrt(v)
        right = jax.scipy.special.log_ndtr((y - mu * v) / width) - mu * y
        left = jax.scipy.special.log_ndtr(-(y + mu * v) / width) + mu * y
        each = 0.5 * mu**2 * v + 0.5 * jnp.log(2.0 * math.pi * v)
        return jnp.sum(each + jnp.logaddexp(right, left))


class Smooth(Potential):
    """A potential given as a function, twice differentiable where Newton's method meets it.

    ``prox`` takes ``newton`` Newton steps on z ↦ V(z) + |z − y|²_{M⁻¹}/2τ from z = y, each
    shortened to the best of the lengths 1, ½, …, 2⁻⁷. It finds the minimum if τ is so small that
    this function is convex, τM∇²V > −I. Its derivatives are those of the implicit function.

    **Arguments:** ``function``: x ↦ V(x), one point (an ``equinox.Module`` or a function with a
    name of its own: compiled samplers are cached by it); ``newton``: ≥ 1.
    """

    function: Callable[[Point], Scalar]
    newton: int = 12

    def __getstate__(self) -> dict:
        return named(self.__dict__)

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(restored(state))

    def __check_init__(self) -> None:
        if self.newton < 1:
            raise ValueError(f"newton must be at least 1, got {self.newton}.")

    def __call__(self, x: Point) -> Scalar:
        return self.function(x)

    def prox(self, y: Point, tau: float, metric: Preconditioner) -> Point:
        lengths = jnp.asarray(0.5 ** np.arange(8), y.dtype)

        def objective(z: Point, at: Point) -> Scalar:
            return self.function(z) + metric.squared(z - at) / (2.0 * tau)

        def slope(z: Point) -> Point:
            return jax.grad(objective)(z, y)

        def direction(z: Point) -> Point:
            return -jnp.linalg.solve(jax.hessian(objective)(z, y), slope(z))

        def shorten(z: Point, _: None) -> tuple[Point, None]:
            trial = z[None, :] + lengths[:, None] * direction(z)[None, :]
            values = jax.vmap(objective, (0, None))(trial, y)
            best = jnp.argmin(jnp.where(jnp.isfinite(values), values, jnp.inf))
            return jnp.where(values[best] <= objective(z, y), trial[best], z), None

        def newton(_: Callable[[Point], Point], start: Point) -> Point:
            z = jax.lax.scan(shorten, start, None, length=self.newton)[0]
            return z + direction(z)

        def linear(apply: Callable[[Point], Point], b: Point) -> Point:
            return jnp.linalg.solve(jax.jacfwd(apply)(jnp.zeros_like(b)), b)

        # Where the slope is 0: derivatives of all orders are those of that equation.
        return jax.lax.custom_root(slope, jax.lax.stop_gradient(y), newton, linear)

    def log_normaliser(self, y: Point, tau: float, beta: float, metric: Preconditioner) -> Scalar:
        raise NotImplementedError(
            "There is no closed form of log Z for a potential given as a function: use the "
            "normaliser Laplace() or MonteCarlo(draws)."
        )


def _diagonal(metric: Preconditioner, y: Point) -> Array:
    """M_ii of a diagonal preconditioner."""
    if metric.factor is None:
        return jnp.ones_like(y)
    if not metric.is_diagonal:
        raise ValueError("AbsoluteValue is separable: its preconditioner must be diagonal.")
    diagonal = jnp.diagonal(metric.factor).astype(y.dtype)
    return diagonal * diagonal
