"""Closed surfaces in R³ as level sets of polynomials: even clouds of points, true normals, and
projection onto the surface."""

import abc
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scorefold._compile import quick_jit
from scorefold._types import Key, Scalar, Values

_SHELL = 0.02
_DRAWS = 1 << 16


class LevelSurface(eqx.Module):
    """The surface F = 0 in R³ for a polynomial F, negative inside.

    ``normals`` are ∇F/|∇F|. ``project`` solves for the nearest point: x = p + λ∇F(p), F(p) = 0,
    by Newton's method from the foot of the gradient; it needs a start nearer than the radius of
    curvature. ``sample`` draws evenly with respect to area.
    """

    name: eqx.AbstractClassVar[str]

    @abc.abstractmethod
    def level(self, x: Float[Array, " 3"]) -> Scalar:
        """F(x) at ONE point."""

    @property
    @abc.abstractmethod
    def half_sides(self) -> tuple[float, float, float]:
        """Half the sides of a box around the origin that holds the surface and a margin."""

    def sample(self, key: Key, n: int, noise: float = 0.0) -> Float[Array, "n 3"]:
        """n points of the surface, even with respect to area, each moved by a normal vector of
        standard deviation ``noise`` in every coordinate; JAX's default float type.

        Points drawn evenly in the box are kept where |F|/|∇F| < 0.02, a shell of even thickness
        to first order, and then projected: the density of the area is even up to terms of order
        0.02²·(curvature)² (those of first order cancel between the two sides).
        """
        draw, blur = jax.random.split(key)
        kept: list[Array] = []
        found, round_ = 0, 0
        while found < n:
            near = _shell(self, jax.random.fold_in(draw, round_))
            kept.append(near)
            found, round_ = found + len(near), round_ + 1
        points = self.project(jnp.concatenate(kept)[:n])
        return points + noise * jax.random.normal(blur, points.shape, points.dtype)

    def normals(self, points: Values) -> Float[Array, "n 3"]:
        """Unit normals ∇F/|∇F|, outwards, at points of the surface, shape ``(n, 3)``."""
        slope = jax.vmap(jax.grad(self.level))(jnp.asarray(points))
        return slope / jnp.linalg.norm(slope, axis=-1, keepdims=True)

    def project(self, points: Values) -> Float[Array, "n 3"]:
        """The nearest points of the surface."""
        return quick_jit(_nearest)(self, jnp.asarray(points))

    def distance(self, points: Values) -> Float[Array, " n"]:
        """Distance of points from the surface, in the unit of x."""
        x = jnp.asarray(points)
        return jnp.linalg.norm(x - self.project(x), axis=-1)


class RoundSphere(LevelSurface):
    """F = |x|² − 1."""

    name: ClassVar[str] = "sphere"

    def level(self, x: Float[Array, " 3"]) -> Scalar:
        return jnp.sum(x * x) - 1.0

    @property
    def half_sides(self) -> tuple[float, float, float]:
        return (1.05, 1.05, 1.05)


class RoundTorus(LevelSurface):
    """F = (|x|² + R² − r²)² − 4R²(x₁² + x₂²): tube radius r around a circle of radius R."""

    name: ClassVar[str] = "torus"
    major: float = 1.0
    minor: float = 0.4

    def level(self, x: Float[Array, " 3"]) -> Scalar:
        flat = x[0] ** 2 + x[1] ** 2
        whole = flat + x[2] ** 2 + (self.major**2 - self.minor**2)
        return whole**2 - 4.0 * self.major**2 * flat

    @property
    def half_sides(self) -> tuple[float, float, float]:
        wide = self.major + self.minor + 0.05
        return (wide, wide, self.minor + 0.05)


class DoubleTorus(LevelSurface):
    """F = (u²(1 − u²) − v²)² + w² − t² with (u, v, w) = x/3 and t = 0.18: a surface of genus two
    around the figure of eight v² = u²(1 − u²), 6.5 long, 3.9 wide and 1.1 thick."""

    name: ClassVar[str] = "double torus"
    size: float = 3.0
    thickness: float = 0.18

    def level(self, x: Float[Array, " 3"]) -> Scalar:
        u, v, w = x[0] / self.size, x[1] / self.size, x[2] / self.size
        eight = u * u * (1.0 - u * u) - v * v
        return eight**2 + w * w - self.thickness**2

    @property
    def half_sides(self) -> tuple[float, float, float]:
        s, t = self.size, self.thickness
        long = ((1.0 + (1.0 + 4.0 * t) ** 0.5) / 2.0) ** 0.5
        return (s * long + 0.05, s * (0.25 + t) ** 0.5 + 0.05, s * t + 0.05)


def surfaces() -> tuple[LevelSurface, ...]:
    """Genus 0, 1 and 2."""
    return RoundSphere(), RoundTorus(), DoubleTorus()


def _shell(surface: LevelSurface, key: Key) -> Array:
    x, kept = quick_jit(_candidates)(surface, key)
    return x[kept]


def _candidates(surface: LevelSurface, key: Key) -> tuple[Array, Array]:
    half = jnp.asarray(surface.half_sides, jnp.result_type(float))
    x = half[None] * jax.random.uniform(key, (_DRAWS, 3), half.dtype, -1.0, 1.0)
    value, slope = jax.vmap(jax.value_and_grad(surface.level))(x)
    return x, jnp.abs(value) < _SHELL * jnp.linalg.norm(slope, axis=-1)


def _nearest(surface: LevelSurface, points: Array) -> Array:
    level = surface.level

    def foot(p: Array, _: None) -> tuple[Array, None]:
        value, slope = jax.value_and_grad(level)(p)
        squared = jnp.sum(slope * slope)
        return p - slope * value / jnp.where(squared > 0, squared, 1.0), None

    def one(x: Array) -> Array:
        start, _ = jax.lax.scan(foot, x, None, length=8)
        slope = jax.grad(level)(start)
        multiplier = (x - start) @ slope / jnp.sum(slope * slope)

        def newton(state: tuple, _: None) -> tuple:
            p, lam = state
            value, slope = jax.value_and_grad(level)(p)
            bend = jnp.eye(3, dtype=p.dtype) + lam * jax.hessian(level)(p)
            top = jnp.concatenate([bend, slope[:, None]], axis=1)
            bottom = jnp.concatenate([slope, jnp.zeros((1,), p.dtype)])[None]
            wrong = jnp.concatenate([p + lam * slope - x, value[None]])
            step = jnp.linalg.solve(jnp.concatenate([top, bottom]), wrong)
            return (p - step[:3], lam - step[3]), None

        (p, _), _ = jax.lax.scan(newton, (start, multiplier), None, length=6)
        # Not a nearest point if Newton's method left the neighbourhood.
        good = jnp.all(jnp.isfinite(p)) & (jnp.sum((p - x) ** 2) <= jnp.sum((start - x) ** 2))
        return jnp.where(good, p, start)

    return jax.lax.map(one, points, batch_size=1024)
