"""Flow maps: where a flow arrives, in one step of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_keys
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._oneline import one_line
from scorefold._types import Key, NumPyOrJax, Point, Scalar, Values
from scorefold.fields import Architecture, NetworkSpec, TangentOutput, default_output
from scorefold.fitting import Defaults, Description, Trainer
from scorefold.manifolds import Manifold
from scorefold.models._base import count
from scorefold.models.flows._base import FlowModel, OdeModel
from scorefold.models.score import FittedScoreModel
from scorefold.models.standardise import Units, to_inner
from scorefold.models.trajectories import STEPS, Motion, Trajectories
from scorefold.samplers import FlowDensity

_LEVEL = 1e-6
"""Noise level that the network is told: no feature is damped, at no time."""
_FEW = (*[(1, 1)] * 8, *[(1, 2), (2, 2)] * 2, (1, 4), (2, 4), (3, 4), (4, 4))
"""(k, m): the k-th of m equal steps. Half are whole ways, a quarter halves, a quarter quarters."""
_SOME = 1024
"""Trajectories that lengths are measured on, and that held-out validation has."""
_NUMBERS = 1 << 21
"""Coordinates of starts at the most: the ways of a thousand dimensions must fit into memory."""


class FlowMap(Description["FittedFlowMap"]):
    """The map X_{t→r} of a flow that is fitted already, from time t to time r ≤ t in one go:

        X_{t→r}(x) = exp_x((r − t) u_θ(x, t, r)),   0 ≤ r ≤ t ≤ 1,

    u_θ the mean velocity, in the time of ``Motion`` (1: the reference, 0: the data). Draws are
    X_{1→0} of draws of the reference: one evaluation of a network; or k of them, in k equal steps.

    **Training** is regression on the ways of the teacher from ``pairs`` draws of its reference,
    computed once, before training. For nodes x_t, x_r of a way u_θ minimises

        E ‖log_{X_{t→r}(x_t)}(x_r)‖²/(t − r)²,   and   E ‖u_θ(x_t, t, t) − ẋ_t‖²   for r = t.

    Half of the times are the steps of grids of 1, 2 and 4 equal steps (half of them the single
    step), three eighths any t > r, an eighth r = t.

    **Data.** All that is learned comes from the teacher: ``fit`` checks its data, and does not use
    them otherwise. Nor is there a likelihood to choose by: with ``val``, ``validate`` is a squared
    distance on ways that were not trained on, and not an NLL.

    **Density.** ``log_prob`` is that of the teacher's flow, which the draws approach, and has its
    mass of 1. The draws have another law: nothing keeps a network from mapping two points to one,
    so that it need not even have a density of the form p_ref(X⁻¹(x))·|det|. ``map_error`` bounds
    the distance of the two laws.

    **Arguments:**

    - ``teacher``: a fitted ``FlowMatching``, ``ContinuousFlow``, ``MoserFlow`` or ``ScoreModel``
      (its probability flow).
    - ``network``: sizes of the network; ``output``: how its output becomes tangent
      (default: ``default_output(manifold)``).
    - ``pairs``: ways to learn from; 25 evaluations of the teacher each. At most 2²¹ coordinates.

    **Raises:** ``TypeError`` for a teacher that is no such model; ``ValueError`` for ``pairs`` < 1.

    Source: Boffi et al. 2025 (flow maps, the two-time parametrisation and its limit); Luhman &
    Luhman 2021 (regression of ends on starts); on manifolds Davis et al. 2025.
    """

    teacher: FlowModel | FittedScoreModel = fixed()
    network: Architecture = NetworkSpec()
    output: TangentOutput | None = None
    pairs: int = 8192

    def __check_init__(self) -> None:
        if not isinstance(self.teacher, FlowModel | FittedScoreModel):
            raise TypeError(
                "teacher: give a fitted FlowMatching, ContinuousFlow, MoserFlow or ScoreModel, got "
                f"{one_line(repr(self.teacher))[:80]}."
            )
        _whole("pairs", self.pairs)

    @property
    def manifold(self) -> Manifold:
        return self.teacher.manifold

    @property
    def defaults(self) -> Defaults:
        return Defaults()

    def trainer(self, key: Key, data: np.ndarray) -> FlowMapTrainer:
        weights, some, draws = jax.random.split(key, 3)
        m, motion, units = self.manifold, Motion.of(self.teacher), self.teacher.units
        to_inner(m, units, data, "data")
        dtype = units.dtype
        ways = motion.trajectories(motion.starts(some, _SOME, dtype)).x
        length = quick_jit(_root_mean_square, level=0)(m, ways[:, 0], ways[:, -1])
        reach = jnp.maximum(length, jnp.finfo(dtype).tiny) / math.sqrt(m.dim)
        output = default_output(m) if self.output is None else self.output
        sizes = int(m.embed(ways[0, 0]).size) + 2, output.size(m)
        build = quick_jit(type(self.network).build, level=0)
        network = build(self.network, *sizes, dtype=dtype, key=weights)
        field = MapField(m, network, output, reach)
        return FlowMapTrainer(self, field, jax.random.key_data(draws))


class MapField(eqx.Module):
    """u_θ(x, t, r) = reach · output(network([embed(x), t, t − r])) and the map that it makes;
    ``reach``: root mean square of the length of whole ways, per dimension."""

    manifold: Manifold
    network: Callable[[Array, Scalar], Array]
    output: TangentOutput
    reach: Array = fixed()

    def velocity(self, x: Point, t: Scalar, r: Scalar) -> Point:
        """u_θ(x, t, r), tangent at x: the mean velocity from t to r, and dx/dt at r = t."""
        h = jnp.concatenate([self.manifold.embed(x).ravel(), jnp.stack([t, t - r])])
        c = self.network(h, jnp.full((), _LEVEL, x.dtype))
        return self.reach.astype(x.dtype) * self.output(self.manifold, x, c)

    def __call__(self, x: Point, t: Scalar, r: Scalar) -> Point:
        """X_{t→r}(x)."""
        return self.manifold.exp(x, (r - t) * self.velocity(x, t, r))

    def walk(self, x: Point, steps: int) -> Point:
        """The end of ``steps`` equal steps from t = 1 to 0."""
        grid = jnp.asarray(np.linspace(1.0, 0.0, steps + 1), x.dtype)

        def step(y: Point, ends: tuple[Scalar, Scalar]) -> tuple[Point, None]:
            return self(y, *ends), None

        return jax.lax.scan(step, x, (grid[:-1], grid[1:]))[0]


class FlowMapTrainer(Trainer["FittedFlowMap"]):
    """A map on its way; ``draws``: the words of the key of the starts."""

    description: FlowMap
    field: MapField
    draws: Array = fixed()

    def examples(
        self, data: np.ndarray, name: str = "data", *, held_out: bool = False
    ) -> Trajectories:
        """Ways of the teacher: not a row for each row of ``data``, which are checked alone."""
        asked, m = self.description, self.description.manifold
        units = asked.teacher.units
        to_inner(m, units, data, name)
        most = max(_SOME, _NUMBERS // math.prod(m.shape))
        n = _SOME if held_out else min(asked.pairs, most)
        key = jax.random.fold_in(jax.random.wrap_key_data(self.draws), int(held_out))
        motion = Motion.of(asked.teacher)
        return motion.trajectories(motion.starts(key, n, units.dtype))

    def batch_loss(self, x: Trajectories, key: Key) -> Array:
        m, n, dtype = self.description.manifold, len(x.x), x.x.dtype
        first, last = _nodes(key, n)

        def one(ways: Array, velocities: Array, a: Array, b: Array) -> Scalar:
            # Times by the nodes: from u = 1 down.
            t, r = (1.0 - jnp.asarray(k, dtype) / STEPS for k in (a, b))
            at, goal = ways[a], ways[b]
            u = self.field.velocity(at, t, r)
            end = m.exp(at, (r - t) * u)
            missed = m.log(end, goal) / jnp.maximum(t - r, 1.0 / STEPS)
            rest = u - velocities[a]
            far, limit = m.inner(end, missed, missed), m.inner(at, rest, rest)
            return jnp.where(a == b, limit, far) / (m.dim * self.field.reach**2)

        return jax.vmap(one)(x.x, x.v, first, last)

    def validate(self, x: Trajectories, key: Key) -> Scalar:
        """Mean over 1, 2 and 4 steps of the squared distance of the ends from the teacher's, over
        that of whole ways: 1 where nothing is moved. No NLL."""
        m = self.description.manifold

        def one(start: Point, end: Point) -> Scalar:
            square = [m.dist(self.field.walk(start, k), end) ** 2 for k in (1, 2, 4)]
            return jnp.mean(jnp.stack(square))

        return jnp.mean(jax.vmap(one)(x.x[:, 0], x.x[:, -1])) / (m.dim * self.field.reach**2)

    def model(self, data: Trajectories, val: Trajectories | None) -> FittedFlowMap:
        return FittedFlowMap(self.description, self.field)


class MapError(NamedTuple):
    """How far the draws of a map are from those of its teacher, in units of distance (radians; of
    standardised flat coordinates)."""

    steps: tuple[int, ...]
    value: tuple[float, ...]
    """√E dist²(X(x), T(x)) over draws x of the reference, T the teacher's flow, solved to 1e-5: an
    upper bound on the Wasserstein distance W₂ of the law of the draws to that of ``log_prob``."""
    floor: float
    """The same of the ways that the map was trained on: what no training goes below for certain."""


class FittedFlowMap(OdeModel):
    """A fitted ``FlowMap``: ``field`` is X_{t→r} in inner coordinates."""

    description: FlowMap
    field: MapField

    @property
    def teacher(self) -> FlowModel | FittedScoreModel:
        return self.description.teacher

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    @property
    def units(self) -> Units:
        return self.teacher.units

    def density(
        self,
        x: Values,
        *,
        divergence: Literal["exact", "hutchinson"] = "exact",
        key: Key | None = None,
        rtol: float | None = None,
        chunk: int = 1024,
    ) -> FlowDensity:
        """Of the teacher, as all densities of this model; arguments and errors are its own."""
        return self.teacher.density(x, divergence=divergence, key=key, rtol=rtol, chunk=chunk)

    def sample(self, key: Key, n: int, *, steps: int = 1) -> NumPyOrJax:
        """n draws of the reference, carried to the data in ``steps`` steps of equal times, an
        evaluation of the network each. The same key gives the same starts whatever the steps."""
        n, dtype, steps = count(n), self.units.dtype, _whole("steps", steps)
        motion = Motion.of(self.teacher)
        return self._outer(
            by_keys(lambda keys: _mapped(self.field, motion, keys, steps, dtype), key, n)
        )

    def map_error(self, key: Key, n: int = 1024, steps: Sequence[int] = (1, 2, 4)) -> MapError:
        """The error of the map over n draws of the reference, by numbers of steps."""
        motion, m, n = Motion.of(self.teacher), self.manifold, _whole("n", n)
        steps = [_whole("steps", k) for k in steps]
        starts = motion.starts(key, n, self.units.dtype)
        goal = motion.ends(starts)
        distance = quick_jit(_root_mean_square)
        missed = [float(distance(m, _walked(self.field, starts, k), goal)) for k in steps]
        floor = float(distance(m, motion.trajectories(starts).x[:, -1], goal))
        return MapError(tuple(steps), tuple(missed), floor)


def _whole(name: str, value: object) -> int:
    """**Raises:** ``ValueError`` for what is no whole number of at least 1."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= 1:
        return int(value)
    raise ValueError(f"{name}: a whole number, at least 1, got {value!r}.")


def _nodes(key: Key, n: int) -> tuple[Array, Array]:
    """First and last nodes of n pieces of ways, 0 ≤ first ≤ last ≤ STEPS: half of them steps of
    grids of 1, 2 and 4, three eighths any other, an eighth of no length."""
    few, one, two = jax.random.split(key, 3)
    which = jnp.asarray(_FEW)[jax.random.randint(few, (n,), 0, len(_FEW))]
    stride = STEPS // which[:, 1]
    start = jax.random.randint(one, (n,), 0, STEPS + 1)
    # Another node than the start, each as likely.
    other = (start + jax.random.randint(two, (n,), 1, STEPS + 1)) % (STEPS + 1)
    low, high = jnp.minimum(start, other), jnp.maximum(start, other)
    share = (jnp.arange(n) * 8) // n
    first = jnp.where(share < 4, (which[:, 0] - 1) * stride, jnp.where(share < 7, low, start))
    last = jnp.where(share < 4, which[:, 0] * stride, jnp.where(share < 7, high, start))
    return first, last


@eqx.filter_jit
def _mapped(field: MapField, motion: Motion, keys: Array, steps: int, dtype: np.dtype) -> Array:
    start = lambda k: motion.reference.sample(k, dtype)  # noqa: E731
    return jax.vmap(lambda k: field.walk(start(k), steps))(keys)


@eqx.filter_jit
def _walked(field: MapField, x: Array, steps: int) -> Array:
    return jax.vmap(lambda p: field.walk(p, steps))(x)


def _root_mean_square(manifold: Manifold, x: Array, y: Array) -> Scalar:
    """√E dist(x, y)²."""
    return jnp.sqrt(jnp.mean(jax.vmap(manifold.dist)(x, y) ** 2))
