"""What a model must beat: the NLL of a law that knows nothing but place and spread."""

from typing import NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from scorefold._types import Values
from scorefold._weights import average, counted, rows_that_count
from scorefold.kernels import plain_law
from scorefold.manifolds import Manifold
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import Reference


class ReferenceNll(NamedTuple):
    """``name`` of the law, in words; ``nll``: −(1/n) Σ log p(x_i) in nats."""

    name: str
    nll: float


def reference_nll(
    manifold: Manifold,
    train: Values,
    x: Values,
    *,
    train_weights: Values | None = None,
    weights: Values | None = None,
) -> ReferenceNll:
    """The mean NLL at x of the uniform law on a compact manifold, elsewhere of one normal law with
    mean and covariance of ``train``; on products the one or the other for each factor
    (``kernels.plain_law``). ``train_weights``, ``weights``: of the rows of ``train`` and of x."""
    train = np.asarray(train)
    kept, w = rows_that_count("train_weights", train_weights, len(train))
    train = counted(train, kept)
    units = Units.measure(manifold, train, weights=w, name="train")
    law = plain_law(manifold, to_inner(manifold, units, train, "train"), w)
    log_prob = np.asarray(_log_prob(law, to_inner(manifold, units, x, "x")), np.float64)
    name = "one normal law"
    if any(factor.compact for factor in manifold.factors):
        name = "uniform law" if manifold.compact else "uniform × normal"
    kept, w = rows_that_count("weights", weights, len(log_prob))
    log_prob = counted(log_prob, kept)
    return ReferenceNll(name, float(units.log_volume) - float(average(log_prob, w)))


@eqx.filter_jit
def _log_prob(law: Reference, x: Array) -> Array:
    return jax.vmap(law.log_prob)(x)
