"""flowjax: fitted models as its distributions, and its distributions and flows as laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefold.interop._law import DistributionLaw, require_law, require_shape
from scorefold.interop._needed import needed
from scorefold.manifolds import Euclidean, Manifold

if TYPE_CHECKING:
    from flowjax.distributions import AbstractDistribution

    from scorefold.data import Law
    from scorefold.models import Model


def to_flowjax(model: Model | Law) -> AbstractDistribution:
    """The model as an unconditional ``flowjax.distributions.AbstractDistribution``: log p in nats
    with respect to Riemannian volume, ``shape = manifold.shape``.

        base = to_flowjax(model)
        flow = flowjax.distributions.Transformed(base, flowjax.bijections.Affine(loc, scale))

    Bijections of flowjax are maps of R^d with Lebesgue measure: only a model on R^d may be
    transformed. On another manifold ``sample`` and ``log_prob`` are all there is.
    **Raises:** ``TypeError`` for what is no fitted model; ``ModuleNotFoundError`` without flowjax.
    """
    require_law(model)
    needed("flowjax", "flowjax")
    from scorefold.interop._flowjax_distribution import ModelFlowjax

    return ModelFlowjax(model)


def from_flowjax(
    distribution: AbstractDistribution, manifold: Manifold | None = None
) -> DistributionLaw:
    """A distribution or a flow of flowjax as a ``Law``: draws and density, default on R^d.

        law = from_flowjax(flowjax.distributions.MultivariateNormal(mean, cov))
        held_out(model, law.sample(jax.random.key(0), 1000))

    **Raises:** ``ValueError`` for a conditional distribution, and for a shape that is not that of
    a point of ``manifold``.
    """
    dist = needed("flowjax.distributions", "flowjax")
    if not isinstance(distribution, dist.AbstractDistribution):
        raise TypeError(
            f"distribution: one of flowjax.distributions, got {type(distribution).__name__}."
        )
    if distribution.cond_shape is not None:
        raise ValueError("distribution: is conditional: bind its condition, and give that law.")
    if manifold is None:
        if len(distribution.shape) != 1:
            raise ValueError(
                f"distribution: has shape {distribution.shape}; a point of R^d has (d,): give "
                "loc and scale of shape (d,), or state manifold."
            )
        manifold = Euclidean(distribution.shape[0])
    require_shape(manifold, tuple(distribution.shape), "its shape")
    return DistributionLaw(manifold, distribution)
