"""Riemannian score-based generative model."""

from __future__ import annotations

import dataclasses
import functools
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device
from scorefold._fixed import fixed
from scorefold._oneline import one_line
from scorefold._types import Key, NumPyOrJax, Scalar, Values
from scorefold._weights import mean
from scorefold.fields import (
    Architecture,
    NetworkField,
    NetworkSpec,
    TangentField,
    TangentOutput,
    default_output,
    network_for,
)
from scorefold.fitting import Defaults, Description, RowWeights, Trainer
from scorefold.losses import Denoising, Importance, Loss, TimeLaw
from scorefold.manifolds import Manifold
from scorefold.models._base import count
from scorefold.models.flows._base import OdeModel, in_units
from scorefold.models.resolution import data_end, inner_resolution
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import Noising, Schedule
from scorefold.samplers import (
    FlowDensity,
    ReverseStep,
    refined_grid,
    sample_ode,
    sample_reverse,
    solve_log_prob,
    walk,
)
from scorefold.samplers.flow_density import affordable


class ScoreModel(Description["FittedScoreModel"]):
    """The time reversal of a noising process with a learned score:

        dY = {−b(Y) + s_θ(Y, s)} ds + dB,   s from s_max (reference) back to s_min (data),

    s_θ ≈ ∇ log p_s. The density is that of the probability flow dx/ds = b − ½s_θ at s_min.

    **Arguments:**

    - ``noising``: the process from data to noise; its manifold is the model's.
    - ``loss``: the score-matching loss; ``times``: the noise levels it is taken at.
    - ``network``: sizes of the network; ``output``: how its output becomes tangent
      (default: ``default_output(manifold)``).
    - ``s_min``: variance-time of the data end, > 0 (radians² on the sphere): the model is the
      data law smoothed by that much, so repeated points have a bounded density. Default: a quarter
      of h², for the finest scale h that the training data show, between 10⁻⁶ and 10⁻⁴
      (``models.data_resolution``); the fitted model's ``s_min`` says what it is.
    - ``rtol``: tolerance of the likelihood's ODE, absolute and relative.

    Flat coordinates are standardised inside (``units``: mean and standard deviation of the training
    data, of each or, for images, of all together), so that data of any unit can be used as they
    are; ``s_min`` is in those units.

    Source: De Bortoli et al. 2022, Algorithm 2; Song et al. 2021 (flat space).
    """

    weighs: ClassVar[bool] = True

    noising: Noising
    loss: Loss = Denoising()
    times: TimeLaw = Importance()
    network: Architecture = NetworkSpec(depth=3)
    output: TangentOutput | None = None
    s_min: float | None = None
    rtol: float = 1e-5

    def __check_init__(self) -> None:
        if not isinstance(self.noising, Noising):
            raise TypeError(
                "noising: give one such as default_noising(manifold, data), got "
                f"{one_line(repr(self.noising))[:80]}."
            )
        top = self.s_max
        if not 0 < self.rtol < 1:
            raise ValueError(f"rtol must lie between 0 and 1; got {self.rtol!r}.")
        if self.s_min is not None and not 0 < self.s_min < top:
            raise ValueError(
                f"s_min must lie between 0 and the end of the schedule, s(1) = {top:.6g}; got "
                f"{self.s_min}."
            )

    @property
    def manifold(self) -> Manifold:
        return self.noising.manifold

    @property
    def s_max(self) -> float:
        """Variance-time at which the reference law is reached, s(1)."""
        return self.noising.schedule.total

    @property
    def defaults(self) -> Defaults:
        return Defaults(learning_rate=self.network.learning_rate)

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> ScoreTrainer:
        units = Units.measure(self.manifold, data, alike=self.network.alike, weights=weights)
        points = to_inner(self.manifold, units, data, "data")
        output = default_output(self.manifold) if self.output is None else self.output
        finest = functools.cache(lambda: inner_resolution(self.manifold, points))
        spec = self.network.at_resolution(finest, self.manifold.dim)
        network = network_for(spec, self.manifold, output, points[0], key)
        if self.noising.starts_at_data:
            network = network.with_zero_output()
        field = NetworkField(self.manifold, network, output, self.noising)
        low = min(data_end(finest()), 0.5 * self.s_max) if self.s_min is None else self.s_min
        return ScoreTrainer(dataclasses.replace(self, s_min=low), field, units)


class ScoreTrainer(Trainer["FittedScoreModel"]):
    """A field that learns the score by the loss of its description."""

    shared_examples: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    description: ScoreModel
    field: TangentField
    units: Units = fixed()

    @property
    def s_min(self) -> float:
        """As stated, or as the data say."""
        assert self.description.s_min is not None
        return self.description.s_min

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Array:
        return to_inner(self.description.manifold, self.units, data, name)

    def batch_loss(self, x: Array, key: Key) -> Array:
        asked = self.description
        # The field as it is trained may be coarser than the one that is used.
        coarse = asked.network.in_training
        field = eqx.tree_at(lambda f: f.network, self.field, replace_fn=coarse)
        levels, draws = jax.random.split(key)
        s, weight = asked.times.batch(
            asked.noising, levels, len(x), x.dtype, s_min=self.s_min, s_max=asked.s_max
        )
        keys = jax.random.split(draws, len(x))
        one = lambda p, s, k: asked.loss(field, asked.noising, p, s, k)  # noqa: E731
        return weight * jax.vmap(one)(x, s, keys)

    def validate(self, x: Array, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL at a loose tolerance: enough to compare checkpoints. Hutchinson's
        estimate with the directions of ``key`` in high dimensions, where the exact divergence has
        a pass for each."""
        asked = self.description
        divergence, loose = affordable(asked.manifold)
        found = solve_log_prob(
            asked.noising, self.field, x, s_min=self.s_min, s_max=asked.s_max,
            rtol=loose, atol=loose, chunk=4096, divergence=divergence, key=key,
        )  # fmt: skip
        return jnp.asarray(self.units.log_volume, x.dtype) - mean(found.log_prob, weights)

    def model(
        self, data: Array, val: Array | None, weights: RowWeights | None = None
    ) -> FittedScoreModel:
        return FittedScoreModel(self.description, self.field, self.units)


class FittedScoreModel(OdeModel):
    """A fitted ``ScoreModel``: ``field`` is s_θ(x, s) in inner coordinates."""

    description: ScoreModel
    field: TangentField
    units: Units = fixed(default=Units())

    @property
    def manifold(self) -> Manifold:
        return self.noising.manifold

    @property
    def noising(self) -> Noising:
        return self.description.noising

    @property
    def s_min(self) -> float:
        """Of the data end; a description that came from a fit always says it."""
        assert self.description.s_min is not None
        return self.description.s_min

    @property
    def s_max(self) -> float:
        return self.description.s_max

    def density(
        self,
        x: Values,
        *,
        divergence: Literal["exact", "hutchinson"] = "exact",
        key: Key | None = None,
        rtol: float | None = None,
        chunk: int = 1024,
    ) -> FlowDensity:
        """(log_prob, nfe, error): log densities, the evaluations of the score that each took, and
        the estimated RMS error of its chunk.

        **Arguments:** ``divergence``: ``"hutchinson"`` is cheaper by the dimension, unbiased, and
        needs ``key``; ``chunk``: points solved together (memory).
        **Raises:** ``PointsError`` for rows that are not points of the manifold; see
        ``solve_log_prob`` for what the solver refuses.
        """
        rows, batch = self._rows(x)
        tolerance = self.description.rtol if rtol is None else rtol
        found = solve_log_prob(
            self.noising,
            self.field,
            rows,
            s_min=self.s_min,
            s_max=self.s_max,
            rtol=tolerance,
            atol=tolerance,
            divergence=divergence,
            key=key,
            chunk=chunk,
        )
        return in_units(found, self.units, batch)

    def score(self, t: float | Scalar, x: Values) -> Array:
        """s_θ(x, s(t)) ≈ ∇ log p_t(x), tangent at x, for one point or a batch; t ∈ [0, 1] with 0
        the data end (times before s_min are taken as s_min)."""
        field, schedule, low = self.field, self.noising.schedule, self.s_min
        return self._gradient(
            lambda rows: _score(field, schedule, rows, device(t, rows.dtype), low), x
        )

    def sample(
        self,
        key: Key,
        n: int,
        *,
        method: Literal["sde", "ode"] = "sde",
        steps: int = 200,
        corrector_steps: int = 0,
        denoised: bool = False,
    ) -> NumPyOrJax:
        """n draws: by the reversed SDE as a geodesic random walk of ``steps`` steps (finer
        towards data, with optional Langevin corrections), or by the probability flow (adaptive)."""
        field, n = self.field, count(n)
        ends = {"s_min": self.s_min, "s_max": self.s_max, "dtype": self.units.dtype}
        if method == "ode":
            x = sample_ode(self.noising, field, key, n, **ends)  # type: ignore[arg-type]
        elif method == "sde":
            x = sample_reverse(
                self.noising, field, key, n, steps=steps,
                corrector_steps=corrector_steps, denoised=denoised, **ends,  # type: ignore[arg-type]
            )  # fmt: skip
        else:
            raise ValueError(f'method must be "sde" or "ode", got {method!r}.')
        return self._outer(x)

    def trajectory(self, key: Key, n: int, *, frames: int = 8, steps: int = 200) -> tuple:
        """(s, points): n draws on their way from noise to data, seen at ``frames`` noise levels;
        shapes ``(frames,)`` and ``(frames, n, *shape)``, noise first."""
        field = self.field
        grid = refined_grid(self.s_max, self.s_min, steps, self.units.dtype)
        shown = jnp.round(jnp.linspace(0, steps, frames)).astype(int)
        paths = _paths(ReverseStep(self.noising, field), key, n, grid)
        return grid[shown], self._outer(jnp.swapaxes(paths[:, shown], 0, 1))


@eqx.filter_jit
def _score(field: TangentField, schedule: Schedule, rows: Array, t: Scalar, low: float) -> Array:
    s = jnp.maximum(schedule.s(t), low)
    return jax.vmap(lambda p: field(p, s))(rows)


@eqx.filter_jit
def _paths(step: ReverseStep, key: Key, n: int, grid: Array) -> Array:
    def one(k: Key) -> Array:
        first, path = jax.random.split(k)
        start = step.noising.reference.sample(first, grid.dtype)
        return walk(step, path, start, grid, keep=True)

    return jax.vmap(one)(jax.random.split(key, n))
