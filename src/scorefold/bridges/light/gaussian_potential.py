"""The Gaussian potential of light bridges on flat space."""

from __future__ import annotations

import abc
import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar
from scorefold.bridges.light.potential import (
    LearningPotential,
    LightPotential,
    PotentialDescription,
)
from scorefold.bridges.light.starts import balance, some_rows, spacing
from scorefold.bridges.reference.linear import linear_transition
from scorefold.kernels import Cholesky, Diagonal, GaussianMixture
from scorefold.manifolds import Euclidean
from scorefold.noising import Noising

_LOG_RANGE = 25.0


class GaussianPotential(PotentialDescription):
    """φ(y) = Σ_k w_k N(y; c_k, C_k) e^{|y − a_k|²/2V} on R^d, for a reference with transitions
    N(b(x), V I) from end to end: Brownian motion (b(x) = x, V = S) or Ornstein–Uhlenbeck.

        X₁ | X₀ = x ~ Σ_k w_k(x) N(c_k + V⁻¹C_k(b(x) − a_k), C_k),
        w_k(x) ∝ w_k exp(⟨β, c_k − a_k⟩/V − βᵀ(I − C_k/V)β/2V),  β = b(x) − a_k:

    each component is a linear map of the neighbourhood of a_k, fixed at the start, to that of c_k,
    with normal noise. w, c and C are learned. It is the family of Korotin, Gushchin and Burnaev
    2024 (LightSB), where all a_k are 0; anchors among the data keep the parameters apart.
    Components start like those of ``HeatPotential``.

    **Arguments:** ``components``: K, several for each mode of B: with few of them a mode may have
    none at the start and stay without (held-out losses of two fits tell); ``covariance``:
    ``"diagonal"``, or ``"full"`` with learned rotations; ``tau``: variance of the kernels at the
    start.
    """

    components: int = 50
    covariance: Literal["diagonal", "full"] = "diagonal"
    tau: float | None = None

    def __check_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components must be 1 or more, got {self.components}.")
        if self.covariance not in ("diagonal", "full"):
            raise ValueError(f'covariance must be "diagonal" or "full", got {self.covariance!r}.')
        if self.tau is not None and not (math.isfinite(self.tau) and self.tau > 0):
            raise ValueError(f"tau must be a positive variance, got {self.tau}.")

    def check(self, reference: Noising) -> None:
        linear_transition(reference)

    def shorter(self, factor: float) -> GaussianPotential:
        tau = None if self.tau is None else self.tau / factor
        return GaussianPotential(self.components, self.covariance, tau)

    def begin(self, reference: Noising, key: Key, a: Array, b: Array) -> LearningGaussian:
        pick, rows_a, rows_b = jax.random.split(key, 3)
        manifold, total = reference.manifold, reference.schedule.total
        count = min(self.components, len(b))
        targets = b[jax.random.permutation(pick, len(b))[:count]]
        tau = spacing(Euclidean(manifold.dim), targets) if self.tau is None else self.tau
        scale, shift, whole = linear_transition(reference).moments(jnp.asarray(total, a.dtype))
        tau = max(tau, 1e-4 * float(whole))
        sources = scale * some_rows(rows_a, a) + shift[None, :]
        log_w, log_at, anchors = _start(targets, sources, some_rows(rows_b, b), whole, tau)
        variance = whole * tau / (whole + tau)
        landing = anchors + (whole / (whole + tau)) * (targets - anchors)
        axes: CoordinateAxes | LearningAxes = CoordinateAxes()
        if self.covariance == "full":
            skew = jnp.zeros((count, manifold.dim, manifold.dim), b.dtype)
            gap = b - jnp.mean(b, axis=0, keepdims=True)
            axes = LearningAxes(skew, jnp.linalg.eigh(gap.T @ gap / len(b))[1])
        return LearningGaussian(
            log_weights=jax.nn.log_softmax(log_w + log_at),
            offsets=jnp.zeros_like(targets),
            log_variances=jnp.full(targets.shape, jnp.log(variance), b.dtype),
            axes=axes,
            centres=landing,
            anchors=anchors,
            unit=jnp.sqrt(variance).astype(b.dtype),
        )


class CovarianceAxes(eqx.Module):
    """The axes along which the covariances of K components are diagonal."""

    @abc.abstractmethod
    def turn(self, rows: Array) -> Array:
        """Vectors, one for each component, shape (K, d), along the axes."""

    @abc.abstractmethod
    def back(self, rows: Array) -> Array:
        """The inverse."""

    @abc.abstractmethod
    def covariances(self, variances: Array) -> Cholesky | Diagonal:
        """Covariances of these variances, shape (K, d), along the axes."""

    def learned(self) -> CovarianceAxes:
        """As they are when training has ended."""
        return self


class CoordinateAxes(CovarianceAxes):
    """Those of the coordinates."""

    def turn(self, rows: Array) -> Array:
        return rows

    def back(self, rows: Array) -> Array:
        return rows

    def covariances(self, variances: Array) -> Diagonal:
        return eqx.filter_vmap(Diagonal)(variances)


class TurnedAxes(CovarianceAxes):
    """``bases``: the axes of each component in columns, shape (K, d, d)."""

    bases: Array

    def turn(self, rows: Array) -> Array:
        return jnp.einsum("kij,ki->kj", self.bases, rows)

    def back(self, rows: Array) -> Array:
        return jnp.einsum("kij,kj->ki", self.bases, rows)

    def covariances(self, variances: Array) -> Cholesky:
        full = jnp.einsum("kij,kj,klj->kil", self.bases, variances, self.bases)
        return eqx.filter_vmap(Cholesky)(jnp.linalg.cholesky(full))


class LearningAxes(eqx.Module):
    """A common base, shape (d, d), turned for each component by a rotation that is learned."""

    skew: Array
    base: Array = fixed()

    def learned(self) -> TurnedAxes:
        return TurnedAxes(jnp.einsum("ij,kjl->kil", self.base, jax.vmap(_rotation)(self.skew)))


class LearningGaussian(LearningPotential):
    """Components that move from where they started, c_k = z_k + unit·o_k."""

    log_weights: Array
    offsets: Array
    log_variances: Array
    axes: CoordinateAxes | LearningAxes
    centres: Array = fixed()
    anchors: Array = fixed()
    unit: Array = fixed()

    def potential(self, reference: Noising) -> FittedGaussianPotential:
        return FittedGaussianPotential(
            jax.nn.log_softmax(self.log_weights),
            self.centres + self.unit * self.offsets,
            jnp.exp(jnp.clip(self.log_variances, -_LOG_RANGE, _LOG_RANGE)),
            self.axes.learned(),
            self.anchors,
        )

    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        part = self.potential(reference)

        def first(x: Point) -> Scalar:
            return jax.nn.logsumexp(part.landing(reference, x)[0])

        def last(y: Point) -> Scalar:
            z = part.axes.turn(y[None, :] - part.centres)
            away = jnp.sum((y[None, :] - part.anchors) ** 2, axis=1) / _whole(reference, y)
            inside = jnp.sum(z * z / part.variances + jnp.log(part.variances), axis=1)
            return jax.nn.logsumexp(part.log_weights + 0.5 * (away - inside))

        flat = 0.5 * a.shape[-1] * jnp.log(_whole(reference, a[0]))
        return jax.vmap(first)(a) - flat, jax.vmap(last)(b)


class FittedGaussianPotential(LightPotential):
    """φ of K components: ``log_weights`` log w, shape (K,); ``centres`` c, (K, d); ``variances``,
    (K, d), along ``axes``: together C; ``anchors`` a, (K, d)."""

    log_weights: Array
    centres: Array
    variances: Array
    axes: CovarianceAxes
    anchors: Array

    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        a, shift, v = linear_transition(reference).moments(u)
        part = self.astype(x.dtype)
        whole = _whole(reference, x)
        curve = 1.0 / part.variances - 1.0 / whole
        z = part.axes.turn((a * x + shift)[None, :] - part.centres)
        q = part.axes.turn(part.centres - part.anchors)
        ahead = 1.0 + v * curve
        power = (z * q / whole + 0.5 * v * (q / whole) ** 2 - 0.5 * curve * z * z) / ahead
        power = power + 0.5 * q * q / whole - 0.5 * jnp.log(2.0 * math.pi * part.variances * ahead)
        return part.log_weights + jnp.sum(power, axis=1)

    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        return jax.grad(lambda y: self.log_ahead(reference, y, u))(x)

    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        part = self.astype(x.dtype)
        logits, mean = part.landing(reference, x)
        spread = part.axes.covariances(part.variances)
        return GaussianMixture(jax.nn.log_softmax(logits), mean, spread)

    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        pick, noise = jax.random.split(key)
        part = self.astype(x.dtype)
        logits, mean = part.landing(reference, x)
        k = jax.random.categorical(pick, logits)
        z = jax.random.normal(noise, x.shape, x.dtype)
        axes = jax.tree.map(lambda leaf: leaf[k][None], part.axes)
        return mean[k] + axes.back(jnp.sqrt(part.variances[k])[None] * z[None])[0]

    def target(self, reference: Noising, key: Key, x: Point) -> tuple[Point, Scalar]:
        raise ValueError("The components of a GaussianPotential are no heat kernels.")

    @property
    def scale(self) -> float:
        logs = np.log(np.asarray(self.variances, np.float64))
        return float(np.exp(np.quantile(logs, 0.1)))

    @property
    def widest(self) -> float:
        return 0.0

    def astype(self, dtype: DTypeLike) -> FittedGaussianPotential:
        return jax.tree.map(lambda leaf: leaf.astype(dtype), self)

    def landing(self, reference: Noising, x: Point) -> tuple[Array, Array]:
        """log w_k(x) up to a constant, and the means of X₁ | x, k; shapes (K,) and (K, d)."""
        whole = jnp.asarray(reference.schedule.total, x.dtype)
        a, shift, v = linear_transition(reference).moments(whole)
        beta = (a * x + shift)[None, :] - self.anchors
        turned, q = self.axes.turn(beta), self.axes.turn(self.centres - self.anchors)
        slope = self.variances / v
        power = (turned * q - 0.5 * turned * turned * (1.0 - slope)) / v
        mean = self.centres + self.axes.back(slope * turned)
        return self.log_weights + jnp.sum(power, axis=1), mean


def _whole(reference: Noising, x: Point) -> Scalar:
    """V, the variance of the transition from end to end."""
    return linear_transition(reference).moments(jnp.asarray(reference.schedule.total, x.dtype))[2]


def _rotation(lower: Array) -> Array:
    """(I − A)(I + A)⁻¹ for the skew matrix A whose strictly lower part is given (Cayley)."""
    tri = jnp.tril(lower, -1)
    skew, eye = tri - tri.T, jnp.eye(len(lower), dtype=lower.dtype)
    return jnp.linalg.solve(eye + skew, eye - skew)


@eqx.filter_jit
def _start(
    targets: Array, sources: Array, b: Array, whole: Scalar, tau: float
) -> tuple[Array, Array, Array]:
    """Weights of the kernels N(m_k, τI) by ``balance``, their values at the anchors, and the
    anchors: the mean of the sources that each kernel receives."""

    def table(rows: Array, variance: Scalar) -> Array:
        square = jnp.sum((rows[:, None, :] - targets[None, :, :]) ** 2, axis=-1)
        return -0.5 * square / variance - 0.5 * rows.shape[1] * jnp.log(variance)

    at_a, at_b = table(sources, whole + tau), table(b, jnp.asarray(tau, b.dtype))
    equal = jnp.full((len(targets),), -math.log(len(targets)), b.dtype)
    log_w = balance(at_a, at_b, equal)
    share = jax.nn.softmax(at_a + log_w[None, :], axis=1)
    mass = jnp.sum(share, axis=0)[:, None]
    mean = jnp.mean(sources, axis=0, keepdims=True)
    # A kernel that receives next to nothing is anchored at the mean.
    anchors = (share.T @ sources + 1e-3 * mean) / (mass + 1e-3)
    gap = jnp.sum((anchors - targets) ** 2, axis=1)
    variance = whole + tau
    return log_w, -0.5 * gap / variance - 0.5 * b.shape[1] * jnp.log(variance / whole), anchors
