"""Any noising process, simulated step by step instead of drawn exactly."""

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.heat import HeatKernel
from scorefold.manifolds import Manifold
from scorefold.noising._base import Noising, Reference
from scorefold.noising.geodesic import check_steps, geodesic_walk
from scorefold.noising.schedules import Schedule


class RandomWalk(Noising):
    """``noising`` with ``sample`` replaced by a geodesic random walk of ``steps`` equal steps.

    Everything else, the transition's density and score among it, is that of ``noising``: the
    law that the walk tends to as ``steps`` grows. For Brownian motion on S^d the mean of
    cos dist(X_s, x₀) is off by the factor e^{−d(d−1)s²/(12·steps)} to leading order.

    **Raises:** ``ValueError`` unless ``steps`` is a positive whole number.

    Source: De Bortoli et al. 2022, Algorithm 1.
    """

    noising: Noising
    steps: int = 100

    def __check_init__(self) -> None:
        check_steps(self.steps)

    @property  # type: ignore[misc]
    def manifold(self) -> Manifold:  # type: ignore[override]
        return self.noising.manifold

    @property  # type: ignore[misc]
    def schedule(self) -> Schedule:  # type: ignore[override]
        return self.noising.schedule

    @property
    def reference(self) -> Reference:
        return self.noising.reference

    @property
    def exact(self) -> bool:
        return self.noising.exact

    @property
    def kernel(self) -> HeatKernel | None:
        return self.noising.kernel

    def drift(self, x: Point) -> Point:
        return self.noising.drift(x)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        return geodesic_walk(self.manifold, self.drift, key, x0, s, self.steps)

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        return self.noising.log_prob(x, x0, s)

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        return self.noising.score(x, x0, s)

    def scale(self, s: Scalar) -> Scalar:
        return self.noising.scale(s)

    def baseline(self, x: Point, s: Scalar) -> Point:
        return self.noising.baseline(x, s)
