"""Potentials with closed-form conditional expectations: what a light bridge learns."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc
import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.heat import HeatKernel, fitted_kernel
from scorefold.kernels import Diagonal, GaussianMixture
from scorefold.manifolds import Manifold, nearest
from scorefold.noising import Noising

__all__ = ["HeatPotential", "Potential", "balance", "some_rows", "spacing"]

_NEIGHBOUR = 6
_PAIRS = 1 << 18
_BALANCING = 100
_ROWS = 1024
_FACTORS = (1.0, 0.25, 0.0625)
"""Of the spacing: widths that kernels may start with."""


class Potential(eqx.Module):
    """A positive function φ = Σ_k φ_k on the space of a reference process, with

        (P_u φ)(x) = E[φ(X_{s+u}) | X_s = x] = Σ_k (P_u φ_k)(x)   in closed form.

    Before it is fitted it is a description; ``start`` returns a copy with parameters.
    """

    @abc.abstractmethod
    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        """log (P_u φ_k)(x) for each k; u ≥ 0 is the time that is left."""

    @abc.abstractmethod
    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        """∇ log P_u φ(x)."""

    @abc.abstractmethod
    def start(self, reference: Noising, key: Key, a: Array, b: Array) -> "Potential":
        """A copy with parameters that suit points ``a`` of the first law and ``b`` of the second.
        The same arguments give the same bits."""

    @abc.abstractmethod
    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        """log P_S φ at the points ``a`` and log φ at the points ``b``, for training: errors of
        10⁻³ nats are allowed if they save time."""

    @abc.abstractmethod
    def finished(self, reference: Noising) -> "Potential":
        """The potential alone, exact, without what only training needs."""

    @abc.abstractmethod
    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        """The law of X_S given X₀ = x on flat space. **Raises:** ``ValueError`` elsewhere."""

    @abc.abstractmethod
    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        """One exact draw of it."""

    @abc.abstractmethod
    def shorter(self, factor: float) -> "Potential":
        """The description with stated variance-times divided by ``factor``."""

    @abc.abstractmethod
    def scale(self) -> float:
        """Variance-time over which the potential itself varies: its narrowest component."""

    def log_ahead(self, reference: Noising, x: Point, u: Scalar) -> Scalar:
        """log P_u φ(x)."""
        return jax.nn.logsumexp(self.log_terms(reference, x, u))


class HeatPotential(Potential):
    """φ = Σ_k w_k p_{τ_k}(m_k, ·), a mixture of heat kernels, on any manifold:

        P_u φ = Σ_k w_k p_{τ_k+u}(m_k, ·)

    by the semigroup property of the heat flow. The reference is Brownian motion. All of w, m and
    τ are learned. They start at random points of the second law with τ its spacing, and with
    weights from 100 rounds of w_k ← w_k·E_b[p_{τ_k}(m_k, ·)/φ] / E_a[p_{τ_k+S}(m_k, ·)/P_S φ],
    each of which lowers the loss of ``LightBridge``; with one kernel on each point of the second
    law and τ → 0 it is Sinkhorn's algorithm.

    **Arguments:** ``components``: K; ``tau``: the variance-time at which all kernels start
    (default: 1, 1/4 or 1/16 of
    the median squared distance of a centre to its 6th neighbour over the dimension, whichever has
    the smallest loss on rows left out);
    ``floor``: what τ_k cannot go below (default: a twentieth of ``tau``).
    """

    components: int = 256
    tau: float | None = None
    floor: float | None = None
    log_weights: Array | None = None
    centres: Array | None = fixed(default=None)
    offsets: Array | None = None
    log_tau: Array | None = None
    fast: tuple[HeatKernel, HeatKernel] | None = None

    def __check_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components must be 1 or more, got {self.components}.")
        for name in ("tau", "floor"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive variance-time, got {value}.")

    # -- one point -------------------------------------------------------------------------------
    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        return self._terms(_kernel(reference), reference.manifold, x, u)

    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        heat = _kernel(reference)
        centres, tau = self.kernels(reference.manifold, x.dtype)
        share = jax.nn.softmax(self.log_terms(reference, x, u))
        parts = jax.vmap(lambda m, t: heat.score(x, m, t + u))(centres, tau)
        return jnp.tensordot(share, parts, axes=1)

    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        log_w, means, variances = self._landing(reference, x)
        spread = jnp.broadcast_to(variances[:, None], means.shape)
        return GaussianMixture(log_w, means, eqx.filter_vmap(Diagonal)(spread))

    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        pick, noise = jax.random.split(key)
        log_w, means, variances = self._landing(reference, x)
        k = jax.random.categorical(pick, log_w)
        return means[k] + jnp.sqrt(variances[k]) * jax.random.normal(noise, x.shape, x.dtype)

    def kernels(self, manifold: Manifold, dtype: Any = None) -> tuple[Array, Array]:
        """(m, τ): the centres, shape (K, *shape), and their variance-times, shape (K,)."""
        if self.centres is None or self.log_tau is None or self.log_weights is None:
            raise ValueError("This HeatPotential has no parameters yet: fit a bridge first.")
        centres, log_tau = self.centres, self.log_tau
        dtype = dtype or centres.dtype
        if self.offsets is not None:
            unit = math.sqrt(self._start())

            def moved(m: Point, c: Array) -> Point:
                return manifold.exp(m, manifold.from_components(m, unit * c))

            centres = jax.vmap(moved)(centres, self.offsets)
        tau = self._lowest() + jnp.exp(jnp.minimum(log_tau, math.log(self._highest())))
        return centres.astype(dtype), tau.astype(dtype)

    def scale(self) -> float:
        if self.log_tau is None:
            return self._start()
        with jax.ensure_compile_time_eval():
            spread = np.exp(np.asarray(self.log_tau, np.float64))
            return self._lowest() + float(np.quantile(spread, 0.1))

    def widest(self) -> float:
        """The largest τ."""
        if self.log_tau is None:
            return self._start()
        with jax.ensure_compile_time_eval():
            most = math.exp(float(np.max(np.asarray(self.log_tau, np.float64))))
            return self._lowest() + min(most, self._highest())

    # -- fitting ---------------------------------------------------------------------------------
    def shorter(self, factor: float) -> "HeatPotential":
        tau = None if self.tau is None else self.tau / factor
        floor = None if self.floor is None else self.floor / factor
        return HeatPotential(self.components, tau, floor)

    def start(self, reference: Noising, key: Key, a: Array, b: Array) -> "HeatPotential":
        manifold, total = reference.manifold, reference.schedule.total
        pick, rows_a, rows_b = jax.random.split(key, 3)
        count = min(self.components, len(b))
        order = jax.random.permutation(pick, len(b))
        centres, others = b[order[:count]], b[order[count:]] if len(b) >= 2 * count else b
        some = (some_rows(rows_a, a), some_rows(rows_b, others))
        tau = min(spacing(manifold, centres) if self.tau is None else self.tau, 4.0 * total)
        found: tuple[float, Any, Any] = (math.inf, None, None)
        for factor in (1.0,) if self.tau is not None else _FACTORS:
            ready = self._placed(reference, centres, max(factor * tau, 1e-6 * total), a, b)
            weights, loss = _balanced(ready, reference, *some)
            if found[1] is None or float(loss) < found[0]:
                found = (float(loss), ready, weights)
        _, ready, weights = found
        return eqx.tree_at(lambda p: p.log_weights, ready, weights)

    def _placed(
        self, reference: Noising, centres: Array, tau: float, a: Array, b: Array
    ) -> "HeatPotential":
        """Kernels of equal weight and width at ``centres``, ready to be trained."""
        manifold, total, count = reference.manifold, reference.schedule.total, len(centres)
        floor = 0.05 * tau if self.floor is None else self.floor
        first = max(tau - floor, 0.1 * floor)
        described = HeatPotential(
            self.components,
            tau,
            floor,
            log_weights=jnp.full((count,), -math.log(count), b.dtype),
            centres=centres,
            offsets=jnp.zeros((count, manifold.dim), b.dtype),
            log_tau=jnp.full((count,), math.log(first), b.dtype),
        )
        widest, reach, kernel = described._highest(), _reach(manifold, a, b), _kernel(reference)
        slow = fitted_kernel(kernel, total + floor, total + floor + widest, reach)
        near = fitted_kernel(kernel, floor, floor + widest, reach)
        return eqx.tree_at(
            lambda p: p.fast, described, (slow, near), is_leaf=lambda leaf: leaf is None
        )

    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        manifold, total = reference.manifold, reference.schedule.total
        slow, near = self.fast or (_kernel(reference),) * 2
        whole, none = jnp.asarray(total, a.dtype), jnp.zeros((), a.dtype)

        def log(kernel: HeatKernel, u: Scalar, x: Point) -> Scalar:
            return jax.nn.logsumexp(self._terms(kernel, manifold, x, u))

        first = jax.vmap(lambda x: log(slow, whole, x))(a)
        return first, jax.vmap(lambda x: log(near, none, x))(b)

    def finished(self, reference: Noising) -> "HeatPotential":
        centres, _ = self.kernels(reference.manifold)
        assert self.log_weights is not None
        return eqx.tree_at(
            lambda p: (p.centres, p.offsets, p.fast, p.log_weights),
            self,
            (centres, None, None, jax.nn.log_softmax(self.log_weights)),
            is_leaf=lambda leaf: leaf is None,
        )

    # -- inside ----------------------------------------------------------------------------------
    def _landing(self, reference: Noising, x: Point) -> tuple[Array, Array, Array]:
        """Σ_k w_k(x) N(x + S(m_k − x)/(S + τ_k), Sτ_k/(S + τ_k) I), the law of X_S | x."""
        manifold = reference.manifold
        if not manifold.euclidean:
            raise ValueError(f"There is no normal law on {manifold.name}: use couple(key, x0).")
        total = jnp.asarray(reference.schedule.total, x.dtype)
        centres, tau = self.kernels(manifold, x.dtype)
        part = total / (total + tau)
        log_w = jax.nn.log_softmax(self.log_terms(reference, x, total))
        return log_w, x[None, :] + part[:, None] * (centres - x[None, :]), part * tau

    def _terms(self, kernel: HeatKernel, manifold: Manifold, x: Point, u: Scalar) -> Array:
        centres, tau = self.kernels(manifold, x.dtype)
        assert self.log_weights is not None
        parts = jax.vmap(lambda m, t: kernel.log_prob(x, m, t + u))(centres, tau)
        return jax.nn.log_softmax(self.log_weights.astype(x.dtype)) + parts

    def _start(self) -> float:
        return 1.0 if self.tau is None else self.tau

    def _lowest(self) -> float:
        return 0.05 * self._start() if self.floor is None else self.floor

    def _highest(self) -> float:
        return 50.0 * self._start()


def balance(at_a: Array, at_b: Array, log_weights: Array, rounds: int = _BALANCING) -> Array:
    """log w after ``rounds`` of

        w_k ← w_k · mean_j[w_k-th share of φ at b_j]/w_k / mean_i[(P_S φ)_k/(P_S φ)(a_i)],

    from log (P_S φ)_k(a_i), shape (n, K), and log φ_k(b_j), shape (m, K), both without weights.
    L(w) = mean_i log Σ_k w_k e^{at_a} − mean_j log Σ_k w_k e^{at_b} never grows: the first term is
    concave in w and lies below its tangent, the second is bounded as in expectation maximisation,
    and each round minimises the bound Σ_k (α_k w_k − β_k log w_k).
    """
    n, m = math.log(len(at_a)), math.log(len(at_b))

    def one(_: Array, log_w: Array) -> Array:
        a, b = at_a + log_w[None, :], at_b + log_w[None, :]
        share_a = jax.nn.logsumexp(at_a - jax.nn.logsumexp(a, axis=1, keepdims=True), axis=0) - n
        share_b = jax.nn.logsumexp(b - jax.nn.logsumexp(b, axis=1, keepdims=True), axis=0) - m
        return jax.nn.log_softmax(jnp.maximum(share_b - share_a, -60.0))

    return jax.lax.fori_loop(0, rounds, one, log_weights)


@eqx.filter_jit
def _balanced(
    potential: HeatPotential, reference: Noising, a: Array, b: Array
) -> tuple[Array, Scalar]:
    """Weights by ``balance`` on three quarters of the rows, and the loss on the others."""
    slow, near = potential.fast or (_kernel(reference),) * 2
    centres, tau = potential.kernels(reference.manifold)
    total = jnp.asarray(reference.schedule.total, tau.dtype)

    def table(kernel: HeatKernel, times: Array, rows: Array) -> Array:
        def row(x: Point) -> Array:
            return jax.vmap(lambda m, t: kernel.log_prob(x, m, t))(centres, times)

        return in_blocks(row, rows, max(1, _PAIRS // len(centres)))

    at_a, at_b = table(slow, tau + total, a), table(near, tau, b)
    cut_a, cut_b = -(-3 * len(a) // 4), -(-3 * len(b) // 4)
    assert potential.log_weights is not None
    weights = balance(at_a[:cut_a], at_b[:cut_b], potential.log_weights)
    first, last = (
        jnp.mean(jax.nn.logsumexp(rows + weights[None, :], axis=1))
        for rows in (at_a[-max(1, len(a) - cut_a) :], at_b[-max(1, len(b) - cut_b) :])
    )
    return weights, first - last


def _kernel(reference: Noising) -> HeatKernel:
    kernel = reference.kernel
    if kernel is None:
        raise ValueError(
            f"reference: a HeatPotential needs Brownian motion, {type(reference).__name__} has a "
            "drift. Use GaussianPotential on flat space, or brownian_reference(manifold, variance)."
        )
    return kernel


def spacing(manifold: Manifold, centres: Array) -> float:
    """Median squared distance to the 6th neighbour, over d; repeated points are left out."""
    different = np.unique(np.asarray(centres).reshape(len(centres), -1), axis=0)
    rows = different.reshape(-1, *manifold.shape)
    if len(rows) < 2:
        return 1e-2
    k = min(_NEIGHBOUR, len(rows) - 1)
    _, distance = nearest(manifold, rows, rows, k, exclude_self=True)
    return float(np.median(distance[:, -1] ** 2)) / manifold.dim


def _reach(manifold: Manifold, a: Array, b: Array) -> float:
    """A distance that no two points exceed: the diameter, or twice the radius of the data."""
    if math.isfinite(manifold.diameter):
        return manifold.diameter
    centre = b[0]
    far = max(float(_furthest(manifold, centre, rows)) for rows in (a, b))
    return 2.0 * far + 1e-3


@eqx.filter_jit
def _furthest(manifold: Manifold, centre: Point, rows: Array) -> Scalar:
    return jnp.max(jax.vmap(lambda x: manifold.dist(centre, x))(rows))


def some_rows(key: Key, rows: Array) -> Array:
    return rows[jax.random.permutation(key, len(rows))[:_ROWS]]
