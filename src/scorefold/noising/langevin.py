"""Langevin dynamics towards a chosen reference law, on any manifold."""

import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar, ScalarLike
from scorefold.manifolds import Manifold
from scorefold.noising._base import Noising, Reference
from scorefold.noising.geodesic import check_steps, geodesic_walk
from scorefold.noising.references import HeatReference, WrappedNormal, has_compact_part
from scorefold.noising.schedules import Linear, Schedule, check_positive


class Langevin(Noising):
    """dX_t = ½β(t) ∇ log p_ref(X_t) dt + √β(t) dB_t, which leaves ``reference`` unchanged.

    There is no closed transition, so ``sample`` is a geodesic random walk of ``steps`` equal
    steps, and ``score`` and ``log_prob`` raise: train with ``Implicit``, ``Sliced`` or
    ``ConsecutiveDenoising``.

    **Arguments:**

    - ``manifold``: any; ``schedule``: the clock.
    - ``std``: keyword-only, the spread σ of the default reference about the origin:
      ``WrappedNormal(manifold, std=σ)``, that is U(x) = dist(x, o)²/2σ² + log |det d exp_o|,
      ``HeatReference(manifold, σ²)`` where the manifold or a factor of it is compact.
    - ``reference``: keyword-only, a law of your own in the place of the default. Its ``score``
      is −∇U of the potential to use.
    - ``steps``: keyword-only, of the walk.
    - ``rate``: keyword-only, the speed κ at which the law is taken to approach the reference,
      like e^{−κs/2}; it scales the network and moves nothing (default: 1/σ², the rate of the
      normal law on flat space).

    **Raises:** ``ValueError`` for a bad ``std``, ``steps`` or ``rate``.

    Source: De Bortoli et al. 2022, Section 3.1, eq. (7), and Algorithm 1.
    """

    manifold: Manifold
    schedule: Schedule
    law: Reference
    steps: int
    rate: float

    def __init__(
        self,
        manifold: Manifold,
        schedule: Schedule = Linear(),  # noqa: B008  (a frozen value)
        *,
        std: float = 1.0,
        reference: Reference | None = None,
        steps: int = 100,
        rate: float | None = None,
    ) -> None:
        check_positive("std", std)
        self.manifold = manifold
        self.schedule = schedule
        if reference is not None:
            self.law = reference
        elif has_compact_part(manifold):
            self.law = HeatReference(manifold, std**2)
        else:
            self.law = WrappedNormal(manifold, std=std)
        self.steps = steps
        self.rate = 1.0 / std**2 if rate is None else rate

    def __check_init__(self) -> None:
        check_steps(self.steps)
        check_positive("rate", self.rate)

    @property
    def reference(self) -> Reference:
        return self.law

    @property
    def exact(self) -> bool:
        return False

    def drift(self, x: Point) -> Point:
        return 0.5 * self.reference.score(x)

    def sample(self, key: Key, x0: Point, s: ScalarLike) -> Point:
        return geodesic_walk(self.manifold, self.drift, key, x0, s, self.steps)

    def log_prob(self, x: Point, x0: Point, s: ScalarLike) -> Scalar:
        raise NotImplementedError(_NO_TRANSITION)

    def score(self, x: Point, x0: Point, s: ScalarLike) -> Point:
        raise NotImplementedError(_NO_TRANSITION)

    def scale(self, s: Scalar) -> Scalar:
        return jnp.sqrt(self.rate / jnp.expm1(self.rate * s))

    def baseline(self, x: Point, s: Scalar) -> Point:
        return -jnp.expm1(-self.rate * s) * self.reference.score(x)


_NO_TRANSITION = (
    "The transition of Langevin dynamics has no closed form. Train with the losses that do not "
    "need it: Implicit(), Sliced() or ConsecutiveDenoising()."
)
