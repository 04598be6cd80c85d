"""The Gaussian potential of light bridges on flat space."""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.bridges.light.potential import LightPotential
from scorefold.bridges.light.starts import balance, some_rows, spacing
from scorefold.bridges.reference.linear import linear_transition
from scorefold.kernels import Cholesky, Diagonal, GaussianMixture
from scorefold.manifolds import Euclidean
from scorefold.noising import Noising

__all__ = ["GaussianPotential"]

_LOG_RANGE = 25.0


class GaussianPotential(LightPotential):
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
    log_weights: Array | None = None
    offsets: Array | None = None
    log_variances: Array | None = None
    skew: Array | None = None
    centres: Array | None = fixed(default=None)
    anchors: Array | None = fixed(default=None)
    bases: Array | None = fixed(default=None)
    unit: Array | None = fixed(default=None)

    def __check_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components must be 1 or more, got {self.components}.")
        if self.covariance not in ("diagonal", "full"):
            raise ValueError(f'covariance must be "diagonal" or "full", got {self.covariance!r}.')
        if self.tau is not None and not (math.isfinite(self.tau) and self.tau > 0):
            raise ValueError(f"tau must be a positive variance, got {self.tau}.")

    # -- one point -------------------------------------------------------------------------------
    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        a, shift, v = linear_transition(reference).moments(u)
        part = self.parts(x.dtype)
        whole = _whole(reference, x)
        curve = 1.0 / part.variances - 1.0 / whole
        z = part.turn((a * x + shift)[None, :] - part.centres)
        q = part.turn(part.centres - part.anchors)
        ahead = 1.0 + v * curve
        power = (z * q / whole + 0.5 * v * (q / whole) ** 2 - 0.5 * curve * z * z) / ahead
        power = power + 0.5 * q * q / whole - 0.5 * jnp.log(2.0 * math.pi * part.variances * ahead)
        return part.log_weights + jnp.sum(power, axis=1)

    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        return jax.grad(lambda y: self.log_ahead(reference, y, u))(x)

    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        part = self.parts(x.dtype)
        logits, mean = self._landing(reference, part, x)
        if part.bases is None:
            covariances: Any = eqx.filter_vmap(Diagonal)(part.variances)
        else:
            full = jnp.einsum("kij,kj,klj->kil", part.bases, part.variances, part.bases)
            covariances = eqx.filter_vmap(Cholesky)(jnp.linalg.cholesky(full))
        return GaussianMixture(jax.nn.log_softmax(logits), mean, covariances)

    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        pick, noise = jax.random.split(key)
        part = self.parts(x.dtype)
        logits, mean = self._landing(reference, part, x)
        k = jax.random.categorical(pick, logits)
        z = jnp.sqrt(part.variances[k]) * jax.random.normal(noise, x.shape, x.dtype)
        return mean[k] + (z if part.bases is None else part.bases[k] @ z)

    def parts(self, dtype: Any = None) -> "_Parts":
        """Weights, centres c, variances and eigenvectors of C, and anchors a."""
        log_w, centres, logs, anchors = (
            self.log_weights, self.centres, self.log_variances, self.anchors
        )  # fmt: skip
        if log_w is None or centres is None or logs is None or anchors is None:
            raise ValueError("This GaussianPotential has no parameters yet: fit a bridge first.")
        dtype, bases = dtype or log_w.dtype, self.bases
        if self.offsets is not None and self.unit is not None:
            centres = centres + self.unit * self.offsets
        if self.skew is not None:
            bases = jnp.einsum("ij,kjl->kil", bases, jax.vmap(_rotation)(self.skew))
        return _Parts(
            jax.nn.log_softmax(log_w).astype(dtype),
            centres.astype(dtype),
            jnp.exp(jnp.clip(logs, -_LOG_RANGE, _LOG_RANGE)).astype(dtype),
            None if bases is None else bases.astype(dtype),
            anchors.astype(dtype),
        )

    def scale(self) -> float:
        if self.log_variances is None:
            return 1.0 if self.tau is None else self.tau
        logs = np.asarray(self.log_variances, np.float64)
        return float(np.exp(np.quantile(logs, 0.1)))

    # -- fitting ---------------------------------------------------------------------------------
    def shorter(self, factor: float) -> "GaussianPotential":
        tau = None if self.tau is None else self.tau / factor
        return GaussianPotential(self.components, self.covariance, tau)

    def start(self, reference: Noising, key: Key, a: Array, b: Array) -> "GaussianPotential":
        pick, rows_a, rows_b = jax.random.split(key, 3)
        manifold, total = reference.manifold, reference.schedule.total
        count = min(self.components, len(b))
        targets = b[jax.random.permutation(pick, len(b))[:count]]
        flat = Euclidean(manifold.dim)
        tau = spacing(flat, targets) if self.tau is None else self.tau
        scale, shift, whole = linear_transition(reference).moments(jnp.asarray(total, a.dtype))
        tau = max(tau, 1e-4 * float(whole))
        sources = scale * some_rows(rows_a, a) + shift[None, :]
        log_w, log_at, anchors = _start(targets, sources, some_rows(rows_b, b), whole, tau)
        variance = whole * tau / (whole + tau)
        landing = anchors + (whole / (whole + tau)) * (targets - anchors)
        spread = jnp.full(targets.shape, jnp.log(variance), b.dtype)
        full = self.covariance == "full"
        return GaussianPotential(
            self.components,
            self.covariance,
            self.tau,
            log_weights=jax.nn.log_softmax(log_w + log_at),
            offsets=jnp.zeros_like(targets),
            log_variances=spread,
            skew=jnp.zeros((count, manifold.dim, manifold.dim), b.dtype) if full else None,
            centres=landing,
            anchors=anchors,
            bases=_principal(b) if full else None,
            unit=jnp.sqrt(variance).astype(b.dtype),
        )

    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        part = self.parts(a.dtype)

        def first(x: Point) -> Scalar:
            return jax.nn.logsumexp(self._landing(reference, part, x)[0])

        def last(y: Point) -> Scalar:
            z = part.turn(y[None, :] - part.centres)
            away = jnp.sum((y[None, :] - part.anchors) ** 2, axis=1) / _whole(reference, y)
            inside = jnp.sum(z * z / part.variances + jnp.log(part.variances), axis=1)
            return jax.nn.logsumexp(part.log_weights + 0.5 * (away - inside))

        flat = 0.5 * a.shape[-1] * jnp.log(_whole(reference, a[0]))
        return jax.vmap(first)(a) - flat, jax.vmap(last)(b)

    def finished(self, reference: Noising) -> "GaussianPotential":
        part = self.parts()
        bases = part.bases
        return eqx.tree_at(
            lambda p: (p.log_weights, p.offsets, p.skew, p.centres, p.bases, p.unit),
            self,
            (part.log_weights, None, None, part.centres, bases, None),
            is_leaf=lambda leaf: leaf is None,
        )

    # -- inside ----------------------------------------------------------------------------------
    def _landing(self, reference: Noising, part: "_Parts", x: Point) -> tuple[Array, Array]:
        """log w_k(x) up to a constant, and the means of X₁ | x, k; shapes (K,) and (K, d)."""
        whole = jnp.asarray(reference.schedule.total, x.dtype)
        a, shift, v = linear_transition(reference).moments(whole)
        beta = (a * x + shift)[None, :] - part.anchors
        turned, q = part.turn(beta), part.turn(part.centres - part.anchors)
        slope = part.variances / v
        power = (turned * q - 0.5 * turned * turned * (1.0 - slope)) / v
        mean = part.centres + part.back(slope * turned)
        return part.log_weights + jnp.sum(power, axis=1), mean


class _Parts(eqx.Module):
    """Parameters of K components; ``bases`` (eigenvectors in columns) None if diagonal."""

    log_weights: Array
    centres: Array
    variances: Array
    bases: Array | None
    anchors: Array

    def turn(self, rows: Array) -> Array:
        return rows if self.bases is None else jnp.einsum("kij,ki->kj", self.bases, rows)

    def back(self, rows: Array) -> Array:
        return rows if self.bases is None else jnp.einsum("kij,kj->ki", self.bases, rows)


def _whole(reference: Noising, x: Point) -> Scalar:
    """V, the variance of the transition from end to end."""
    return linear_transition(reference).moments(jnp.asarray(reference.schedule.total, x.dtype))[2]


def _rotation(lower: Array) -> Array:
    """(I − A)(I + A)⁻¹ for the skew matrix A whose strictly lower part is given (Cayley)."""
    tri = jnp.tril(lower, -1)
    skew, eye = tri - tri.T, jnp.eye(len(lower), dtype=lower.dtype)
    return jnp.linalg.solve(eye + skew, eye - skew)


def _principal(rows: Array) -> Array:
    """Eigenvectors of the covariance, shape (d, d)."""
    gap = rows - jnp.mean(rows, axis=0, keepdims=True)
    return jnp.linalg.eigh(gap.T @ gap / len(rows))[1]


@eqx.filter_jit
def _start(targets: Array, sources: Array, b: Array, whole: Scalar, tau: float):
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
