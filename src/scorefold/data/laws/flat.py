"""Toy laws in the plane, each with its exact density."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, Values, constant
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.data.laws.law import Law
from scorefold.manifolds import Euclidean, Manifold

_NODES = 400


class Checkerboard(Law):
    """The uniform law on the squares of one colour of a board of side 2·``half``:
    log p = −log of their total area inside, −∞ outside."""

    manifold: Manifold = Euclidean(2)
    half: float = 4.0
    squares: int = 4

    def sample(self, key: Key, n: int) -> Array:
        pick, place = jax.random.split(key)
        dark = np.argwhere((np.indices((self.squares,) * 2).sum(axis=0)) % 2 == 0)
        inside = jax.random.uniform(place, (n, 2))
        corner = constant(dark, inside)[jax.random.randint(pick, (n,), 0, len(dark))]
        return (corner + inside) * self._side - self.half

    @property
    def _side(self) -> float:
        return 2.0 * self.half / self.squares

    def _log_prob(self, x: Point) -> Scalar:
        cell = jnp.floor((x + self.half) / self._side)
        on_board = jnp.all((cell >= 0) & (cell < self.squares))
        dark = jnp.mod(jnp.sum(cell), 2) == 0
        area = self._side**2 * ((self.squares**2 + 1) // 2)
        return jnp.where(on_board & dark, -math.log(area), -jnp.inf).astype(x.dtype)


class Pinwheel(Law):
    """Arms of Gaussians in polar directions, twisted by an angle that depends on the radius:

        x = R(2πk/arms + twist·|y|) y,   y ~ N((1, 0)·radius, diag(radial², tangential²)).

    A twist by the radius keeps area, so the density is that of the Gaussians, turned back.
    """

    manifold: Manifold = Euclidean(2)
    arms: int = 5
    radius: float = 2.0
    radial: float = 0.6
    tangential: float = 0.2
    twist: float = 0.5

    def sample(self, key: Key, n: int) -> Array:
        arm, noise = jax.random.split(key)
        z = jax.random.normal(noise, (n, 2))
        y = z * constant([[self.radial, self.tangential]], z) + constant([[self.radius, 0.0]], z)
        k = jax.random.randint(arm, (n,), 0, self.arms).astype(z.dtype)
        return jax.vmap(_turn)(y, 2 * math.pi / self.arms * k + self._angle(y))

    def _angle(self, y: Array) -> Array:
        return self.twist * jnp.sqrt(jnp.sum(y * y, axis=-1))

    def _log_prob(self, x: Point) -> Scalar:
        turns = constant(2 * math.pi / self.arms * np.arange(self.arms), x)
        y = jax.vmap(lambda a: _turn(x, -a - self._angle(x)))(turns)
        u = (y[:, 0] - self.radius) / self.radial
        v = y[:, 1] / self.tangential
        area = 2 * math.pi * self.radial * self.tangential * self.arms
        return jax.nn.logsumexp(-0.5 * (u * u + v * v)) - math.log(area)


class NoisyLinear(Law):
    """A law of a few coordinates with noisy linear functions of them appended:

        x = (z, Mz + std·n),   z ~ base, n standard normal,
        log p(x) = log p_base(z) + Σ_j log N(x_j; (Mz)_j, std_j²).

    **Arguments:** ``base``: a law on R^k; ``matrix``: M, shape (m, k); ``std``: m numbers > 0.
    """

    manifold: Manifold
    base: Law
    matrix: Array
    std: Array

    def __init__(self, base: Law, matrix: Values, std: Values):
        self.base = base
        self.matrix = jnp.asarray(matrix, jnp.result_type(float))
        self.std = jnp.asarray(std, jnp.result_type(float))
        self.manifold = Euclidean(base.manifold.dim + len(self.std))

    def sample(self, key: Key, n: int) -> Array:
        first, rest = jax.random.split(key)
        z = self.base.sample(first, n)
        noise = self.std[None] * jax.random.normal(rest, (n, len(self.std)), self.std.dtype)
        return jnp.concatenate([z, z @ self.matrix.T + noise], axis=1)

    def _log_prob(self, x: Point) -> Scalar:
        k = self.base.manifold.dim
        matrix, std = self.matrix.astype(x.dtype), self.std.astype(x.dtype)
        gap = (x[k:] - matrix @ x[:k]) / std
        noise = -0.5 * jnp.sum(gap * gap) - jnp.sum(jnp.log(std * math.sqrt(2 * math.pi)))
        return self.base._log_prob(x[:k]) + noise


def _turn(x: Point, angle: Scalar) -> Point:
    c, s = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([c * x[0] - s * x[1], s * x[0] + c * x[1]])


def eight_gaussians(radius: float = 4.0, std: float = 0.3) -> HeatMixture:
    """Eight equal Gaussians at the corners of an octagon."""
    angle = 2 * math.pi / 8 * np.arange(8)
    centres = radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return HeatMixture(Euclidean(2), centres, std**2)


def swissroll(std: float = 0.1) -> HeatMixture:
    """Gaussians along the spiral r = t/3, 1.5π ≤ t ≤ 4.5π, equally many for equal t."""
    t = np.linspace(1.5 * math.pi, 4.5 * math.pi, _NODES)
    return _curves([_spiral(t, 0.0, 1.0 / 3.0)], std)


def swissroll_6d() -> NoisyLinear:
    """A swiss roll (x, y), r = t/5 with Gaussians of standard deviation 0.2, hidden in R⁶:

        (x, y, 2x + 0.1 n₁, x + y + 0.1 n₂, x − 2y + 0.1 n₃, n₄).

    The six-dimensional example of Zhang et al. 2024, with independent noises.
    """
    t = np.linspace(1.5 * math.pi, 4.5 * math.pi, _NODES)
    roll = _curves([_spiral(t, 0.0, 1.0 / 5.0)], 0.2)
    return NoisyLinear(roll, [[2, 0], [1, 1], [1, -2], [0, 0]], [0.1, 0.1, 0.1, 1.0])


def spirals(std: float = 0.1) -> HeatMixture:
    """Gaussians along two arms r = t/π of one and a half turns, one the other turned by π."""
    t = np.sqrt(np.linspace(0.05, 1.0, _NODES // 2)) * 3 * math.pi
    return _curves([_spiral(t, turn, 1.0 / math.pi) for turn in (0.0, math.pi)], std)


def moons(std: float = 0.1) -> HeatMixture:
    """Gaussians along two interlocking half circles of radius 1."""
    t = np.linspace(0.0, math.pi, _NODES // 2)
    upper = np.stack([np.cos(t), np.sin(t)], axis=-1)
    lower = np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=-1)
    return _curves([upper, lower], std)


def _spiral(t: np.ndarray, turn: float, pitch: float) -> np.ndarray:
    return pitch * t[:, None] * np.stack([np.cos(t + turn), np.sin(t + turn)], axis=-1)


def _curves(curves: list[np.ndarray], std: float) -> HeatMixture:
    """A finite mixture so dense along the curves that no gaps are seen, yet exactly a mixture:
    density and score are closed at every noise level."""
    return HeatMixture(Euclidean(2), np.concatenate(curves), std**2)
