"""Kernel model with a learned residual of its score at every noise level."""

from __future__ import annotations

import math
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick
from scorefold._fixed import fixed
from scorefold._types import Key, Point, Scalar
from scorefold.fields import NetworkSpec, TangentOutput
from scorefold.fitting import Trainable
from scorefold.kernels import CrossFit, excluded_scores
from scorefold.manifolds import Manifold, check_points
from scorefold.models._base import Model
from scorefold.models.defaults import default_output
from scorefold.models.kernel import KernelModel
from scorefold.models.residual import ResidualField, log_ratio, noised, reverse_draws

__all__ = ["InformedModel"]

_CURVED = (math.pi / 6.0) ** 2
"""Largest variance-time on curved spaces: the cut locus, at π, is six standard deviations away."""
_NARROW = 0.1
"""Share of the weight in kernels narrower than the smallest noise level."""
_RANGE = (1e-4, 1e-1)
"""The smallest noise level over the largest."""


class Noised(NamedTuple):
    """Points, each at several noise levels: a row a point."""

    s: Array
    """Variance-times, ``(n, levels)``."""
    x: Array
    """Noised points, ``(n, levels, *shape)``."""
    error: Array
    """Score of the kernels minus that of the transition, tangent at x, ``(n, levels, *shape)``."""
    nll: Array
    """Of the point by the kernel model, in nats (0 for training points), ``(n,)``."""


class InformedModel(Model, Trainable):
    """see below"""

    steps: ClassVar[int] = 2000
    batch_size: ClassVar[int] = 64
    learning_rate: ClassVar[float] = 1e-3

    base: KernelModel
    network: NetworkSpec = NetworkSpec(width=64, depth=3, fourier=32, frequency=4.0)
    output: TangentOutput | None = None
    s_min: float | None = None
    s_max: float | None = None
    levels: int = 16
    nodes: int = 24
    learner: CrossFit | None = None
    residual: ResidualField | None = None
    draws: Array | None = fixed(default=None)

    @property
    def manifold(self) -> Manifold:
        return self.base.manifold

    # -- density and samples ---------------------------------------------------------------------
    def log_prob(self, x: Any) -> Array:
        points = check_points(self.manifold, x, "x")
        rows = points.reshape(-1, *self.manifold.shape)
        ratio = log_ratio(self._fitted(), self.base._fitted(), rows, self.nodes)
        return self.base.log_prob(points) + ratio.reshape(
            points.shape[: points.ndim - len(self.manifold.shape)]
        )

    def sample(self, key: Key, n: int) -> Array:
        raise NotImplementedError

    # -- fitting -----------------------------------------------------------------------------------
    def init(self, key: Key, data: Array) -> InformedModel:
        mixture = self.base._fitted()
        start, build, draws = jax.random.split(key, 3)
        learner = self.base.cross_fit(start, data)
        output = default_output(self.manifold) if self.output is None else self.output
        low, high = self._ends(data)
        residual = ResidualField.start(
            self.manifold, self.network, output, data, low, high, key=build
        )
        return eqx.tree_at(
            lambda m: (m.learner, m.residual, m.draws),
            self,
            (learner, residual, jax.random.key_data(draws)),
            is_leaf=lambda leaf: leaf is None,
        )

    def examples(self, data: Array, *, held_out: bool = False) -> Noised:
        learner, field = self.learner, self._fitted()
        key = jax.random.fold_in(jax.random.wrap_key_data(self.draws), held_out)
        levels = self.levels * (8 if held_out else 1)
        s, x, target = quick(noised)(
            self.manifold, data, key, levels, field.s_min, field.s_max
        )
        own = np.full(len(data), learner.folds) if held_out else np.asarray(learner.fold)
        flat = lambda a: a.reshape(-1, *a.shape[2:])  # noqa: E731
        score = excluded_scores(
            learner, flat(x), flat(s), np.repeat(own, levels), candidates=64
        )
        nll = -self.base.log_prob(data) if held_out else jnp.zeros(len(data), data.dtype)
        return Noised(s, x, score.reshape(x.shape) - target, nll)

    def batch_loss(self, x: Noised, key: Key) -> Array:
        return self._gap(x)

    def validate(self, x: Noised, key: Key) -> Scalar:
        return jnp.mean(x.nll + self._gap(x))

    def finished(self) -> InformedModel:
        return eqx.tree_at(
            lambda m: (m.learner, m.draws), self, (None, None), is_leaf=lambda leaf: leaf is None
        )

    # -- inside ------------------------------------------------------------------------------------
    def _gap(self, x: Noised) -> Array:
        """Bound on what the residual adds to the NLL of each point, in nats."""
        field, m = self._fitted(), self.manifold

        def one(p: Point, s: Scalar, error: Point) -> Scalar:
            r = field(p, s)
            return s * (0.5 * m.inner(p, r, r) + m.inner(p, r, error))

        each = jax.vmap(jax.vmap(one))(x.x, x.s, x.error)
        return math.log(field.s_max / field.s_min) * jnp.mean(each, axis=1)

    def _ends(self, data: Array) -> tuple[float, float]:
        high = self.s_max
        if high is None:
            high = _CURVED
        tau = np.asarray(jnp.mean(self.base._fitted().variances, axis=1), np.float64)
        order = np.argsort(tau)
        share = np.cumsum(np.exp(np.asarray(self.base._fitted().log_weights, np.float64))[order])
        narrow = float(np.interp(_NARROW, share, tau[order]))
        low = self.s_min or float(np.clip(narrow, high * _RANGE[0], high * _RANGE[1]))
        return low, high

    def _fitted(self) -> ResidualField:
        if self.residual is None:
            raise ValueError("not fitted")
        return self.residual
