"""The coefficients that training starts from."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick_jit
from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.kernels.local.queries import Queries, scored_rows

_ASKED = 1024
"""Points asked about the coefficients to start from."""
_MARGIN = 0.2
"""Nats a point by which another start must beat the even one, from which training ends best unless
it is far off."""


def with_best_start(learner: CrossFit, data: Array, candidates: int) -> CrossFit:
    """``learner`` with the coefficients of ``LocalCovariance.starts`` that make the points of the
    first fold most likely, by kernels without that fold; the even ones unless others are far
    better."""
    rows = scored_rows(len(data))[np.asarray(learner.by_fold[0, :_ASKED])]
    return quick_jit(_best)(learner, learner.left_out(data, rows, candidates))


def _best(learner: CrossFit, x: Queries) -> CrossFit:
    rest = eqx.filter(learner.covariance, eqx.is_array, inverse=True)

    def value(start: LocalCovariance) -> Array:
        trial = eqx.tree_at(lambda k: k.covariance, learner, eqx.combine(start, rest))
        return jnp.mean(trial.log_prob(x, x.fold[0]))

    starts = learner.covariance.starts()
    values = jax.lax.map(value, starts)
    # The first start is the even one.
    values = jnp.where(jnp.isfinite(values), values, -jnp.inf).at[0].add(_MARGIN)
    best = jnp.argmax(values)
    chosen = eqx.combine(jax.tree.map(lambda a: a[best], starts), rest)
    return eqx.tree_at(lambda k: k.covariance, learner, chosen)
