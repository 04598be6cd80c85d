"""Mixtures of heat kernels as potentials of light bridges, on any manifold."""

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
from scorefold.bridges.light.potential import LightPotential
from scorefold.bridges.light.starts import balance, some_rows, spacing
from scorefold.heat import HeatKernel, TransitionMixture, fitted_kernel
from scorefold.kernels import Diagonal, GaussianMixture
from scorefold.manifolds import Euclidean, Manifold
from scorefold.noising import Noising

__all__ = ["HeatPotential"]

_PAIRS = 1 << 18
"""Pairs of a row and a kernel at a time."""
_FACTORS = (1.0, 0.25, 0.0625)
"""Of the spacing: widths that kernels may start with."""


class HeatPotential(LightPotential):
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
        return self._ahead(_kernel(reference), reference.manifold, u, x.dtype).log_terms(x)

    def score_ahead(self, reference: Noising, x: Point, u: Scalar) -> Point:
        return self._ahead(_kernel(reference), reference.manifold, u, x.dtype).score(x)

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
            return self._ahead(kernel, manifold, u, x.dtype).log_prob(x)

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
        if not isinstance(manifold, Euclidean):
            raise ValueError(f"There is no normal law on {manifold.name}: use couple(key, x0).")
        total = jnp.asarray(reference.schedule.total, x.dtype)
        centres, tau = self.kernels(manifold, x.dtype)
        part = total / (total + tau)
        log_w = jax.nn.log_softmax(self.log_terms(reference, x, total))
        return log_w, x[None, :] + part[:, None] * (centres - x[None, :]), part * tau

    def _ahead(
        self, kernel: HeatKernel, manifold: Manifold, u: Scalar, dtype: Any
    ) -> TransitionMixture:
        """P_u φ."""
        centres, tau = self.kernels(manifold, dtype)
        assert self.log_weights is not None
        log_w = jax.nn.log_softmax(self.log_weights.astype(dtype))
        return TransitionMixture(kernel, centres, tau + u, log_w)

    def _start(self) -> float:
        return 1.0 if self.tau is None else self.tau

    def _lowest(self) -> float:
        return 0.05 * self._start() if self.floor is None else self.floor

    def _highest(self) -> float:
        return 50.0 * self._start()


@eqx.filter_jit
def _balanced(
    potential: HeatPotential, reference: Noising, a: Array, b: Array
) -> tuple[Array, Scalar]:
    """Weights by ``balance`` on three quarters of the rows, and the loss on the others."""
    slow, near = potential.fast or (_kernel(reference),) * 2
    centres, tau = potential.kernels(reference.manifold)
    total = jnp.asarray(reference.schedule.total, tau.dtype)

    def table(kernel: HeatKernel, times: Array, rows: Array) -> Array:
        each = TransitionMixture(kernel, centres, times).log_kernels
        return in_blocks(each, rows, max(1, _PAIRS // len(centres)))

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
