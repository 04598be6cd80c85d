"""Learn, sample and score probability distributions with diffusions, on flat space and on
Riemannian manifolds."""

from scorefold import data
from scorefold._version import __version__
from scorefold.fields import (
    AmbientOutput,
    FrameOutput,
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
from scorefold.models import Model, ScoreModel, default_noising
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
