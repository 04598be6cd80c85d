"""Bridges whose end potential is a Gaussian mixture, in closed form."""

import math
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar, Values
from scorefold.bridges._base import Bridge
from scorefold.bridges.reference.linear import LinearTransition, einsum, linear_transition, matmul
from scorefold.bridges.units import BridgeUnits
from scorefold.kernels import Diagonal, Eigen, GaussianMixture
from scorefold.noising import Noising


class MixturePotential(eqx.Module):
    """The positive function Σ_k w_k N(y; μ_k, Σ_k) on R^d; the weights need not sum to 1. Point
    masses have ``covs=None``.

    **Arguments:** ``log_weights``: shape (K,); ``means``: (K, d); ``covs``: (K, d, d), positive
    definite, kept as eigenvectors and eigenvalues.
    **Raises:** ``ValueError`` for shapes that do not agree, and for covariances not positive
    definite, by row.
    """

    log_weights: np.ndarray = fixed()
    means: np.ndarray = fixed()
    variances: np.ndarray | None = fixed()
    bases: np.ndarray | None = fixed()

    def __init__(self, log_weights: Values, means: Values, covs: Values | None = None) -> None:
        self.log_weights = np.asarray(log_weights, np.float64)
        self.means = np.asarray(means, np.float64)
        if self.means.ndim != 2 or self.log_weights.shape != self.means.shape[:1]:
            raise ValueError(
                "means: shape must be (K, d) for K weights, got "
                f"{self.means.shape} and {self.log_weights.shape} weights."
            )
        self.variances = self.bases = None
        if covs is None:
            return
        covs = np.asarray(covs, np.float64)
        (count, d) = self.means.shape
        if covs.shape != (count, d, d):
            raise ValueError(f"covs: shape must be ({count}, {d}, {d}), got {covs.shape}.")
        self.variances, self.bases = np.linalg.eigh(0.5 * (covs + covs.transpose(0, 2, 1)))
        bad = np.flatnonzero(~(self.variances[:, 0] > 0))
        if bad.size:
            raise ValueError(f"covs: rows {bad[:10].tolist()} are not positive definite.")

    @property
    def covs(self) -> np.ndarray:
        """Σ_k, shape (K, d, d); zeros for point masses."""
        if self.variances is None or self.bases is None:
            return np.zeros((*self.means.shape, self.means.shape[1]))
        return np.einsum("kij,kj,klj->kil", self.bases, self.variances, self.bases)

    def moved(self, middle: np.ndarray, scale: float) -> "MixturePotential":
        """Around ``middle`` and in units of ``scale``, with the weights that it has."""
        covs = None if self.variances is None else self.covs / scale**2
        return MixturePotential(self.log_weights, (self.means - middle) / scale, covs)

    def __call__(self, y: Point, v: Scalar) -> Scalar:
        """log Σ_k w_k N(y; μ_k, Σ_k + vI)."""
        return jax.nn.logsumexp(self.log_parts(y, v))

    def log_parts(self, y: Point, v: Scalar) -> Array:
        """log of the K terms, shape (K,)."""
        return self._mixture(y.dtype).at(v).log_terms(y)

    def _mixture(self, dtype: DTypeLike) -> GaussianMixture:
        """The same with numbers on the device; point masses as normal laws without width."""
        log_w, means = jnp.asarray(self.log_weights, dtype), jnp.asarray(self.means, dtype)
        if self.variances is None:
            return GaussianMixture(log_w, means, eqx.filter_vmap(Diagonal)(jnp.zeros_like(means)))
        bases, variances = (jnp.asarray(a, dtype) for a in (self.bases, self.variances))
        return GaussianMixture(log_w, means, eqx.filter_vmap(Eigen)(bases, variances))


class MixturePotentialBridge(Bridge):
    """The bridge with ψ_S = Σ_k w_k N(·; μ_k, Σ_k) for a reference with transitions N(a x + b, vI):

        ψ_s(x) = Σ_k w_k N(a_r x + b_r; μ_k, Σ_k + v_r I),   r = S − s,
        X_S | X_0 = x ~ Σ_k w_k(x) N(P_k(Σ_k⁻¹μ_k + (a x + b)/v), P_k),  P_k = (Σ_k⁻¹ + I/v)⁻¹,
        w_k(x) ∝ w_k N(a x + b; μ_k, Σ_k + vI),

    whatever the first law is. It enters through φ_0 = p_0/ψ_0, given in one of two ways:

    - ``phi``: a Gaussian mixture. p_0, p_S and every p_s are then Gaussian mixtures, of one
      component for each pair, known in closed form.
    - ``atoms``: points x₀ of the first law, of which φ_0 is made: Σ_i δ_{x_i}/ψ_0(x_i). ``forward``
      is exact for the law they came from; ``backward`` and ``log_prob`` are those of the bridge
      that starts from these points, for s > 0.

    **Arguments:** ``reference``: Brownian motion on flat space or ``OrnsteinUhlenbeck``.
    **Raises:** ``ValueError`` unless exactly one of ``phi`` and ``atoms`` is given.

    Source: Gushchin et al. 2023, "Building the Bridge of Schrödinger"; Korotin et al. 2024 (the
    same potentials, learned).
    """

    reference: Noising
    psi: MixturePotential
    phi: MixturePotential
    transition: LinearTransition
    own: "tuple[BridgeUnits, MixturePotentialBridge] | None"

    def __init__(
        self,
        reference: Noising,
        psi: MixturePotential,
        *,
        phi: MixturePotential | None = None,
        atoms: Values | None = None,
    ) -> None:
        self.reference = reference
        self.transition = linear_transition(reference)
        d = reference.manifold.dim
        if psi.means.shape[1] != d:
            raise ValueError(f"psi: its means must have {d} columns, got {psi.means.shape[1]}.")
        if psi.variances is None:
            raise ValueError("psi: needs covariances; a bridge to point masses has none.")
        if (phi is None) == (atoms is None):
            raise ValueError("phi, atoms: give one of the two, a mixture or points of the start.")
        self.psi = psi
        if phi is None:
            points = np.asarray(atoms, np.float64).reshape(-1, d)
            a, b, v = self.transition.moments(np.float64(self.total), np)
            phi = MixturePotential(-_log_values(psi, a * points + b, v), points)
        mass = np.logaddexp.reduce(_product(phi, psi, self.transition, self.total)[0])
        self.phi = eqx.tree_at(lambda p: p.log_weights, phi, phi.log_weights - mass)
        self.own = self._in_inner_units()

    def _in_inner_units(self) -> "tuple[BridgeUnits, MixturePotentialBridge] | None":
        """Over Brownian motion: with the middle of both factors at 0 and their size 1."""
        both = np.concatenate([self.psi.means, self.phi.means])
        middle = both.mean(axis=0)
        scale = float(
            np.sqrt(np.mean((both - middle) ** 2) + np.mean(self.psi.covs.diagonal(0, 1, 2)))
        )
        near = abs(scale - 1.0) < 1e-6 and np.abs(middle).max() < 1e-6
        if self.transition.rate != 0.0 or near:
            return None
        units = BridgeUnits(scale, middle, middle)
        psi, phi = (p.moved(middle, scale) for p in (self.psi, self.phi))
        return units, MixturePotentialBridge(units.inside(self.reference), psi, phi=phi)

    @property
    def placed(self) -> "tuple[BridgeUnits, MixturePotentialBridge] | None":
        return self.own

    # -- the two gradients -----------------------------------------------------------------------
    def log_psi(self, x: Point, s: Scalar) -> Scalar:
        """log ψ_s(x)."""
        a, b, v = self.transition.moments(self.total - s)
        return self.psi(a * x + b, v)

    def log_phi(self, x: Point, s: Scalar) -> Scalar:
        """log φ_s(x) = log Σ_j u_j N(x; a m_j + b, a² S_j + vI)."""
        a, b, v = self.transition.moments(s)
        return self.phi((x - b) / a, v / (a * a)) - x.shape[0] * jnp.log(a)

    def forward(self, x: Point, s: Scalar) -> Point:
        return jax.grad(self.log_psi)(x, s)

    def backward(self, x: Point, s: Scalar) -> Point:
        return jax.grad(self.log_phi)(x, s)

    # -- public edge -----------------------------------------------------------------------------
    def log_prob(self, t: float | Scalar, x: Values) -> Array:
        """log p_t = log φ_s + log ψ_s in nats, of points of shape (…, d)."""
        s = self.level(t)
        rows, batch = self.enter(x, s, "x")
        value = _log_prob(self.inner, rows, jnp.asarray(self.inner_level(s), rows.dtype))
        return (value - self.manifold.dim * math.log(self.unit)).reshape(batch)

    def conditional(self, x0: Values) -> tuple[Array, Array, Array]:
        """The mixture X_S | x₀ for x₀ of shape (n, d): log weights (n, K), means (n, K, d) and
        covariances P_k, the same for every x₀, shape (K, d, d)."""
        log_w, means, covs = _conditional(self.inner, self.enter(x0, 0.0, "x0")[0])
        return log_w, self._out(means), self.unit * (self.unit * covs)

    def conditional_moments(self, x0: Values) -> tuple[Array, Array]:
        """Mean (n, d) and covariance (n, d, d) of X_S | x₀."""
        log_w, means, covs = _conditional(self.inner, self.enter(x0, 0.0, "x0")[0])
        w = jnp.exp(log_w)
        mean = einsum("nk,nkd->nd", w, means)
        gap = means - mean[:, None, :]
        spread = einsum("nk,nkd,nke->nde", w, gap, gap) + einsum("nk,kde->nde", w, covs)
        return self._out(mean), self.unit * (self.unit * spread)

    def conditional_log_prob(self, x1: Values, x0: Values) -> Array:
        """log density of X_S at x₁ given X_0 = x₀, row by row of two arrays of shape (n, d):
        log p_S(x₁ | x₀) + log ψ_S(x₁) − log ψ_0(x₀)."""
        there, here = self.enter(x1, self.total, "x1")[0], self.enter(x0, 0.0, "x0")[0]
        inner = self.inner
        value = tilted_log_prob(inner.reference, inner.log_psi, there, here.astype(there.dtype))
        return value - self.manifold.dim * math.log(self.unit)

    def sample_conditional(self, key: Key, x0: Values) -> Array:
        """One exact draw of X_S for each x₀, shape (n, d)."""
        return self._out(_draw(self.inner, key, self.enter(x0, 0.0, "x0")[0]))

    def sample_pairs(self, key: Key, n: int, dtype: DTypeLike | None = None) -> tuple[Array, Array]:
        """n exact draws of (X_0, X_S): X_0 from the mixture p_0, or from the atoms."""
        pick, noise, rest = jax.random.split(key, 3)
        inner = self.inner
        log_w, means, covs = _product(inner.phi, inner.psi, inner.transition, inner.total)
        dtype = dtype or jnp.result_type(float)
        row = jax.random.categorical(pick, jnp.asarray(log_w, dtype), shape=(n,))
        x0 = jnp.asarray(means, dtype)[row]
        if covs is not None:
            x0 = x0 + _noise(noise, row, jnp.asarray(np.linalg.cholesky(covs), dtype))
        return self._out(x0, 0.0), self._out(_draw(inner, rest, x0))

    def _out(self, y: Array, s: float | None = None) -> Array:
        """Points in inner coordinates, at the end (or at s), as points of the data."""
        return jnp.asarray(self.leave(y, self.total if s is None else s), y.dtype)


@eqx.filter_jit
def _log_prob(bridge: MixturePotentialBridge, rows: Array, s: Scalar) -> Array:
    return jax.vmap(lambda y: bridge.log_phi(y, s) + bridge.log_psi(y, s))(rows)


@eqx.filter_jit
def tilted_log_prob(
    reference: Noising, log_psi: Callable[[Point, Scalar], Scalar], x1: Array, x0: Array
) -> Array:
    """log p_S(x₁ | x₀) + log ψ_S(x₁) − log ψ_0(x₀), row by row."""
    total = jnp.asarray(reference.schedule.total, x1.dtype)

    def one(y: Point, x: Point) -> Scalar:
        tilt = log_psi(y, total) - log_psi(x, jnp.zeros_like(total))
        return reference.log_prob(y, x, total) + tilt

    return jax.vmap(one)(x1, x0)


@eqx.filter_jit
def _conditional(bridge: MixturePotentialBridge, x0: Array) -> tuple[Array, Array, Array]:
    psi, total = bridge.psi, jnp.asarray(bridge.total, x0.dtype)
    a, b, v = bridge.transition.moments(total)
    centre = a * x0 + b[None, :]
    log_w = jax.vmap(lambda y: jax.nn.log_softmax(psi.log_parts(y, v)))(centre)
    u, sizes = jnp.asarray(psi.bases, x0.dtype), jnp.asarray(psi.variances, x0.dtype)
    mu = jnp.asarray(psi.means, x0.dtype)
    # P_k(Σ⁻¹μ + y/v) = y + v(Σ + v)⁻¹(μ − y), without the inverse of Σ or of v.
    gap = einsum("nkd,kdj->nkj", mu[None] - centre[:, None, :], u)
    share = v / (sizes + v)
    means = centre[:, None, :] + einsum("nkj,kj,kdj->nkd", gap, share, u)
    return log_w, means, einsum("kdj,kj,kej->kde", u, sizes * share, u)


@eqx.filter_jit
def _draw(bridge: MixturePotentialBridge, key: Key, x0: Array) -> Array:
    psi, like = bridge.psi, x0.dtype
    a, b, v = bridge.transition.moments(jnp.asarray(bridge.total, like))
    mu, sizes = jnp.asarray(psi.means, like), jnp.asarray(psi.variances, like)
    bases = jnp.asarray(psi.bases, like)

    def one(i: Array) -> Point:
        pick, noise = jax.random.split(jax.random.fold_in(key, i))
        y = a * x0[i] + b
        k = jax.random.categorical(pick, psi.log_parts(y, v))
        share, u = v / (sizes[k] + v), bases[k]
        z = jnp.sqrt(sizes[k] * share) * jax.random.normal(noise, y.shape, like)
        return y + matmul(u, share * matmul(mu[k] - y, u) + z)

    return in_blocks(one, jnp.arange(len(x0)), 1024)


@jax.jit
def _noise(key: Key, row: Array, factors: Array) -> Array:
    """For each row k a draw of N(0, L_k L_kᵀ)."""

    def one(i: Array) -> Array:
        z = jax.random.normal(jax.random.fold_in(key, i), factors.shape[1:2], factors.dtype)
        return matmul(factors[row[i]], z)

    return in_blocks(one, jnp.arange(len(row)), 1024)


def _log_values(psi: MixturePotential, y: np.ndarray, v: float) -> np.ndarray:
    """log Σ_k w_k N(y; μ_k, Σ_k + vI) of points y, shape (n, d), in float64 on the host."""
    assert psi.variances is not None and psi.bases is not None
    parts, rows = [], (psi.log_weights, psi.means, psi.variances, psi.bases)
    for log_w, mu, sizes, u in zip(*rows, strict=True):
        gap, spread = (y - mu) @ u, sizes + v
        parts.append(log_w - 0.5 * np.sum(gap**2 / spread + np.log(2.0 * np.pi * spread), axis=1))
    return np.logaddexp.reduce(parts, axis=0)


def _product(
    phi: MixturePotential, psi: MixturePotential, transition: LinearTransition, total: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """p_0 = φ_0 ψ_0 as a mixture: log weights, means and covariances of J·K normal laws, or of J
    point masses (None) if φ_0 has no width. float64, on the host."""
    a, b, v = transition.moments(np.float64(total), np)
    if phi.variances is None:
        return phi.log_weights + _log_values(psi, a * phi.means + b, v), phi.means, None
    d = phi.means.shape[1]
    gap = psi.means[None] - (a * phi.means + b)[:, None]
    narrow = phi.covs
    whole = (psi.covs + v * np.eye(d))[None] + a * a * narrow[:, None]
    inverse = np.linalg.inv(whole)
    gain = a * np.einsum("jde,jkef->jkdf", narrow, inverse)
    means = phi.means[:, None] + np.einsum("jkde,jke->jkd", gain, gap)
    covs = narrow[:, None] - a * np.einsum("jkde,jef->jkdf", gain, narrow)
    square = np.einsum("jkd,jkde,jke->jk", gap, inverse, gap)
    log_w = phi.log_weights[:, None] + psi.log_weights[None]
    log_w = log_w - 0.5 * (square + np.linalg.slogdet(whole)[1] + d * np.log(2.0 * np.pi))
    return log_w.ravel(), means.reshape(-1, d), covs.reshape(-1, d, d)
