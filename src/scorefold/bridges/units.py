"""The coordinates in which a bridge is fitted: each end at its own origin, both in one unit."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import NumPyOrJax, Point, Scalar, Values
from scorefold.bridges.reference.linear import LinearTransition, is_linear, linear_transition
from scorefold.manifolds import check_points
from scorefold.manifolds._check import as_numbers
from scorefold.noising import Constant, Noising, OrnsteinUhlenbeck, VarianceExploding

Level = float | NumPyOrJax
"""A variance-time: a number, or an array on the host or on the device."""
L = TypeVar("L", bound=Level)
Field = Callable[[Point, Scalar], Point]


class BridgeUnits(eqx.Module):
    """How a bridge Y in inner coordinates gives the bridge X of the data,

        X_s = m_s + k Y_{s/k²},   m_s = E[R_s | R_0 = m_A, R_S = m_B],

    R the reference process. Schrödinger bridges over Brownian motion and over Ornstein–Uhlenbeck
    processes on R^d do not notice a translation of either end: in p_S(y | x) the two occur
    together in ⟨x, y⟩ alone, and the rest goes into the factors of the ends. So a bridge is fitted
    between laws around 0 of size 1, and X is exact for every distance and unit of the data:

        ∇ log ψ_s(x) = ∇ log ψ'(y)/k + g_s,   ∇ log φ_s(x) = ∇ log φ'(y)/k − g_s,
        log p_s(x) = log p'(y) − d log k,   y = (x − m_s)/k,   g_s = a_r(m_B − a_S m_A − b_S)/v_S,

    (a, b, v) the moments of the reference over r = S − s and over S. In a product the flat
    coordinates are moved, and k = 1 unless all of them are flat: there one clock serves all.

    ``scale``: k; ``start``, ``end``: m_A and m_B, shape ``manifold.shape``, 0 in coordinates that
    are not flat; kept in float64 on the host, where differences are taken.
    """

    scale: float
    start: np.ndarray | Array = fixed()
    end: np.ndarray | Array = fixed()

    @classmethod
    def of(cls, reference: Noising, a: Values, b: Values) -> BridgeUnits | None:
        """Those of two sets of points: the means of both, and the root of the mean variance of a
        coordinate around them to three digits (√S if both ends are single points). None where
        nothing moves: on curved spaces, and for references that do not allow it."""
        flat = reference.manifold.flat_coordinates
        if not flat.any() or not (is_linear(reference) or reference.kernel is not None):
            return None
        ends = [np.asarray(x, np.float64) for x in (a, b)]
        means = [np.where(flat, x.mean(axis=0), 0.0) for x in ends]
        size = math.sqrt(np.mean([np.mean((x - m) ** 2) for x, m in zip(ends, means, strict=True)]))
        scale = 1.0
        if flat.all():
            scale = float(f"{size or math.sqrt(reference.schedule.total):.3g}")
        return cls(scale, means[0], means[1])

    # -- the reference -----------------------------------------------------------------------------
    def inside(self, reference: Noising) -> Noising:
        """The reference process of Y. S/k² is taken to twelve digits: data in another unit, or
        moved far away, are then fitted by the very same program."""
        k = self.scale
        clock = Constant(float(f"{reference.schedule.total / k**2:.12g}"))
        if isinstance(reference, OrnsteinUhlenbeck):
            return OrnsteinUhlenbeck(
                reference.manifold, clock, std=reference.std / k, data_std=reference.data_std / k
            )
        return reference if k == 1.0 else VarianceExploding(reference.manifold, clock)

    def middle(self, reference: Noising, s: Level) -> NumPyOrJax:
        """m_s for a level, or one a row for levels of shape (n,): in float64 on the host, or in
        the dtype of ``s`` where it or the two means are traced."""
        now = self._at(reference, s)
        s = now.s.reshape(-1, *(1,) * now.start.ndim) if now.s.ndim else now.s
        if now.process.rate == 0.0:
            share = s / now.total
            return (1.0 - share) * now.start + share * now.end
        a, b, v = now.process.moments(s, now.xp)
        a_r, _, _ = now.process.moments(now.total - s, now.xp)
        return a * now.start + b + (v * a_r / now.spread) * now.gap

    def pull(self, reference: Noising, s: Level) -> NumPyOrJax:
        """g_s, for one level."""
        now = self._at(reference, s)
        return now.process.moments(now.total - now.s, now.xp)[0] * now.gap / now.spread

    def motion(self, reference: Noising, s: Level) -> NumPyOrJax:
        """dm_s/ds, for one level."""
        process, pull = self._at(reference, s).process, self.pull(reference, s)
        if process.rate == 0.0:
            return pull
        away = self.middle(reference, s) - process.location
        return pull - 0.5 * process.rate * away

    def log_tilt(self, reference: Noising, x: Point, s: Scalar) -> Scalar:
        """log h_s(x), h harmonic with gradient g: ψ_s(x) = ψ'(y) h_s(x), and h_S = 1 at m_B."""
        now = self._at(reference, jnp.asarray(s, x.dtype))
        end, gap, spread = (jnp.asarray(v, x.dtype) for v in (now.end, now.gap, now.spread))
        a, b, v = now.process.moments(jnp.asarray(now.total - now.s, x.dtype))
        return jnp.sum(gap * (a * x + b - end)) / spread + 0.5 * jnp.sum(gap * gap) * v / spread**2

    def forward(self, reference: Noising, inner: Field, x: Point, s: Scalar) -> Point:
        """∇ log ψ_s(x) from ``inner``, (y, r) ↦ ∇ log ψ'_r(y)."""
        value = inner(self.enter_one(reference, x, s), s / self.scale**2)
        return value / self.scale + jnp.asarray(self.pull(reference, s), x.dtype)

    def backward(self, reference: Noising, inner: Field, x: Point, s: Scalar) -> Point:
        """∇ log φ_s(x), the same."""
        value = inner(self.enter_one(reference, x, s), s / self.scale**2)
        return value / self.scale - jnp.asarray(self.pull(reference, s), x.dtype)

    def loss_apart(self, reference: Noising, a: np.ndarray, b: np.ndarray) -> float:
        """mean log h_0 over points a less mean log h_S over points b, in float64: by how much
        E_A log ψ_0 − E_B log ψ_S differs from the same for ψ'."""
        whole = self._at(reference, reference.schedule.total)
        scale, shift, _ = whole.process.moments(whole.total, np)
        first, last = (np.mean(x, axis=0, dtype=np.float64) for x in (a, b))
        apart = scale * first + shift - last
        gap, spread = whole.gap, whole.spread
        return float(np.sum(gap * apart) / spread + 0.5 * np.sum(gap * gap) / spread)

    # -- points ------------------------------------------------------------------------------------
    def enter(self, reference: Noising, x: Values, s: Level, name: str) -> Array:
        """Points x at the level s as points y, after the checks of ``check_points``. Differences
        are in float64 unless x or s is traced; y has the dtype that x has as an array of JAX."""
        points = check_points(reference.manifold, x, name)
        middle = self.middle(reference, s)
        if isinstance(points, jax.core.Tracer) or isinstance(middle, jax.core.Tracer):
            return self.enter_one(reference, points, s)
        moved = (as_numbers(name, x).astype(np.float64) - middle) / self.scale
        flat = reference.manifold.flat_coordinates
        return jnp.asarray(np.where(flat, moved, np.asarray(points)), points.dtype)

    def enter_one(self, reference: Noising, x: Array, s: Level) -> Array:
        """The same without checks, in the dtype of x: of one point, or of many at one level."""
        middle = jnp.asarray(self.middle(reference, s), x.dtype)
        return (x - jnp.broadcast_to(middle, x.shape)) / self.scale

    def leave(self, reference: Noising, y: Array, s: Level) -> NumPyOrJax:
        """Points x of points y at the level s, or at levels of shape (n,) along the axis before
        the last ones: a NumPy array in float64 unless y is traced, else in the dtype of y."""
        middle = self.middle(reference, s)
        if isinstance(y, jax.core.Tracer) or isinstance(middle, jax.core.Tracer):
            return jnp.broadcast_to(jnp.asarray(middle, y.dtype), y.shape) + self.scale * y
        return middle + self.scale * np.asarray(y, np.float64)

    def alone(self, reference: Noising, y0: Array, y1: Array) -> tuple[Array, Array]:
        """(u, v), shapes (n,) and (m,), with −log p_S(x₁ | x₀) = −log p'(y₁ | y₀) + u(y₀) + v(y₁)
        for k = 1:  u = −⟨a_S y₀, γ⟩/v_S,  v = ⟨y₁, γ⟩/v_S + |γ|²/2v_S,  γ = m_B − a_S m_A − b_S."""
        whole = self._at(reference, reference.schedule.total)
        gap, a = np.ravel(whole.gap), whole.process.moments(whole.total, np)[0]
        first, last = (np.asarray(y, np.float64).reshape(len(y), -1) @ gap / whole.spread
                       for y in (y0, y1))  # fmt: skip
        square = 0.5 * float(gap @ gap) / whole.spread
        return jnp.asarray(-a * first, y0.dtype), jnp.asarray(last + square, y0.dtype)

    # -- inside ------------------------------------------------------------------------------------
    def _at(self, reference: Noising, s: Level) -> _Moment:
        traced = any(isinstance(v, jax.core.Tracer) for v in (s, self.start, self.end))
        xp: ModuleType = jnp if traced else np
        dtype = getattr(s, "dtype", jnp.result_type(float)) if traced else np.float64
        values = (s, reference.schedule.total, self.start, self.end)
        level, total, start, end = (xp.asarray(v, dtype) for v in values)
        process = LinearTransition(0.0, np.zeros(reference.manifold.shape))
        if is_linear(reference):
            process = linear_transition(reference)
        a, b, spread = process.moments(total, xp)
        return _Moment(process, level, total, start, end, end - a * start - b, spread, xp)


class _Moment(NamedTuple):
    """The reference at the level ``s``, as arrays of ``xp``: S, m_A, m_B, and what ties these,
    ``gap`` = m_B − a_S m_A − b_S and ``spread`` = v_S."""

    process: LinearTransition
    s: NumPyOrJax
    total: NumPyOrJax
    start: NumPyOrJax
    end: NumPyOrJax
    gap: NumPyOrJax
    spread: NumPyOrJax
    xp: ModuleType
