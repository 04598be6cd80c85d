"""Kernel-informed score model: a kernel model's score at every noise level and a learned rest."""

from __future__ import annotations

import math
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, device, in_blocks, inside_jit, is_traced
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold._weights import mean, on_device
from scorefold.fields import Architecture, NetworkSpec, TangentOutput, default_output
from scorefold.fitting import Defaults, Description, RowWeights, Trainer
from scorefold.kernels import ClusteredMixture, WrappedMixture
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.manifolds import Manifold
from scorefold.models._base import Model
from scorefold.models.kernel import FittedKernelModel
from scorefold.models.residual import Noised, ResidualField, kernel_errors, noised
from scorefold.models.residual_flow import flow_draws, log_ratio, steps_below
from scorefold.models.standardise import Units, to_inner

_DEVIATIONS = 6.0
"""Standard deviations, at the largest variance-time on curved spaces, to the cut locus (or π)."""
_PAIRS = 1 << 18
"""Pairs of a point and a kernel at a time."""
_RANGE = (1e-4, 1e-1)
"""Bounds of the smallest noise level over the largest."""


class InformedModel(Description["FittedInformedModel"]):
    """The score of a fitted kernel model at every noise level plus a learned residual:

        s(x, s) = ∇ log p_s(x) + r(x, s),   s_min ≤ s ≤ s_max,

    p_s the law of the kernels after Brownian motion for the variance-time s, r = network/√s, 0 at
    the start and outside [s_min, s_max], so that the model starts as the kernel model. Its density
    is that of the probability flow, as a ratio to the kernels' own (``log_ratio``):

        log q(x) = log p(x) − ½ ∫ (div r + ⟨r, ∇ log p_s⟩)(x(s), s) ds,
        dx/ds = −½(∇ log p_s + r),   x(0) = x,

    exact for p_s that follows the heat flow (flat space). On curved spaces the p_s used in the
    integral is ``ClusteredMixture``'s; ``metrics.total_mass`` says how far q is from mass 1.

    **Training** minimises ½∫E‖s(X_s, s) − ∇ log p_s(X_s | X₀)‖² ds, which bounds the divergence
    from the data to the model. The kernels that a training point meets there are those of the
    other folds (``CrossFit``): the residual would learn to undo memorised kernels otherwise. Noised
    points and the kernels' scores at them are computed once, before training. ``validate`` is

        mean of −log p(x₀) + ∫ E[½‖r‖² + ⟨r, ∇ log p_s(X_s) − ∇ log p_s(X_s | x₀)⟩] ds

    on held-out points: the kernels' NLL at step 0, and a bound on the NLL of the reversed
    diffusion where p_s is exact. ``fit`` keeps the best step, so that the bound of what it returns
    is never worse than the kernels' NLL.

    **Arguments:**

    - ``base``: a fitted ``KernelModel``; ``fit`` takes the points it was fitted to, and no others,
      with the weights it was fitted with.
    - ``network``: sizes of the network; ``output``: how its output becomes tangent
      (default: ``default_output(manifold)``).
    - ``s_min``: default the weighted median of the kernels' mean variances, held within 10⁻⁴ and
      10⁻¹ of ``s_max``: below it the kernels decide. ``s_max``: default the mean variance of the
      data on flat space, (π/6)² elsewhere; above it too.
    - ``levels``: noised copies of a training point, an even number (held-out points have four
      times as many). ``steps_of_flow``: steps of the flow between s_min and s_max.

    Source: Zhang et al. 2024 (the kernel formula in the place of a network); the residual,
    cross-fitting and the ratio are this library's.
    """

    weighs: ClassVar[bool] = True

    base: FittedKernelModel = fixed()
    network: Architecture = NetworkSpec(width=64, depth=3, fourier=32, frequency=4.0)
    output: TangentOutput | None = None
    s_min: float | None = None
    s_max: float | None = None
    levels: int = 8
    steps_of_flow: int = 24

    def __check_init__(self) -> None:
        if self.levels < 2 or self.levels % 2:
            raise ValueError(f"levels: an even number of at least 2, got {self.levels}.")
        if self.steps_of_flow < 1:
            raise ValueError(f"steps_of_flow: at least 1, got {self.steps_of_flow}.")

    @property
    def manifold(self) -> Manifold:
        return self.base.manifold

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=600, batch_size=128, learning_rate=3e-4)

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> InformedTrainer:
        start, build, draws = jax.random.split(key, 3)
        points = to_inner(self.manifold, self.base.units, data, "data")
        learner = self.base.cross_fit(start, points, weights)
        output = default_output(self.manifold) if self.output is None else self.output
        residual = ResidualField.start(
            self.manifold, self.network, output, points, *self._levels(points, weights), key=build
        )
        return InformedTrainer(self, residual, learner, jax.random.key_data(draws))

    def _levels(self, data: Array, weights: np.ndarray | None) -> tuple[float, float]:
        """(s_min, s_max)."""
        high = self.s_max
        if high is None:
            reach = min(self.manifold.injectivity_radius, math.pi)
            high = (reach / _DEVIATIONS) ** 2
            if self.manifold.euclidean:
                w = on_device(weights, data.dtype)
                middle = mean(data, w)[None]
                high = float(
                    jnp.mean(jnp.var(data, axis=0) if w is None else mean((data - middle) ** 2, w))
                )
        mixture = self.base.mixture
        tau = np.asarray(mixture.variances, np.float64).mean(1)
        order = np.argsort(tau)
        share = np.cumsum(np.exp(np.asarray(mixture.log_weights, np.float64))[order])
        middle = np.interp(0.5, share, tau[order])
        low = self.s_min or float(np.clip(middle, high * _RANGE[0], high * _RANGE[1]))
        if not 0 < low < high:
            raise ValueError(f"s_min, s_max: needs 0 < s_min < s_max, got {low:.6g}, {high:.6g}.")
        return low, high


class InformedTrainer(Trainer["FittedInformedModel"]):
    """A residual, and the kernels without each fold that a point of that fold is noised towards;
    ``draws``: the words of the key of the noise."""

    description: InformedModel
    residual: ResidualField
    learner: CrossFit = fixed()
    draws: Array = fixed()

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Noised:
        asked, field, folds = self.description, self.residual, self.learner.folds
        points = to_inner(asked.manifold, asked.base.units, data, name)
        key = jax.random.fold_in(jax.random.wrap_key_data(self.draws), int(held_out))
        levels = 4 * asked.levels if held_out else asked.levels
        s, x, score = noised(asked.manifold, points, key, levels, field.s_min, field.s_max)
        fold = np.full(len(points), folds) if held_out else np.asarray(self.learner.fold_of_point)
        error = kernel_errors(self.learner, s, x, score, fold)
        nll = jnp.zeros(len(points), points.dtype)
        if held_out:
            nll = -asked.base.log_prob(asked.base.units.outward(np.asarray(points)))
        return Noised(s, x, error, nll)

    def batch_loss(self, x: Noised, key: Key) -> Array:
        return self._excess(x)

    def validate(self, x: Noised, key: Key, weights: Array | None = None) -> Scalar:
        """Mean of the bound above: the kernels' NLL where the residual is 0."""
        return mean(x.nll + self._excess(x), weights)

    def model(
        self, data: Noised, val: Noised | None, weights: RowWeights | None = None
    ) -> FittedInformedModel:
        return FittedInformedModel(self.description, self.residual)

    def _excess(self, x: Noised) -> Array:
        """∫ E[½‖r‖² + ⟨r, error⟩] ds for each point, in nats, by log-uniform levels."""
        field, m = self.residual, self.description.manifold

        def one(p: Point, s: Scalar, error: Point) -> Scalar:
            r = field(p, s)
            return s * (0.5 * m.inner(p, r, r) + m.inner(p, r, error))

        each = jax.vmap(jax.vmap(one))(x.x, x.s, x.error)
        return math.log(field.s_max / field.s_min) * jnp.mean(each, axis=1)


class FittedInformedModel(Model):
    """A fitted ``InformedModel``: ``residual`` is r(x, s) in inner coordinates."""

    description: InformedModel
    residual: ResidualField

    @property
    def base(self) -> FittedKernelModel:
        return self.description.base

    @property
    def manifold(self) -> Manifold:
        return self.base.manifold

    @property
    def units(self) -> Units:
        return self.base.units

    @property
    def proposal(self) -> FittedKernelModel:
        return self.base

    def log_prob_and_nfe(self, x: Values) -> tuple[Array, float]:
        steps = self.description.steps_of_flow
        return self.log_prob(x), float(2 * (steps + steps_below(steps)))

    def log_prob(self, x: Values) -> Array:
        """log q(x) in nats: the kernels' density, in closed form, times the ratio."""
        kernels, steps = self._kernels(), self.description.steps_of_flow
        field, flow = self.residual, quick_jit(log_ratio)

        def at(rows: NumPyOrJax) -> Array:
            ratio = by_blocks(lambda some: flow(field, kernels, some, steps), rows)
            density = self.base.log_densities(rows)
            if is_traced((ratio, density)):
                return density + ratio
            return device(np.asarray(density) + np.asarray(ratio))

        return self._density(at, x, whole=True)

    def score_at(self, s: float | Scalar, x: Values) -> Array:
        """∇ log p_s(x) + r(x, s), tangent at x, after Brownian motion for the variance-time s (of
        the standardised coordinates, where they are flat)."""
        mixture, field = self.base.mixture, self.residual
        return self._gradient(lambda rows: _score(mixture, field, rows, device(s, rows.dtype)), x)

    def sample(self, key: Key, n: int) -> NumPyOrJax:
        """n draws: by the probability flow from s_max down to s_min, then by the kernels."""
        mixture, field, steps = self.base.mixture, self.residual, self.description.steps_of_flow
        kernels, draw = self._kernels(), quick_jit(flow_draws)
        return self._draws(lambda keys: draw(field, kernels, mixture, keys, steps), key, n)

    def _kernels(self) -> ClusteredMixture:
        mixture = self.base.mixture
        if is_traced(mixture) or not inside_jit():
            return ClusteredMixture.of(mixture)
        with jax.ensure_compile_time_eval():
            return ClusteredMixture.of(mixture)


@eqx.filter_jit
def _score(mixture: WrappedMixture, field: ResidualField, rows: Array, s: Scalar) -> Array:
    inside = (s >= field.s_min) & (s <= field.s_max)
    level = jnp.clip(s, field.s_min, field.s_max)
    rest = jnp.where(inside, jax.vmap(lambda p: field(p, level))(rows), 0.0)
    size = max(1, min(len(rows), _PAIRS // len(mixture.centres)))
    return in_blocks(lambda x: mixture.score(x, s), rows, size) + rest
