"""Steps: geodesic random walks forward and backward, Langevin correction, probability flow."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField
from scorefold.manifolds import Manifold
from scorefold.noising import Noising
from scorefold.noising.geodesic import geodesic_step
from scorefold.samplers._base import ScoreFunction, Step
from scorefold.samplers.flow import Flow


class GeodesicStep(Step):
    """Geodesic random walk: exp_x(f(x, s)·ds + √|ds| Z) for dX = f(X, s) ds + dB.

    Euler–Maruyama on flat space; weak order 1 on every manifold.
    Source: De Bortoli et al. 2022, Algorithm 1; Jørgensen 1975.
    """

    manifold: Manifold
    drift: Callable[[Point, Scalar], Point]

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return geodesic_step(self.manifold, key, x, self.drift(x, s) * ds, jnp.abs(ds))


class ForwardStep(Step):
    """The geodesic random walk of the noising process: dX = b(X) ds + dB, ds > 0."""

    noising: Noising

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        drift = self.noising.drift(x)
        return geodesic_step(self.noising.manifold, key, x, drift * ds, jnp.abs(ds))


class ReverseStep(Step):
    """The geodesic random walk of the time reversal, run with ds < 0:

        Y ← exp_Y((−b(Y) + ∇ log p_s(Y))·|ds| + √|ds| Z).

    Source: De Bortoli et al. 2022, Theorem 1 (Cattiaux et al. 2021; Haussmann & Pardoux 1986
    on flat space), with the score taken at the start of the step.
    """

    noising: Noising
    score: ScoreFunction

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        drift = self.noising.drift(x) - self.score(x, s)
        return geodesic_step(self.noising.manifold, key, x, drift * ds, jnp.abs(ds))


class LangevinCorrector(Step):
    """Unadjusted Langevin at a fixed noise level: it leaves p_s in place, s and ds are not moved.

        x ← exp_x(½h·∇ log p_s(x) + √h Z),   h = size · s/(1 + s),

    taken at the level s + ds where a predictor has arrived. h follows the squared width of p_s
    around data points, √s while s is small, so one ``size`` serves all levels; the bias in the
    stationary law is O(h) (O(size) relative to the noise).
    Source: Song et al. 2021, Algorithm 2; here with a step that does not depend on the draw, so
    that the chain is Langevin dynamics and not a change of its measure.
    """

    manifold: Manifold
    score: ScoreFunction
    size: float = 0.1

    def __check_init__(self) -> None:
        if not self.size > 0:
            raise ValueError(f"size must be positive, got {self.size}.")

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        level = s + ds
        h = self.size * level / (1.0 + level)
        return geodesic_step(self.manifold, key, x, 0.5 * self.score(x, level) * h, h)


class Corrected(Step):
    """A predictor's step followed by ``times`` steps of a corrector (Song et al. 2021)."""

    predictor: Step
    corrector: Step
    times: int = 1

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        first, rest = jax.random.split(key)
        x = self.predictor(first, x, s, ds)
        return jax.lax.fori_loop(
            0, self.times, lambda k, y: self.corrector(jax.random.fold_in(rest, k), y, s, ds), x
        )


class EulerStep(Step):
    """exp_x(field(x, t)·dt): Euler's step along a geodesic, in the time of the field. Order 1, and
    exact where a path is a geodesic of constant speed."""

    field: TangentField

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return self.field.manifold.exp(x, self.field(x, s) * ds)


class FlowStep(Step):
    """Euler step of a flow along a geodesic: exp_x(v(x, s)·ds). Order 1."""

    flow: Flow

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return self.flow.manifold.exp(x, self.flow.velocity(x, s) * ds)


class HeunFlowStep(Step):
    """Heun step of a flow, order 2:

        y = exp_x(v(x, s)·ds),   exp_x(½(v(x, s) + Γ v(y, s + ds))·ds),

    Γ the parallel transport from y back to x (Karras et al. 2022, Algorithm 1, on flat space).
    """

    flow: Flow

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        manifold = self.flow.manifold
        here = self.flow.velocity(x, s)
        y = manifold.exp(x, here * ds)
        there = self.flow.velocity(y, s + ds)
        mean = 0.5 * (here + manifold.transport(y, x, there))
        return manifold.exp(x, mean * ds)
