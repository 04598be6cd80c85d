"""The heat potential of light bridges: a mixture of heat kernels, on any manifold."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar
from scorefold.bridges.light.potential import (
    LearningPotential,
    LightPotential,
    PotentialDescription,
)
from scorefold.bridges.light.starts import balance, some_rows, spacing
from scorefold.heat import HeatKernel, TransitionMixture, fitted_kernel
from scorefold.kernels import Diagonal, GaussianMixture
from scorefold.manifolds import Manifold
from scorefold.noising import Noising

_PAIRS = 1 << 18
_FACTORS = (1.0, 0.25, 0.0625)
"""Of the spacing: widths that kernels may start with."""
_WIDEST = 50.0
"""Largest width of a kernel, in widths at the start."""


class HeatPotential(PotentialDescription):
    """φ = Σ_k w_k p_{τ_k}(m_k, ·), a mixture of heat kernels, on any manifold:

        P_u φ = Σ_k w_k p_{τ_k+u}(m_k, ·)

    by the semigroup property of the heat flow. The reference is Brownian motion. All of w, m and
    τ are learned. They start at random points of the second law with τ its spacing, and with
    weights from 100 rounds of w_k ← w_k·E_b[p_{τ_k}(m_k, ·)/φ] / E_a[p_{τ_k+S}(m_k, ·)/P_S φ],
    each of which lowers the loss of ``LightBridge``; with one kernel on each point of the second
    law and τ → 0 it is Sinkhorn's algorithm.

    **Arguments:** ``components``: K; ``tau``: the variance-time at which all kernels start
    (default: 1, 1/4 or 1/16 of the median squared distance of a centre to its 6th neighbour over
    the dimension, whichever has the smallest loss on rows left out); ``floor``: what τ_k cannot go
    below (default: a twentieth of ``tau``).
    """

    components: int = 256
    tau: float | None = None
    floor: float | None = None

    def __check_init__(self) -> None:
        if self.components < 1:
            raise ValueError(f"components must be 1 or more, got {self.components}.")
        for name in ("tau", "floor"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive variance-time, got {value}.")

    def check(self, reference: Noising) -> None:
        if reference.kernel is None:
            raise ValueError(
                "reference: a HeatPotential follows Brownian motion only; use "
                "brownian_reference(manifold, variance), or GaussianPotential on flat space."
            )

    def shorter(self, factor: float) -> HeatPotential:
        tau = None if self.tau is None else self.tau / factor
        floor = None if self.floor is None else self.floor / factor
        return HeatPotential(self.components, tau, floor)

    def begin(self, reference: Noising, key: Key, a: Array, b: Array) -> LearningHeat:
        manifold, total = reference.manifold, reference.schedule.total
        pick, rows_a, rows_b = jax.random.split(key, 3)
        count = min(self.components, len(b))
        order = jax.random.permutation(pick, len(b))
        centres, others = b[order[:count]], b[order[count:]] if len(b) >= 2 * count else b
        some = (some_rows(rows_a, a), some_rows(rows_b, others))
        tau = min(spacing(manifold, centres) if self.tau is None else self.tau, 4.0 * total)
        best, found = math.inf, None
        for factor in (1.0,) if self.tau is not None else _FACTORS:
            width = max(factor * tau, 1e-6 * total)
            placed = LearningHeat.at(reference, centres, width, self.floor, a, b)
            weights, loss = _balanced(placed, reference, *some)
            if found is None or float(loss) < best:
                best = float(loss)
                found = eqx.tree_at(lambda p: p.log_weights, placed, weights)
        assert found is not None
        return found


class LearningHeat(LearningPotential):
    """Kernels whose centres move in the tangent spaces of where they started,
    m_k = exp_{z_k}(√τ o_k), of widths τ_k = floor + e^{l_k}, no wider than 50 τ.

    ``slow``, ``near``: heat kernels fitted for the times after S and after 0, which training uses.
    """

    log_weights: Array
    offsets: Array
    log_tau: Array
    tau: float
    floor: float
    slow: HeatKernel
    near: HeatKernel
    centres: Array = fixed()

    @classmethod
    def at(
        cls, reference: Noising, centres: Array, tau: float, floor: float | None, a: Array, b: Array
    ) -> LearningHeat:
        """Kernels of equal weight and width τ at ``centres``; ``floor`` by default τ/20."""
        manifold, total, count = reference.manifold, reference.schedule.total, len(centres)
        low = 0.05 * tau if floor is None else floor
        first, reach, kernel = max(tau - low, 0.1 * low), _reach(manifold, a, b), _kernel(reference)
        widest = _WIDEST * tau
        return cls(
            log_weights=jnp.full((count,), -math.log(count), b.dtype),
            offsets=jnp.zeros((count, manifold.dim), b.dtype),
            log_tau=jnp.full((count,), math.log(first), b.dtype),
            tau=tau,
            floor=low,
            slow=fitted_kernel(kernel, total + low, total + low + widest, reach),
            near=fitted_kernel(kernel, low, low + widest, reach),
            centres=centres,
        )

    def kernels(self, manifold: Manifold) -> tuple[Array, Array]:
        """(m, τ): the centres, shape (K, *shape), and their variance-times, shape (K,)."""
        unit = math.sqrt(self.tau)

        def moved(m: Point, c: Array) -> Point:
            return manifold.exp(m, manifold.from_components(m, unit * c))

        highest = math.log(_WIDEST * self.tau)
        tau = self.floor + jnp.exp(jnp.minimum(self.log_tau, highest))
        return jax.vmap(moved)(self.centres, self.offsets), tau

    def ends(self, reference: Noising, a: Array, b: Array) -> tuple[Array, Array]:
        centres, tau = self.kernels(reference.manifold)
        total = jnp.asarray(reference.schedule.total, a.dtype)
        log_w = jax.nn.log_softmax(self.log_weights)
        first = TransitionMixture(self.slow, centres, tau + total, log_w)
        last = TransitionMixture(self.near, centres, tau, log_w)
        return jax.vmap(first.log_prob)(a), jax.vmap(last.log_prob)(b)

    def potential(self, reference: Noising) -> FittedHeatPotential:
        centres, tau = self.kernels(reference.manifold)
        return FittedHeatPotential(jax.nn.log_softmax(self.log_weights), centres, tau)


class FittedHeatPotential(LightPotential):
    """φ = Σ_k w_k p_{τ_k}(m_k, ·): ``log_weights``, shape (K,); ``centres``, (K, *shape);
    ``tau``, (K,)."""

    log_weights: Array
    centres: Array
    tau: Array

    def log_terms(self, reference: Noising, x: Point, u: Scalar) -> Array:
        return self._ahead(reference, u, x.dtype).log_terms(x)

    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        return self._ahead(reference, u, x.dtype).score(x)

    def conditional(self, reference: Noising, x: Point) -> GaussianMixture:
        log_w, means, variances = self._landing(reference, x)
        spread = jnp.broadcast_to(variances[:, None], means.shape)
        return GaussianMixture(log_w, means, eqx.filter_vmap(Diagonal)(spread))

    def draw(self, reference: Noising, key: Key, x: Point) -> Point:
        pick, noise = jax.random.split(key)
        log_w, means, variances = self._landing(reference, x)
        k = jax.random.categorical(pick, log_w)
        return means[k] + jnp.sqrt(variances[k]) * jax.random.normal(noise, x.shape, x.dtype)

    def target(self, reference: Noising, key: Key, x: Point) -> tuple[Point, Scalar]:
        total = jnp.asarray(reference.schedule.total, x.dtype)
        k = jax.random.categorical(key, self.log_terms(reference, x, total))
        return self.centres.astype(x.dtype)[k], self.tau.astype(x.dtype)[k]

    @property
    def scale(self) -> float:
        with jax.ensure_compile_time_eval():
            return float(np.quantile(np.asarray(self.tau, np.float64), 0.1))

    @property
    def widest(self) -> float:
        with jax.ensure_compile_time_eval():
            return float(np.max(np.asarray(self.tau, np.float64)))

    def _ahead(self, reference: Noising, u: Scalar, dtype: DTypeLike) -> TransitionMixture:
        """P_u φ."""
        parts = (self.centres, self.tau, self.log_weights)
        centres, tau, log_w = (v.astype(dtype) for v in parts)
        return TransitionMixture(_kernel(reference), centres, tau + u, log_w)

    def _landing(self, reference: Noising, x: Point) -> tuple[Array, Array, Array]:
        """Σ_k w_k(x) N(x + S(m_k − x)/(S + τ_k), Sτ_k/(S + τ_k) I), the law of X_S | x."""
        if not reference.manifold.euclidean:
            raise ValueError(
                f"There is no normal law on {reference.manifold.name}: use couple(key, x0)."
            )
        total = jnp.asarray(reference.schedule.total, x.dtype)
        centres, tau = self.centres.astype(x.dtype), self.tau.astype(x.dtype)
        part = total / (total + tau)
        log_w = jax.nn.log_softmax(self.log_terms(reference, x, total))
        return log_w, x[None, :] + part[:, None] * (centres - x[None, :]), part * tau


@eqx.filter_jit
def _balanced(placed: LearningHeat, reference: Noising, a: Array, b: Array) -> tuple[Array, Scalar]:
    """Weights by ``balance`` on three quarters of the rows, and the loss on the others."""
    centres, tau = placed.kernels(reference.manifold)
    total = jnp.asarray(reference.schedule.total, tau.dtype)

    def table(kernel: HeatKernel, times: Array, rows: Array) -> Array:
        def row(x: Point) -> Array:
            return jax.vmap(lambda m, t: kernel.log_prob(x, m, t))(centres, times)

        return in_blocks(row, rows, max(1, _PAIRS // len(centres)))

    at_a, at_b = table(placed.slow, tau + total, a), table(placed.near, tau, b)
    cut_a, cut_b = -(-3 * len(a) // 4), -(-3 * len(b) // 4)
    weights = balance(at_a[:cut_a], at_b[:cut_b], placed.log_weights)
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
