"""NumPyro: fitted models as distributions of its models, and its distributions as laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scorefold.interop._law import DistributionLaw, require_law, require_shape
from scorefold.interop._needed import needed
from scorefold.manifolds import Euclidean, Manifold, Sphere, Torus

if TYPE_CHECKING:
    from numpyro.distributions import Distribution

    from scorefold.data import Law
    from scorefold.models import Model


def to_numpyro(model: Model | Law, *, validate_args: bool | None = None) -> Distribution:
    """The model as a ``numpyro.distributions.Distribution``: log p in nats with respect to
    Riemannian volume, ``event_shape = manifold.shape``, no batch shape, ``support`` the manifold.

        prior = to_numpyro(model)
        def program(y):
            x = numpyro.sample("x", prior)
            numpyro.sample("y", numpyro.distributions.Normal(x[0], 0.1), obs=y)

    Samplers of NumPyro that move on R^d (HMC, NUTS, SVI) need a bijection from R^d:

    - R^d: the identity. T^d: an open interval for each angle, as NumPyro's own ``circular``: right,
      but chains do not cross ±π.
    - Where exp at the origin reaches everything once (H^d, products of it with R^k): that map, with
      its volume, so that the law is that of Riemannian volume.
    - Elsewhere (S^d, SO(3), products with them) there is none: ``NotImplementedError`` in one line.
      ``Predictive`` and ``handlers`` work, and ``distribution.sample`` draws exactly as the model.

    **Raises:** ``TypeError`` for what is no fitted model; ``ModuleNotFoundError`` without NumPyro.
    """
    require_law(model)
    needed("numpyro", "numpyro")
    from scorefold.interop._numpyro_distribution import ModelDistribution

    return ModelDistribution(model, validate_args=validate_args)


def from_numpyro(distribution: Distribution, manifold: Manifold | None = None) -> DistributionLaw:
    """A distribution of NumPyro as a ``Law``: a target with exact draws and density.

        law = from_numpyro(numpyro.distributions.MultivariateNormal(mean, cov))
        x = law.sample(jax.random.key(0), 1000)
        fit(KernelModel(law.manifold), x, key=...)

    **Arguments:** ``manifold``: where it lives, with Riemannian volume the measure of its density;
    default: R^d, T^d or S^d by its support (``real``, ``circular``, ``sphere``). One number
    becomes a point of R^1 or T^1.
    **Raises:** ``ValueError`` for a batch of distributions, for another event shape than that of
    points, and for a support that is no manifold known here (``positive``, a simplex).
    """
    dist = needed("numpyro.distributions", "numpyro")
    if not isinstance(distribution, dist.Distribution):
        raise TypeError(
            f"distribution: one of numpyro.distributions, got {type(distribution).__name__}."
        )
    if distribution.batch_shape:
        raise ValueError(
            f"distribution: has batch shape {distribution.batch_shape}: give one law, "
            f".to_event({len(distribution.batch_shape)}) if it is one of several coordinates."
        )
    if not distribution.event_shape:
        distribution = distribution.expand([1]).to_event(1)
    if manifold is None:
        manifold = _manifold_of(distribution)
    require_shape(manifold, tuple(distribution.event_shape), "its event shape")
    return DistributionLaw(manifold, distribution)


def _manifold_of(distribution: Distribution) -> Manifold:
    from numpyro.distributions import constraints

    support, size = distribution.support, int(distribution.event_shape[0])
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    if support is constraints.circular:
        return Torus(size)
    if support is constraints.sphere:
        return Sphere(size - 1)
    if support in (constraints.real, constraints.real_vector):
        return Euclidean(size)
    found = getattr(support, "manifold", None)
    if isinstance(found, Manifold):
        return found
    raise ValueError(
        f"distribution: its support {support} is no manifold known here: transform it to R^d "
        "(numpyro.distributions.TransformedDistribution), or state manifold."
    )
