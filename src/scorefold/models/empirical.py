"""The diffusion model that has learned its training points by heart."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array

from scorefold._blocks import as_array, device, in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Point, Scalar, ScalarLike, Values
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Manifold
from scorefold.models._base import Model, count
from scorefold.models.standardise import Units, weighted_points
from scorefold.noising import Noising
from scorefold.samplers import sample_reverse

_CHUNK = 256
"""Points at a time."""


class EmpiricalModel(Model):
    """The diffusion model that has learned its training points by heart: at noise level s

        p_s(x) = (1/n) Σ_i p_s(x | Z_i),   ∇ log p_s = Σ_i w_i ∇ log p_s(x | Z_i),

    the exact score of the empirical law, which denoising score matching would reach with a
    network without limits. Its reverse SDE ends within O(√s_min) of training points.

    **Arguments:** ``noising``: an exact process (its manifold is the model's); ``points``: the
    data, in the units of the process; ``s_min``: the data end; ``units``: of points that are asked
    about or drawn, where flat ones are not those of the process: ``EmpiricalModel.of`` measures
    them; ``log_weights``: of the points, in the place of log 1/n, where rows carry weights.
    Source: Zhang et al. 2024, Section 4 (the naive kernel model).
    """

    noising: Noising
    points: Array = fixed(converter=as_array)
    s_min: float = 1e-4
    units: Units = fixed(default=Units())
    log_weights: Array | None = fixed(default=None)

    def __check_init__(self) -> None:
        if self.points.shape[1:] != self.noising.manifold.shape or not len(self.points):
            raise ValueError(
                f"points: has shape {self.points.shape}; needs rows of shape "
                f"{self.noising.manifold.shape}."
            )
        if not self.noising.exact:
            raise ValueError("noising: its transition density must be known (noising.exact).")
        if not self.s_min > 0:
            raise ValueError(f"s_min must be positive, got {self.s_min}.")

    @classmethod
    def of(
        cls,
        noising: Noising,
        data: Values,
        *,
        weights: Values | None = None,
        s_min: float = 1e-4,
    ) -> EmpiricalModel:
        """The model of ``data`` in any unit: flat coordinates are standardised, as ``ScoreModel``
        does before it learns. ``weights``: of the rows, as of ``fit``."""
        (points, w), _, units = weighted_points(noising.manifold, data, None, weights, None)
        log_w = None if w is None else device(np.log(w / w.sum()), points.dtype)
        return cls(noising, points, s_min, units, log_w)

    @property
    def manifold(self) -> Manifold:
        return self.noising.manifold

    @property
    def exact_mass(self) -> tuple[float, float]:
        return 1.0, 0.0

    def log_prob(self, x: Values, s: ScalarLike | None = None) -> Array:
        """log p_s(x) in nats, closed form, at s = s_min if not given."""
        field = _EmpiricalScore(self.noising, self.points, self.log_weights)
        level = lambda rows: device(self.s_min if s is None else s, rows.dtype)  # noqa: E731
        return self._density(lambda rows: _log_prob(field, rows, level(rows)), x)

    def score(self, t: ScalarLike, x: Values) -> Array:
        """∇ log p_{s(t)}(x), tangent at x (times before s_min are taken as s_min)."""
        field = _EmpiricalScore(self.noising, self.points, self.log_weights)
        s_min = self.s_min
        return self._gradient(lambda rows: _score(field, rows, device(t, rows.dtype), s_min), x)

    def sample(self, key: Key, n: int, *, steps: int = 200) -> NumPyOrJax:
        """n draws by the reversed SDE with the closed-form score: noisy copies of the data."""
        x = sample_reverse(
            self.noising,
            _EmpiricalScore(self.noising, self.points, self.log_weights),
            key,
            count(n),
            s_min=self.s_min,
            steps=steps,
            dtype=self.points.dtype,
        )
        return self._outer(x)


class _EmpiricalScore(eqx.Module):
    """(x, s) ↦ ∇ log p_s(x) of the empirical law."""

    noising: Noising
    points: Array
    log_weights: Array | None

    def __call__(self, x: Point, s: Scalar) -> Point:
        return self.at(s, x.dtype).score(x)

    def at(self, s: Scalar, dtype: DTypeLike) -> TransitionMixture:
        """p_s."""
        log_w = None if self.log_weights is None else self.log_weights.astype(dtype)
        return TransitionMixture(self.noising, self.points.astype(dtype), s, log_w)


@eqx.filter_jit
def _log_prob(field: _EmpiricalScore, x: Array, s: Scalar) -> Array:
    return in_blocks(field.at(s, x.dtype).log_prob, x, _CHUNK)


@eqx.filter_jit
def _score(field: _EmpiricalScore, x: Array, t: Scalar, s_min: float) -> Array:
    s = jnp.maximum(field.noising.schedule.s(t), s_min)
    return in_blocks(field.at(s, x.dtype).score, x, _CHUNK)
