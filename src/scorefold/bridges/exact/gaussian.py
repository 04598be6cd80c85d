"""The Schrödinger bridge between two normal laws, in closed form."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar, Values
from scorefold.bridges._base import Bridge
from scorefold.bridges.exact.normal import Normal, apart, square_root
from scorefold.bridges.reference.linear import LinearTransition, linear_transition, matmul
from scorefold.bridges.units import BridgeUnits
from scorefold.noising import Noising


class GaussianBridge(Bridge):
    """The bridge from N(m₀, S₀) to N(m₁, S₁) for a reference with transitions N(a x + b, v I).
    With τ = v/a at the end S of the clock,

        C = Cov(X_0, X_S) = S₀^{½} h(M) S₀^{½} S₁,   M = S₀^{½} S₁ S₀^{½},
        h(λ) = 2/(√(4λ + τ²) + τ),
        Cov(X_S | X_0) = τ S₁^{½} h(S₁^{½} S₀ S₁^{½}) S₁^{½},
        p_s = N(A m₀ + D m₁ + c, A² S₀ + D² S₁ + AD(C + Cᵀ) + (v_s v_r/v) I),
        A = a_s v_r/v,   D = a_r v_s/v,   r = S − s,

    v = σ²T and τ = σ²T for Brownian motion, v = 1 − e^{−S}, τ = 2 sinh(S/2) for the
    variance-preserving process. ∇ log ψ_s and ∇ log φ_s are affine. Means do not enter C.

    **Arguments:** ``reference``: Brownian motion on flat space or ``OrnsteinUhlenbeck``, with any
    clock; means of shape (d,), covariances of shape (d, d), positive definite. Numbers are kept
    in float64 on the host; gradients are in the dtype of the point.
    **Raises:** ``ValueError`` for another reference, wrong shapes, a covariance not positive
    definite.

    Source: Bunne et al. 2023, "The Schrödinger Bridge between Gaussian measures has a closed
    form"; Mallasto et al. 2022; Janati et al. 2020 (Brownian motion).
    """

    reference: Noising
    start: Normal
    end: Normal
    transition: LinearTransition
    own: "tuple[BridgeUnits, GaussianBridge] | None"
    cross: np.ndarray = fixed()
    reach: tuple[float, np.ndarray, float] = fixed()
    end_basis: np.ndarray = fixed()
    end_spread: np.ndarray = fixed()
    start_basis: np.ndarray = fixed()
    start_spread: np.ndarray = fixed()

    def __init__(
        self, reference: Noising, mean0: Values, cov0: Values, mean1: Values, cov1: Values
    ) -> None:
        self.reference = reference
        self.transition = linear_transition(reference)
        self.start = Normal(mean0, cov0, "cov0")
        self.end = Normal(mean1, cov1, "cov1")
        d = reference.manifold.dim
        for name, law in (("mean0", self.start), ("mean1", self.end)):
            if law.mean.shape != (d,):
                raise ValueError(f"{name}: shape must be ({d},), got {law.mean.shape}.")
        a, b, v = self.transition.moments(np.float64(reference.schedule.total), np)
        self.reach = (float(a), np.asarray(b), float(v))
        tau = float(v / a)
        self.end_basis, self.end_spread = _conditional(self.end.cov, self.start.cov, tau)
        self.start_basis, self.start_spread = _conditional(self.start.cov, self.end.cov, tau)
        self.cross = self.start.cov @ self.end_cov / tau
        self.own = self._in_inner_units()

    def _in_inner_units(self) -> "tuple[BridgeUnits, GaussianBridge] | None":
        """With means 0 and a mean variance of 1; None if they are that already."""
        d, covs = len(self.start.mean), (self.start.cov, self.end.cov)
        unit = math.sqrt(0.5 * sum(float(np.trace(c)) for c in covs) / d)
        if abs(unit - 1.0) < 1e-6 and not (self.start.mean.any() or self.end.mean.any()):
            return None
        units, zero = BridgeUnits(unit, self.start.mean, self.end.mean), np.zeros(d)
        first, last = (c / unit**2 for c in covs)
        return units, GaussianBridge(units.inside(self.reference), zero, first, zero, last)

    @property
    def placed(self) -> "tuple[BridgeUnits, GaussianBridge] | None":
        return self.own

    @property
    def end_cov(self) -> np.ndarray:
        """Cov(X_S | X_0 = x), the same for every x."""
        return (self.end_basis * self.end_spread[None, :]) @ self.end_basis.T

    @property
    def start_cov(self) -> np.ndarray:
        """Cov(X_0 | X_S = y), the same for every y."""
        return (self.start_basis * self.start_spread[None, :]) @ self.start_basis.T

    # -- the two gradients -----------------------------------------------------------------------
    def forward(self, x: Point, s: Scalar) -> Point:
        a, b, v = self.transition.moments(self.total - s)
        reach, shift, total = self._reach(x)
        q, u = jnp.asarray(self.end_spread, x.dtype), jnp.asarray(self.end_basis, x.dtype)
        mean0, mean1 = jnp.asarray(self.start.mean, x.dtype), jnp.asarray(self.end.mean, x.dtype)
        y = a * x + b
        pull = matmul(mean1 - y, u) / q - matmul(reach * mean0 + shift - y, u) / total
        return a * matmul(u, pull / ((total - v) / total + v / q))

    def backward(self, x: Point, s: Scalar) -> Point:
        a, b, v = self.transition.moments(s)
        reach, shift, total = self._reach(x)
        q, u = jnp.asarray(self.start_spread, x.dtype), jnp.asarray(self.start_basis, x.dtype)
        mean0, mean1 = jnp.asarray(self.start.mean, x.dtype), jnp.asarray(self.end.mean, x.dtype)
        far = a * (mean1 - shift) + reach * (b - x)
        pull = matmul(a * mean0 + b - x, u) / q - (reach / total) * matmul(far, u)
        return matmul(u, pull / (a * a - v * reach * reach / total + v / q))

    # -- laws --------------------------------------------------------------------------------------
    def law(self, t: float) -> Normal:
        """p at process time t ∈ [0, 1], t a number."""
        if not (math.isfinite(t) and 0.0 <= t <= 1.0):
            raise ValueError(f"t must be a process time in [0, 1], got {t!r}.")
        return self.law_at(float(self.reference.schedule.s(jnp.asarray(t, jnp.result_type(float)))))

    def law_at(self, s: float) -> Normal:
        """p_s at variance-time s ∈ [0, S]."""
        near = self.transition.moments(np.float64(s), np)
        far = self.transition.moments(np.float64(self.total - s), np)
        (a, b, v), (a_r, b_r, v_r), total = near, far, self.reach[2]
        left, right = a * v_r / total, a_r * v / total
        shift = (v_r * b - a_r * v * b_r) / total
        mean = left * self.start.mean + right * self.end.mean + shift
        cov = left**2 * self.start.cov + right**2 * self.end.cov
        cov = cov + left * right * (self.cross + self.cross.T)
        return Normal(mean, cov + (v * v_r / total) * np.eye(len(mean)))

    def log_prob(self, t: float | Scalar, x: Values) -> Array:
        """log p_t in nats of points of shape (…, d)."""
        if isinstance(t, jax.core.Tracer):
            return _traced_log_prob(self, t, x)
        return self.law(float(t)).log_prob(x)

    def coupling(self) -> Normal:
        """The law of (X_0, X_S) on R^{2d}."""
        cov = np.block([[self.start.cov, self.cross], [self.cross.T, self.end.cov]])
        return Normal(np.concatenate([self.start.mean, self.end.mean]), cov)

    def sample_pairs(self, key: Key, n: int, dtype: DTypeLike | None = None) -> tuple[Array, Array]:
        """n exact draws of (X_0, X_S), each of shape (n, d)."""
        first, second = jax.random.split(key)
        x0 = self.start.sample(first, n, dtype)
        return x0, self.sample_conditional(second, x0)

    def conditional(self, x0: Values) -> tuple[Array, np.ndarray]:
        """Mean, shape (…, d), and covariance, shape (d, d), of X_S given X_0 = x₀."""
        gap = apart(x0, self.start.mean)
        gain = self.end_cov * (self.reach[0] / self.reach[2])
        mean = matmul(gap, jnp.asarray(gain, gap.dtype))
        shift = jnp.asarray(self.end.mean, gap.dtype).reshape((1,) * (gap.ndim - 1) + (-1,))
        return mean + shift, self.end_cov

    def sample_conditional(self, key: Key, x0: Values) -> Array:
        """One draw of X_S for each x₀, of the shape of ``x0``."""
        mean, cov = self.conditional(x0)
        factor = jnp.asarray(np.linalg.cholesky(cov), mean.dtype)
        return mean + matmul(jax.random.normal(key, mean.shape, mean.dtype), factor.T)

    def conditional_log_prob(self, x1: Values, x0: Values) -> Array:
        """log density of X_S at x₁ given X_0 = x₀, in nats, for points of shape (…, d)."""
        cov = self.end_cov
        gain = cov * (self.reach[0] / self.reach[2])
        near, far = apart(x0, self.start.mean), apart(x1, self.end.mean)
        mean = matmul(near, jnp.asarray(gain, near.dtype))
        return Normal(np.zeros(len(cov)), cov).log_prob(far - mean)

    # -- numbers -----------------------------------------------------------------------------------
    def relative_entropy(self) -> float:
        """KL(P ‖ R) in nats, R the reference started from N(m₀, S₀):

        ½ E∫₀^S |∇ log ψ_s(X_s)|² ds = −½ log det(Q/v) − d/2 + E|X_S − aX_0 − b|²/2v,
        Q = Cov(X_S | X_0).
        """
        a, b, v = self.reach
        gap = self.end.mean - a * self.start.mean - b
        square = gap @ gap + np.trace(self.end.cov) + a * a * np.trace(self.start.cov)
        square = square - 2.0 * a * np.trace(self.cross)
        log_det = np.log(self.end_spread / v).sum()
        return float(0.5 * (square / v - log_det - len(gap)))

    def transport_cost(self) -> float:
        """E|X_S − X_0|², at least W₂² of the two ends."""
        gap = self.end.mean - self.start.mean
        return float(
            gap @ gap + np.trace(self.start.cov) + np.trace(self.end.cov) - 2 * np.trace(self.cross)
        )

    def flow_energy(self, nodes: int = 32) -> float:
        """E∫₀¹ |velocity(t, X_t)|² dt, the kinetic energy of the probability flow per unit of
        process time: exact in x, Gauss–Legendre with ``nodes`` points in t. It is at least W₂² of
        the two ends, and near it for a short clock."""
        at, weights = np.polynomial.legendre.leggauss(nodes)
        d, energy = len(self.start.mean), 0.0
        for t, w in zip(0.5 * (at + 1.0), 0.5 * weights, strict=True):
            law = self.law(t)
            points = np.concatenate([law.mean[None], law.mean[None] + np.eye(d)])
            v = np.asarray(self.velocity(float(t), points), np.float64)
            slope = v[1:] - v[:1]
            energy += w * (v[0] @ v[0] + np.sum((slope.T @ law.cov) * slope.T))
        return float(energy)

    def _reach(self, x: Point) -> tuple[Scalar, Array, Scalar]:
        a, b, v = self.reach
        return jnp.asarray(a, x.dtype), jnp.asarray(b, x.dtype), jnp.asarray(v, x.dtype)


def gaussian_ipf(
    reference: Noising, mean0: Values, cov0: Values, mean1: Values, cov1: Values, half_steps: int
) -> tuple[GaussianBridge, ...]:
    """Iterates 0, …, ``half_steps`` of iterative proportional fitting between normal laws. 0 is
    the reference started from N(m₀, S₀); odd ones end in N(m₁, S₁), even ones start in N(m₀, S₀).

    Each is the Schrödinger bridge between its own two end laws, so it is returned as one: every
    drift, marginal and coupling on the way is exact. With joint covariance blocks A, B, C an odd
    step keeps X_0 | X_S: K = C B⁻¹, A ← K S₁ Kᵀ + A − K Cᵀ, m_A ← m_A + K(m₁ − m_B), and so on.

    Source: Gaussian conditioning; the iteration is that of De Bortoli et al. 2021, Section 3.
    """
    goal = GaussianBridge(reference, mean0, cov0, mean1, cov1)
    start, end = goal.start, goal.end
    a, b, v = goal.reach
    cov_a, mean_a = start.cov, start.mean
    cov_b, mean_b = a * a * start.cov + v * np.eye(len(b)), a * start.mean + b
    cross = a * start.cov
    out = [GaussianBridge(reference, mean_a, cov_a, mean_b, cov_b)]
    for k in range(1, half_steps + 1):
        if k % 2:
            gain = cross @ np.linalg.inv(cov_b)
            cov_a = cov_a + gain @ (end.cov - cov_b) @ gain.T
            mean_a = mean_a + gain @ (end.mean - mean_b)
            cov_b, mean_b, cross = end.cov, end.mean, gain @ end.cov
        else:
            gain = cross.T @ np.linalg.inv(cov_a)
            cov_b = cov_b + gain @ (start.cov - cov_a) @ gain.T
            mean_b = mean_b + gain @ (start.mean - mean_a)
            cov_a, mean_a, cross = start.cov, start.mean, (gain @ start.cov).T
        out.append(GaussianBridge(reference, mean_a, cov_a, mean_b, cov_b))
    return tuple(out)


def _conditional(here: np.ndarray, there: np.ndarray, tau: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvectors and eigenvalues of τ H h(H·there·H) H, H² = here."""
    half = square_root(here)
    values, vectors = np.linalg.eigh(half @ there @ half)
    root = np.sqrt(4.0 * np.maximum(values, 0.0) + tau * tau)
    factor = half @ vectors * np.sqrt(2.0 * tau / (root + tau))[None, :]
    u, sizes, _ = np.linalg.svd(factor)
    return u, sizes**2


def _traced_log_prob(bridge: GaussianBridge, t: Scalar, x: Values) -> Array:
    """``log_prob`` at a time that is not known yet, in the dtype of x."""
    inner, s = bridge.inner, bridge.reference.schedule.s(t)
    rows, batch = bridge.enter(x, s, "x")
    r, dtype = jnp.asarray(bridge.inner_level(s), rows.dtype), rows.dtype
    total = jnp.asarray(inner.reach[2], dtype)
    (a, _, v), (a_r, _, v_r) = (inner.transition.moments(k) for k in (r, inner.total - r))
    left, right = a * v_r / total, a_r * v / total
    start, end, cross = (
        jnp.asarray(c, dtype) for c in (inner.start.cov, inner.end.cov, inner.cross + inner.cross.T)
    )
    noise = (v * v_r / total) * jnp.eye(len(start), dtype=dtype)
    factor = jnp.linalg.cholesky(left**2 * start + right**2 * end + left * right * cross + noise)
    # Around m_s in inner coordinates; where there are none both means are 0.
    z = jax.scipy.linalg.solve_triangular(factor, rows.T, lower=True)
    constant = 0.5 * len(start) * math.log(2.0 * math.pi) + jnp.sum(jnp.log(jnp.diag(factor)))
    unit = len(start) * math.log(bridge.unit)
    return (-0.5 * jnp.sum(z * z, axis=0) - constant - unit).reshape(batch)
