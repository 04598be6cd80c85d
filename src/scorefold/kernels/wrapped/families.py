"""Families of kernels: how a covariance in the tangent space becomes a law on the manifold."""

import abc
import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._matmul import matmul
from scorefold._types import Key, Point, Scalar
from scorefold.heat import sphere_dimension
from scorefold.kernels.wrapped.lattice import MOST_ANGLES, lattice_normal
from scorefold.manifolds import Manifold

_SMALLEST = 1e-6
"""Variance-time below which a heat kernel and a wrapped normal law agree to rounding."""
_FAR, _TERMS = -2.0, 40


class KernelFamily(eqx.Module):
    """A law around a point z with a covariance Σ = Σ_k λ_k E_kE_kᵀ in the tangent space there.

    Every method takes ``(manifold, …, z, axes, variances)`` of one kernel: ``axes``, shape
    ``(d, d)``, has the components of E_k in the frame at z as its rows; ``variances`` is λ. With a
    ``diagonal`` δ, shape ``(d,)``, Σ = diag δ + Σ_k λ_k E_kE_kᵀ of fewer axes, ``(r, d)``.
    ``round``: whether all eigenvalues of Σ must be equal.
    """

    round: ClassVar[bool] = False

    @abc.abstractmethod
    def log_prob(
        self,
        m: Manifold,
        x: Point,
        z: Point,
        axes: Array,
        variances: Array,
        s: Scalar | None,
        diagonal: Array | None = None,
    ) -> Scalar:
        """log density at x in nats; with s, after Brownian motion for the variance-time s."""

    @abc.abstractmethod
    def sample(
        self,
        key: Key,
        m: Manifold,
        z: Point,
        axes: Array,
        variances: Array,
        diagonal: Array | None = None,
    ) -> Point:
        """One draw at the data end."""

    def check(self, m: Manifold) -> None:
        """Raise ``ValueError`` where the family does not exist."""


class WrappedFamily(KernelFamily):
    """The law of exp_z(Σ_k √λ_k ξ_k E_k), ξ standard normal. With v = log_z(x),

        log p(x) = log N(v; 0, Σ) − log |det d(exp_z)_v|,

    cut off at the cut locus of z.

    **At noise level s**: exact on R^d, on T^d with up to three angles (all images are summed,
    ``lattice_normal``), and wherever λ_1 = … = λ_d = τ ≪ 1. Elsewhere the heat kernel at τ + s, τ
    the mean of λ, times the ratio of the normal laws of covariance Σ + s and (τ + s)·1 in the
    tangent space, where the exponential map's volume counts in full at s = 0 and as the heat
    kernel has it as s grows: the error of log p is of the order of curvature · τ, and vanishes for
    s → 0 and s → ∞.

    Source: Pelletier 2005; Chevallier et al. 2022.
    """

    def log_prob(
        self,
        m: Manifold,
        x: Point,
        z: Point,
        axes: Array,
        variances: Array,
        s: Scalar | None,
        diagonal: Array | None = None,
    ) -> Scalar:
        v = m.log(z, x)
        components = m.components(z, v)
        if diagonal is None:
            along, tau = matmul(axes, components), jnp.mean(variances)
            normal = lambda s: _normal(along, variances + s)  # noqa: E731
        else:
            along, tau = components, _mean_variance(axes, variances, diagonal)
            normal = lambda s: _low_rank_normal(along, axes, variances, diagonal + s)  # noqa: E731
        if s is None:
            return normal(0.0) - m.exp_log_det(z, v)
        if m.euclidean:
            return normal(s)
        if m.toral and m.dim <= MOST_ANGLES:
            if diagonal is not None:
                axes, variances = _principal(axes, variances, diagonal)
            return lattice_normal(components, axes, variances, s)
        even = jnp.broadcast_to(tau + s, components.shape)
        small = tau + s < _SMALLEST
        heat = m.heat.log_prob(x, z, jnp.maximum(tau + s, _SMALLEST)) - _normal(along, even)
        flowed = jnp.where(small, 0.0, s / (tau + s))
        change = flowed * heat - (1.0 - flowed) * m.exp_log_det(z, v)
        return normal(s) + change

    def sample(
        self,
        key: Key,
        m: Manifold,
        z: Point,
        axes: Array,
        variances: Array,
        diagonal: Array | None = None,
    ) -> Point:
        rank = len(variances)
        count = rank if diagonal is None else rank + m.dim
        normal = jax.random.normal(key, (count,), z.dtype)
        v = matmul(jnp.sqrt(variances) * normal[:rank], axes)
        if diagonal is not None:
            v = v + jnp.sqrt(diagonal) * normal[rank:]
        return m.exp(z, m.from_components(z, v))


class HeatFamily(KernelFamily):
    """The heat kernel p_τ(z, ·), τ = λ_1 = … = λ_d: exact at every noise level, p_{τ+s}(z, ·), on
    every geometry."""

    round: ClassVar[bool] = True

    def log_prob(
        self,
        m: Manifold,
        x: Point,
        z: Point,
        axes: Array,
        variances: Array,
        s: Scalar | None,
        diagonal: Array | None = None,
    ) -> Scalar:
        tau = _mean_variance(axes, variances, diagonal)
        time = tau if s is None else tau + s
        exact = m.heat.log_prob(x, z, jnp.maximum(time, _SMALLEST))
        v = m.log(z, x)
        along = m.components(z, v) if diagonal is not None else matmul(axes, m.components(z, v))
        even = jnp.broadcast_to(time, along.shape)
        narrow = _normal(along, even) - m.exp_log_det(z, v)
        return jnp.where(time < _SMALLEST, narrow, exact)

    def sample(
        self,
        key: Key,
        m: Manifold,
        z: Point,
        axes: Array,
        variances: Array,
        diagonal: Array | None = None,
    ) -> Point:
        tau = _mean_variance(axes, variances, diagonal)
        far = m.heat.sample(key, z, jnp.maximum(tau, _SMALLEST))
        near = WrappedFamily().sample(key, m, z, axes, variances, diagonal)
        return jnp.where(tau < _SMALLEST, near, far)


class EsagFamily(KernelFamily):
    """On S²: the direction of a normal vector of R³ with mean μ = z/√(λ_1λ_2)^½ and covariance V,
    Vμ = μ, det V = 1 (elliptically symmetric angular Gaussian law). With t_k = ⟨x, E_k⟩,
    c = ⟨x, z⟩, ρ = √(λ_1/λ_2), |μ|² = (λ_1λ_2)^{−½},

        Q = t_1²/ρ + ρ t_2²,   q = c² + Q,   a = c |μ|/√q,
        log p(x) = −log 2π − (3/2) log q − |μ|² Q/2q + log {(1 + a²)Φ(a) + aφ(a)}.

    Normalised for every λ, smooth on the whole sphere, and N(0, Σ) where λ → 0. At noise level s
    it is what a ``WrappedFamily`` is.

    **Raises** (``check``): ``ValueError`` on other manifolds.

    Source: Paine, Preston, Tsagris & Wood 2018, equations 2, 7 and 10 (the exponent here without
    the difference of two large numbers).
    """

    def log_prob(
        self,
        m: Manifold,
        x: Point,
        z: Point,
        axes: Array,
        variances: Array,
        s: Scalar | None,
        diagonal: Array | None = None,
    ) -> Scalar:
        if s is not None:
            return WrappedFamily().log_prob(m, x, z, axes, variances, s)
        t = matmul(axes, m.components(z, m.to_tangent(z, x)))
        rho = jnp.sqrt(variances[0] / variances[1])
        size = 1.0 / jnp.sqrt(variances[0] * variances[1])
        c = jnp.sum(x * z)
        square = t[0] * t[0] / rho + rho * t[1] * t[1]
        q = c * c + square
        a = c * jnp.sqrt(size / q)
        return -math.log(2.0 * math.pi) - 1.5 * jnp.log(q) - 0.5 * size * square / q + _moment(a)

    def sample(
        self,
        key: Key,
        m: Manifold,
        z: Point,
        axes: Array,
        variances: Array,
        diagonal: Array | None = None,
    ) -> Point:
        rho = jnp.sqrt(variances[0] / variances[1])
        size = (variances[0] * variances[1]) ** -0.25
        normal = jax.random.normal(key, (3,), z.dtype)
        across = jnp.stack([jnp.sqrt(rho), 1.0 / jnp.sqrt(rho)]) * normal[:2]
        v = m.from_components(z, matmul(across, axes))
        return m.project((size + normal[2]) * z + v)

    def check(self, m: Manifold) -> None:
        if sphere_dimension(m.heat) != 2:
            raise ValueError(f"kernel: 'esag' is a law on S^2, not on {m.name}; use 'wrapped'.")


def _normal(v: Array, variances: Array) -> Scalar:
    """log N(v; 0, diag(variances))."""
    return -0.5 * jnp.sum(v * v / variances + jnp.log(2.0 * math.pi * variances))


def _low_rank_normal(v: Array, axes: Array, variances: Array, diagonal: Array) -> Scalar:
    """log N(v; 0, diag δ + Σ_k λ_k E_kE_kᵀ) by the identity of Woodbury: with u = v/√δ and the rows
    A_k = √λ_k E_k/√δ, vᵀΣ⁻¹v = min_t |u − Aᵀt|² + |t|², t = (1 + AAᵀ)⁻¹Au. What does not depend on
    v is computed once for many v."""
    root = jnp.sqrt(diagonal)
    rows = jnp.sqrt(variances)[:, None] * axes / root[None]
    gram = matmul(rows, rows.T)
    small = jnp.linalg.cholesky(jnp.eye(len(rows), dtype=rows.dtype) + gram)
    solved = jax.scipy.linalg.cho_solve((small, True), rows)
    u = v / root
    t = matmul(solved, u)
    rest = u - matmul(t, rows)
    log_det = jnp.sum(jnp.log(diagonal)) + 2.0 * jnp.sum(jnp.log(jnp.diagonal(small)))
    square = jnp.sum(rest * rest) + jnp.sum(t * t)
    return -0.5 * (square + log_det + len(v) * math.log(2.0 * math.pi))


def _mean_variance(axes: Array, variances: Array, diagonal: Array | None) -> Scalar:
    """tr Σ/d."""
    if diagonal is None:
        return jnp.mean(variances)
    along = variances * jnp.sum(axes * axes, axis=1)
    return jnp.mean(diagonal) + jnp.sum(along) / len(diagonal)


def _principal(axes: Array, variances: Array, diagonal: Array) -> tuple[Array, Array]:
    """Orthonormal axes and variances of diag δ + Σ_k λ_k E_kE_kᵀ."""
    values, columns = jnp.linalg.eigh(jnp.diag(diagonal) + matmul(axes.T * variances[None], axes))
    return columns.T, jnp.maximum(values, float(jnp.finfo(values.dtype).tiny) ** 0.5)


def _moment(a: Scalar) -> Scalar:
    """log {(1 + a²)Φ(a) + aφ(a)} = log ∫_0^∞ r² φ(r − a) dr.

    Where a < −2 the terms cancel: with H_n = ∫ r^n e^{ar − r²/2} dr the ratios are positive,
    H_n/H_{n−1} = n/(−a + H_{n+1}/H_n), and H_0 = 1/(−a + H_1/H_0).
    """
    far = a < _FAR
    near = jnp.where(far, 0.0, a)
    plain = (1.0 + near * near) * jax.scipy.stats.norm.cdf(near)
    plain = jnp.log(plain + near * jax.scipy.stats.norm.pdf(near))
    u = -jnp.where(far, a, _FAR)
    ratio = 0.5 * (jnp.sqrt(u * u + 4.0 * _TERMS) - u)
    first = ratio
    for n in range(_TERMS, 0, -1):
        first, ratio = ratio, n / (u + ratio)
    below = jnp.log(ratio * first / (u + ratio)) - 0.5 * u * u - 0.5 * math.log(2.0 * math.pi)
    return jnp.where(far, below, plain)
