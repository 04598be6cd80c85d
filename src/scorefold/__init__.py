"""Learn, sample and score probability distributions with diffusions, on flat space and on
Riemannian manifolds.

    import jax
    import scorefold as sf

    data = sf.data.load("airports", protocol="grouped", seed=0)
    diffusion = sf.ScoreModel(sf.default_noising(data.manifold, data.train))
    model, history = sf.fit(diffusion, data.train, val=data.val, key=jax.random.key(0), budget=30)
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

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scorefold._jaxlib import avoid_deadlocks, avoid_wrong_sums
from scorefold._version import __version__ as __version__

if TYPE_CHECKING:
    from scorefold._public import *  # noqa: F403

avoid_wrong_sums()
avoid_deadlocks()

_ROOMS = (
    "bench", "bridges", "cli", "data", "fields", "fitting", "heat", "interop", "kernels",
    "learned_manifolds", "losses", "manifolds", "metrics", "models", "noising", "proximal",
    "regions", "report", "runs", "samplers",
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Rooms and names are imported when the first of them is asked for: JAX takes seconds to
    import, in which ``scorefold --help`` has nothing to say and Ctrl-C nobody to listen."""
    if name in _ROOMS:
        return import_module(f"scorefold.{name}")
    if not name.startswith("_") or name == "__all__":
        public = import_module("scorefold._public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module 'scorefold' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *__getattr__("__all__")})
