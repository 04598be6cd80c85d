"""Schrödinger bridges of Markov chains: finitely many states, discrete time, in log space."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from scorefold._types import Key, Scalar, ScalarLike, Values
from scorefold.bridges.exact.transport import log_weights, tell
from scorefold.manifolds import check_points
from scorefold.noising import Noising


class ChainBridge(eqx.Module):
    """The law on paths (x_0, …, x_N) of n states

        P(x) = φ_0(x_0) K_1(x_0, x_1) ⋯ K_N(x_{N−1}, x_N) ψ_N(x_N),
        φ_k = φ_{k−1} K_k,   ψ_{k−1} = K_k ψ_k,   P(x_k) = φ_k(x_k) ψ_k(x_k).

    With both marginals right it is the Schrödinger bridge of the kernels K_k; iterates of
    iterative proportional fitting have the same form and one marginal right.

    ``error``: L¹ distance of the last marginal from the one asked for.

    Source: Léonard 2014; De Bortoli et al. 2021, Section 3.
    """

    log_kernels: Float[Array, "N n n"]
    log_phi: Float[Array, "N+1 n"]
    log_psi: Float[Array, "N+1 n"]
    error: Scalar
    iterations: Int[Array, ""]
    converged: Bool[Array, ""]

    @property
    def log_marginals(self) -> Array:
        """log P(x_k) for k = 0, …, N, shape (N + 1, n)."""
        return self.log_phi + self.log_psi

    @property
    def log_forward_kernels(self) -> Array:
        """log P(x_k | x_{k−1}) = log K_k + log ψ_k(x_k) − log ψ_{k−1}(x_{k−1}), (N, n, n); rows of
        states that the chain cannot be in are −∞."""
        into, out_of = self.log_psi[1:, None, :], self.log_psi[:-1, :, None]
        return _minus(self.log_kernels + into, out_of)

    @property
    def log_backward_kernels(self) -> Array:
        """log P(x_{k−1} | x_k), entry [k − 1, x_{k−1}, x_k], shape (N, n, n): columns sum to 1."""
        return _minus(self.log_kernels + self.log_phi[:-1, :, None], self.log_phi[1:, None, :])

    @property
    def log_coupling(self) -> Array:
        """log P(x_0, x_N), shape (n, n)."""
        n = self.log_phi.shape[1]
        eye = jnp.where(jnp.eye(n, dtype=bool), 0.0, -jnp.inf).astype(self.log_phi.dtype)
        through, _ = jax.lax.scan(
            lambda log_l, log_k: (jax.vmap(lambda row: _forward(row, log_k))(log_l), None),
            eye,
            self.log_kernels,
        )
        return self.log_phi[0][:, None] + through + self.log_psi[-1][None, :]

    @eqx.filter_jit
    def sample(self, key: Key, n: int) -> Array:
        """n paths as indices of states, shape (n, N + 1)."""
        first, rest = jax.random.split(key)
        start = jax.random.categorical(first, self.log_marginals[0], shape=(n,))

        def step(state, inputs):
            log_kernel, k = inputs
            state = jax.random.categorical(k, log_kernel[state], axis=-1)
            return state, state

        keys = jax.random.split(rest, self.log_kernels.shape[0])
        _, path = jax.lax.scan(step, start, (self.log_forward_kernels, keys))
        return jnp.concatenate([start[None], path]).T


def chain_bridge(
    log_kernels: Values,
    p0: Values,
    p1: Values,
    *,
    tolerance: float | None = None,
    max_iterations: int = 10_000,
) -> ChainBridge:
    """Sinkhorn's iteration through a chain: φ_0 = p0/ψ_0 and ψ_N = p1/φ_N in turn.

    **Arguments:** ``log_kernels``: log K_k, shape (N, n, n), −∞ where there is no way; rows need
    not sum to 1. ``p0``, ``p1``: weights of the n states, divided by their sums. ``tolerance``:
    L¹ error of the last marginal (default 1e-9 in float64, 1e-4 in float32).
    **Raises:** ``ValueError`` for wrong shapes, and where a state of ``p1`` cannot be reached.
    **Warns:** ``ScorefoldWarning`` with the error that is left, when the tolerance is not met.
    """
    log_kernels, log_p0, log_p1 = _check(log_kernels, p0, p1)
    if tolerance is None:
        tolerance = 1e-9 if log_kernels.dtype == jnp.float64 else 1e-4
    log_phi0, log_psi_n, k = _solve(log_kernels, log_p0, log_p1, tolerance, max_iterations)
    found = _assemble(log_kernels, log_phi0, log_psi_n, log_p1, k, tolerance)
    tell("chain_bridge", found.error, k, tolerance, max_iterations)
    return found


def chain_ipf(
    log_kernels: Values, p0: Values, p1: Values, half_steps: int
) -> tuple[ChainBridge, ...]:
    """Iterates 0, 1, …, ``half_steps`` of iterative proportional fitting on paths: 0 is the chain
    started from p0, odd ones have the last marginal p1, even ones the first marginal p0.

    Source: Fortet 1940; De Bortoli et al. 2021, Section 3.
    """
    log_kernels, log_p0, log_p1 = _check(log_kernels, p0, p1)
    log_psi_n = jnp.zeros_like(log_p1)
    log_phi0 = _minus(log_p0, _passes(log_kernels, log_p0, log_psi_n)[1][0])
    iterates = [_assemble(log_kernels, log_phi0, log_psi_n, log_p1, jnp.asarray(0), 0.0)]
    for k in range(1, half_steps + 1):
        if k % 2:
            log_psi_n = _minus(log_p1, iterates[-1].log_phi[-1])
        else:
            log_phi0 = _minus(log_p0, iterates[-1].log_psi[0])
        iterates.append(_assemble(log_kernels, log_phi0, log_psi_n, log_p1, jnp.asarray(k), 0.0))
    return tuple(iterates)


def chain_kernels(reference: Noising, points: Values, weights: Values, levels: Values) -> Array:
    """log K_k(i, j) = log p_{s_k − s_{k−1}}(x_j | x_i) + log w_j: a reference process on fixed
    points, the nodes of a quadrature with weights w (or any points with w = volume per point).

    **Arguments:** ``levels``: variance-times s_0 < … < s_N.
    **Returns:** shape (N, n, n). Rows sum to 1 as well as the quadrature integrates the kernel.
    """
    points = check_points(reference.manifold, points, "points")
    log_w = jnp.log(jnp.asarray(weights, points.dtype))
    gaps = jnp.diff(jnp.asarray(levels, points.dtype))
    return _kernels(reference, points, log_w, gaps)


@eqx.filter_jit
def _kernels(reference: Noising, points: Array, log_w: Array, gaps: Array) -> Array:
    def row(x, s):
        return jax.vmap(lambda y: reference.log_prob(y, x, s))(points) + log_w

    return jax.vmap(lambda s: jax.vmap(lambda x: row(x, s))(points))(gaps)


def backward_pass(log_kernels: Array, log_psi_n: Array) -> Array:
    """log ψ_k for k = 0, …, N from the last, shape (N + 1, n)."""

    def step(after, log_k):
        before = jax.nn.logsumexp(log_k + after[None, :], axis=1)
        return before, before

    _, earlier = jax.lax.scan(step, log_psi_n, log_kernels, reverse=True)
    return jnp.concatenate([earlier, log_psi_n[None]])


def forward_pass(log_kernels: Array, log_phi0: Array) -> Array:
    """log φ_k for k = 0, …, N from the first, shape (N + 1, n)."""

    def step(before, log_k):
        after = _forward(before, log_k)
        return after, after

    _, later = jax.lax.scan(step, log_phi0, log_kernels)
    return jnp.concatenate([log_phi0[None], later])


def _forward(log_mass: Array, log_k: Array) -> Array:
    return jax.nn.logsumexp(log_mass[:, None] + log_k, axis=0)


@jax.jit
def _solve(
    log_kernels: Array,
    log_p0: Array,
    log_p1: Array,
    tolerance: ScalarLike,
    max_iterations: int | Array,
) -> tuple[Array, Array, Array]:
    goal = 0.9 * tolerance  # the rest is for rounding in the error that is reported

    def going(state):
        _, _, error, k = state
        return ~(error <= goal) & (k < max_iterations)

    def body(state):
        _, log_psi_n, _, k = state
        log_phi0 = _minus(log_p0, backward_pass(log_kernels, log_psi_n)[0])
        log_phi_n = forward_pass(log_kernels, log_phi0)[-1]
        error = jnp.sum(jnp.abs(jnp.exp(log_phi_n + log_psi_n) - jnp.exp(log_p1)))
        # The pair whose error was measured is kept once it is good enough.
        good = error <= goal
        log_psi_n = jnp.where(good, log_psi_n, _minus(log_p1, log_phi_n))
        return log_phi0, log_psi_n, error, k + 1

    infinity = jnp.full((), jnp.inf, log_p0.dtype)
    log_phi0, log_psi_n, _, k = jax.lax.while_loop(
        going, body, (log_p0, jnp.zeros_like(log_p1), infinity, jnp.zeros((), jnp.int32))
    )
    return log_phi0, log_psi_n, k


@jax.jit
def _passes(log_kernels: Array, log_phi0: Array, log_psi_n: Array) -> tuple[Array, Array]:
    return forward_pass(log_kernels, log_phi0), backward_pass(log_kernels, log_psi_n)


def _assemble(
    log_kernels: Array, log_phi0: Array, log_psi_n: Array, log_p1: Array, k: Array, tolerance: float
) -> ChainBridge:
    log_phi, log_psi = _passes(log_kernels, log_phi0, log_psi_n)
    error = jnp.sum(jnp.abs(jnp.exp(log_phi[-1] + log_psi[-1]) - jnp.exp(log_p1)))
    return ChainBridge(log_kernels, log_phi, log_psi, error, k, error <= tolerance)


def _minus(log_p: Array, log_q: Array) -> Array:
    """log(p/q) with 0/q = 0, also for q = 0."""
    nothing = jnp.isneginf(log_p)
    return jnp.where(nothing, -jnp.inf, log_p - jnp.where(nothing, 0.0, log_q))


def _check(log_kernels: Values, p0: Values, p1: Values) -> tuple[Array, Array, Array]:
    log_kernels = jnp.asarray(log_kernels)
    if log_kernels.ndim != 3 or log_kernels.shape[1] != log_kernels.shape[2]:
        raise ValueError(f"log_kernels: shape must be (N, n, n), got {log_kernels.shape}.")
    n, dtype = log_kernels.shape[1], log_kernels.dtype
    log_p0, log_p1 = log_weights("p0", p0, n, dtype), log_weights("p1", p1, n, dtype)
    ahead, behind = _passes(log_kernels, log_p0, log_p1)
    reach, back = np.asarray(ahead[-1]), np.asarray(behind[0])
    for name, other, law, reached in (("p1", "p0", log_p1, reach), ("p0", "p1", log_p0, back)):
        lost = np.flatnonzero(np.isneginf(reached) & ~np.isneginf(np.asarray(law)))
        if lost.size:
            raise ValueError(
                f"{name}: no path of the chain joins states {lost[:10].tolist()} to {other}. Give "
                "them weight 0, or kernels that reach them."
            )
    return log_kernels, log_p0, log_p1
