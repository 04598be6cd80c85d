"""The coefficients that training starts from."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from scorefold._blocks import taken
from scorefold._compile import quick_jit
from scorefold._weights import mean
from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.learner import KernelLearner

L = TypeVar("L", bound=KernelLearner)


def with_best_start(learner: L, data: Array, candidates: int) -> L:
    """``learner`` with those of its ``starts`` that make the points of the first fold most likely,
    by kernels without that fold."""
    weights = None
    if learner.weights is not None:
        weights = taken(learner.weights, learner.first_rows(len(data)))
    return best_start(learner, learner.first(data, candidates), weights)[0]


def best_start(learner: L, x: PyTree, weights: Array | None = None) -> tuple[L, Array]:
    """``with_best_start`` for the queries x of the first fold, and their mean log density (with
    the margin of the first start)."""
    return quick_jit(_best)(learner, x, weights)


def _best(learner: L, x: PyTree, weights: Array | None) -> tuple[L, Array]:
    rest = eqx.filter(learner.covariance, eqx.is_array, inverse=True)

    def value(start: LocalCovariance) -> Array:
        trial = eqx.tree_at(lambda k: k.covariance, learner, eqx.combine(start, rest))
        return mean(trial.log_prob(x, x.fold[0], jax.random.key(0)), weights)

    starts, margin = learner.starts()
    values = jax.lax.map(value, starts)
    # The first start is the even one.
    values = jnp.where(jnp.isfinite(values), values, -jnp.inf).at[0].add(margin)
    best = jnp.argmax(values)
    chosen = eqx.combine(jax.tree.map(lambda a: a[best], starts), rest)
    return eqx.tree_at(lambda k: k.covariance, learner, chosen), values[best]
