"""Learn, sample and score probability distributions with diffusions, on flat space and on
Riemannian manifolds.

    import jax
    import scorefold as sf

    data = sf.data.load("airports", protocol="grouped", seed=0)
    model = sf.ScoreModel(sf.default_noising(data.manifold, data.train))
    model, history = sf.fit(model, data.train, val=data.val, key=jax.random.key(0), budget=30)
    model.log_prob(data.test)                   # nats, with respect to Riemannian volume
    model.sample(jax.random.key(1), 1000)       # points, shape (1000, 3)
    sf.save("model.safetensors", model)

- Spaces: ``Euclidean``, ``Sphere``, ``Torus``, ``SO3``, ``Hyperbolic``, ``Product``. Angles are
  radians; distances, and variance-time s with the generator ½Δ, follow from the metric.
- Noising: ``Brownian``, ``OrnsteinUhlenbeck``, ``VarianceExploding``, ``Langevin``,
  ``RandomWalk``, each with a clock: ``Linear``, ``Constant``, ``Cosine``, ``LogLinear``.
- Losses: ``Denoising``, ``ConsecutiveDenoising``, ``Implicit``, ``Sliced``; noise levels:
  ``LogUniform``, ``Uniform``, ``Importance``, weighted by ``Likelihood`` or ``Variance``.
- Outputs of a network: ``AmbientOutput``, ``FrameOutput``, ``KillingOutput``.

- Bridges between two data sets: ``LightBridge``, ``fit_bridge``; more in ``scorefold.bridges``.

Functions take one point and are batched with ``jax.vmap``; models take batches. More is in the
rooms: ``scorefold.heat``, ``.samplers``, ``.proximal``, ``.metrics``, ``.report``.
"""

from scorefold import data, proximal
from scorefold._version import __version__
from scorefold._warnings import ScorefoldWarning
from scorefold.bridges import LightBridge, brownian_reference, fit_bridge
from scorefold.fields import (
    AmbientOutput,
    FrameOutput,
    ImageNetworkSpec,
    KillingOutput,
    NetworkSpec,
    ScoreNetwork,
    TangentField,
    divergence,
    hutchinson,
)
from scorefold.fitting import History, fit, fit_seeds, load, save
from scorefold.losses import (
    ConsecutiveDenoising,
    Denoising,
    Implicit,
    Importance,
    Likelihood,
    LogUniform,
    Sliced,
    Uniform,
    Variance,
)
from scorefold.manifolds import (
    SO3,
    Euclidean,
    Hyperbolic,
    Manifold,
    PointsError,
    Product,
    Sphere,
    Torus,
    check_points,
    manifold_from_name,
)
from scorefold.models import (
    InformedModel,
    KernelModel,
    Model,
    ScoreModel,
    default_noising,
    default_output,
)
from scorefold.noising import (
    Brownian,
    Constant,
    Cosine,
    Langevin,
    Linear,
    LogLinear,
    OrnsteinUhlenbeck,
    RandomWalk,
    VarianceExploding,
)
from scorefold.samplers import normalisation, sample_reverse, solve_log_prob, walk

__all__ = [
    "SO3",
    "AmbientOutput",
    "Brownian",
    "ConsecutiveDenoising",
    "Constant",
    "Cosine",
    "Denoising",
    "Euclidean",
    "FrameOutput",
    "History",
    "Hyperbolic",
    "ImageNetworkSpec",
    "Implicit",
    "Importance",
    "InformedModel",
    "KernelModel",
    "KillingOutput",
    "Langevin",
    "LightBridge",
    "Likelihood",
    "Linear",
    "LogLinear",
    "LogUniform",
    "Manifold",
    "Model",
    "NetworkSpec",
    "OrnsteinUhlenbeck",
    "PointsError",
    "Product",
    "RandomWalk",
    "ScoreModel",
    "ScoreNetwork",
    "ScorefoldWarning",
    "Sliced",
    "Sphere",
    "TangentField",
    "Torus",
    "Uniform",
    "Variance",
    "VarianceExploding",
    "__version__",
    "brownian_reference",
    "check_points",
    "data",
    "default_noising",
    "default_output",
    "divergence",
    "fit",
    "fit_bridge",
    "fit_seeds",
    "hutchinson",
    "load",
    "manifold_from_name",
    "normalisation",
    "proximal",
    "sample_reverse",
    "save",
    "solve_log_prob",
    "walk",
]
