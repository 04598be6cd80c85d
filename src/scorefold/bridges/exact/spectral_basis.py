"""Eigenfunctions of the Laplacian that share a symmetry, with a quadrature they are exact for."""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Point, Scalar, Values
from scorefold.heat import is_of_rotations, sphere_dimension
from scorefold.manifolds import Manifold


class SpectralBasis(eqx.Module):
    """L eigenfunctions B_l, −ΔB_l = λ_l B_l, orthonormal with respect to volume, and as many
    nodes z_i with weights w_i of total vol(M) for which Σ_i w_i B_l(z_i) B_m(z_i) = δ_lm.

    A function with the symmetry is a vector of coefficients, or of values at the nodes.
    """

    manifold: eqx.AbstractVar[Manifold]

    @abc.abstractmethod
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Nodes z_i as the densities of ``SpectralBridge`` see them, weights w_i, eigenvalues λ_l
        and the matrix B_l(z_i), shape (L, n); float64."""

    @abc.abstractmethod
    def evaluate(self, x: Point, c: Array) -> tuple[Scalar, Point]:
        """Σ_l c_l B_l(x) and its gradient, a tangent vector at x."""

    @abc.abstractmethod
    def bounds(self) -> np.ndarray:
        """max_x |B_l(x)|, shape (L,)."""


class Zonal(SpectralBasis):
    """Functions of z = ⟨x, axis⟩ on S^d: B_l = √(mult(l)/vol) R_l(z), R_l(1) = 1, Legendre
    polynomials for d = 2; Gauss–Gegenbauer nodes; λ_l = l(l + d − 1)."""

    manifold: Manifold
    degree: int
    axis: np.ndarray = fixed()

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        from scipy.special import roots_gegenbauer

        d, n = self.manifold.dim, self.degree + 1
        z, w = roots_gegenbauer(n, 0.5 * (d - 1))
        table = [np.ones(n), z]
        for l in range(1, self.degree):
            table.append(((2 * l + d - 1) * z * table[l] - l * table[l - 1]) / (l + d - 1))
        values = np.stack(table) * self.bounds()[:, None]
        degrees = np.arange(1.0 * n)
        return z, w * (self.manifold.volume / w.sum()), degrees * (degrees + d - 1), values

    def bounds(self) -> np.ndarray:
        d = self.manifold.dim
        degrees = range(self.degree + 1)
        mult = [math.comb(l + d, d) - (math.comb(l + d - 2, d) if l > 1 else 0) for l in degrees]
        return np.sqrt(np.array(mult, np.float64) / self.manifold.volume)

    def evaluate(self, x: Point, c: Array) -> tuple[Scalar, Point]:
        d, axis = self.manifold.dim, jnp.asarray(self.axis, x.dtype)
        scaled = c * jnp.asarray(self.bounds(), x.dtype)
        l = np.arange(self.degree + 1.0)
        grow = jnp.asarray((2 * l + d - 1) / (l + d - 1), x.dtype)
        drop = jnp.asarray(l / (l + d - 1), x.dtype)
        value, slope = _recurrence(jnp.sum(axis * x), scaled, grow, drop)
        return value, slope * self.manifold.to_tangent(x, axis)


class ClassFunctions(SpectralBasis):
    """Functions of the angle ω of centreᵀR on SO(3): B_l = χ_l/√vol, χ_l = sin((l + ½)ω)/sin(ω/2);
    Gauss–Chebyshev nodes of the Weyl measure (1 − cos ω)/π; λ_l = l(l + 1)."""

    manifold: Manifold
    degree: int
    centre: np.ndarray = fixed()

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        n = self.degree + 1
        omega = 2.0 * math.pi * np.arange(1, n + 1) / (2 * n + 1)
        w = self.manifold.volume * 4.0 / (2 * n + 1) * np.sin(0.5 * omega) ** 2
        l = np.arange(n)
        characters = np.sin((l[:, None] + 0.5) * omega[None, :]) / np.sin(0.5 * omega)[None, :]
        return omega, w, 1.0 * l * (l + 1), characters / math.sqrt(self.manifold.volume)

    def bounds(self) -> np.ndarray:
        return (2.0 * np.arange(self.degree + 1) + 1.0) / math.sqrt(self.manifold.volume)

    def evaluate(self, x: Point, c: Array) -> tuple[Scalar, Point]:
        # χ_l = 1 + 2 Σ_{k ≤ l} cos kω: a Chebyshev series in cos ω = ½(tr(centreᵀR) − 1).
        centre = jnp.asarray(self.centre, x.dtype)
        tail = jnp.cumsum(c[::-1])[::-1] / math.sqrt(self.manifold.volume)
        series = jnp.concatenate([tail[:1], 2.0 * tail[1:]])
        grow = jnp.full_like(c, 2.0).at[0].set(1.0)
        drop = jnp.ones_like(c).at[0].set(0.0)
        value, slope = _recurrence(0.5 * (jnp.sum(centre * x) - 1.0), series, grow, drop)
        return value, slope * self.manifold.gradient(x, 0.5 * centre)


class Waves(SpectralBasis):
    """All functions on T^d: products of 1/√2π, cos(kx)/√π, sin(kx)/√π, k ≤ ``degree``; equally
    spaced nodes, 2·degree + 1 to a circle; λ = |k|²."""

    manifold: Manifold
    degree: int

    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        d, n = self.manifold.dim, 2 * self.degree + 1
        line = -math.pi + 2.0 * math.pi * np.arange(n) / n
        k = np.arange(1, self.degree + 1)[:, None]
        waves = np.concatenate([np.cos(k * line), np.sin(k * line)]) / math.sqrt(math.pi)
        one = np.concatenate([np.full((1, n), 1.0 / math.sqrt(2.0 * math.pi)), waves])
        squares = np.concatenate([[0.0], k[:, 0] ** 2, k[:, 0] ** 2])
        values, eigenvalues = one, squares
        for _ in range(d - 1):
            values = np.kron(values, one)
            eigenvalues = np.add.outer(eigenvalues, squares).ravel()
        nodes = np.stack(np.meshgrid(*[line] * d, indexing="ij"), -1).reshape(-1, d)
        return nodes, np.full(n**d, (2.0 * math.pi / n) ** d), eigenvalues, values

    def bounds(self) -> np.ndarray:
        one = np.full(2 * self.degree + 1, 1.0 / math.sqrt(math.pi))
        one[0] = 1.0 / math.sqrt(2.0 * math.pi)
        out = one
        for _ in range(self.manifold.dim - 1):
            out = np.kron(out, one)
        return out

    def evaluate(self, x: Point, c: Array) -> tuple[Scalar, Point]:
        k = jnp.arange(1, self.degree + 1).astype(x.dtype)
        constant = jnp.full((1,), 1.0 / math.sqrt(2.0 * math.pi), x.dtype)

        def circle(angle: Scalar) -> Array:
            waves = jnp.concatenate([jnp.cos(k * angle), jnp.sin(k * angle)])
            return jnp.concatenate([constant, waves / math.sqrt(math.pi)])

        def value(x: Point) -> Scalar:
            total = c.reshape((2 * self.degree + 1,) * self.manifold.dim)
            for i in range(self.manifold.dim):
                total = jnp.tensordot(circle(x[i]), total, axes=1, precision="highest")
            return total

        return jax.value_and_grad(value)(x)


def spectral_basis(manifold: Manifold, degree: int, centre: Values | None) -> SpectralBasis:
    """Zonal functions on S^d (d ≥ 2), class functions on SO(3), all functions on T^1 and T^2.

    **Raises:** ``ValueError`` for other manifolds and a degree below 1.
    """
    if degree < 1:
        raise ValueError(f"degree must be at least 1, got {degree}.")
    heat = manifold.heat
    if manifold.toral and manifold.dim <= 2:
        if centre is not None:
            raise ValueError("centre: functions on the torus have no symmetry; leave it out.")
        return Waves(manifold, degree)
    sphere = (sphere_dimension(heat) or 0) >= 2
    if sphere or is_of_rotations(heat):
        point = manifold.origin() if centre is None else jnp.asarray(centre, jnp.result_type(float))
        if point.shape != manifold.shape or not bool(manifold.belongs(point, 1e-4)):
            raise ValueError(f"centre: must be one point of {manifold.name}.")
        held = np.asarray(manifold.project(point))
        if sphere:
            return Zonal(manifold, degree, held)
        return ClassFunctions(manifold, degree, held)
    raise ValueError(
        f"There is no spectral bridge on {manifold.name}; use Sphere(d) with d ≥ 2, SO3(), "
        "Torus(1) or Torus(2)."
    )


def _recurrence(z: Scalar, c: Array, grow: Array, drop: Array) -> tuple[Scalar, Scalar]:
    """Σ c_l P_l(z) and its derivative, P_{l+1} = grow_l z P_l − drop_l P_{l−1}, from
    P_0 = 1, P_{−1} = 0."""

    def step(carry, inputs):
        now, before, dnow, dbefore, value, slope = carry
        weight, up, down = inputs
        value, slope = value + weight * now, slope + weight * dnow
        after = up * z * now - down * before
        dafter = up * (now + z * dnow) - down * dbefore
        return (after, now, dafter, dnow, value, slope), None

    one, zero = jnp.ones_like(z), jnp.zeros_like(z)
    (_, _, _, _, value, slope), _ = jax.lax.scan(
        step, (one, zero, zero, zero, zero, zero), (c, grow, drop)
    )
    return value, slope
