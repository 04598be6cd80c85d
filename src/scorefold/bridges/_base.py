"""What a Schrödinger bridge is: a diffusion that joins two laws."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
from collections.abc import Callable
from typing import Literal, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced
from scorefold._hash import structural_hash
from scorefold._oneline import one_line
from scorefold._types import DTypeLike, Key, NumPyOrJax, Point, Scalar, Values
from scorefold.bridges.ends_clock import EndsClock
from scorefold.bridges.units import BridgeUnits, Field, L, Level
from scorefold.manifolds import Manifold, check_points
from scorefold.noising import Brownian, Constant, Noising, VarianceExploding
from scorefold.samplers import (
    Flow,
    FlowStep,
    GeodesicStep,
    HeunFlowStep,
    ReverseStep,
    Step,
    uniform_grid,
    walk,
)
from scorefold.samplers._check import fail_at_rows
from scorefold.samplers.flow_density import carry_density

Direction = Literal["forward", "backward"]
B = TypeVar("B", bound="Bridge")


def brownian_reference(manifold: Manifold, variance: float) -> Noising:
    """dX_t = √variance dB_t, t from 0 to 1: Brownian motion on any manifold as the reference
    process of a bridge. ``variance`` is the variance-time it lasts (σ² of the literature on flat
    space; radians² on the sphere).

    **Raises:** ``ValueError`` unless ``variance`` is a positive finite number.
    """
    clock = Constant(variance)
    if manifold.compact:
        return Brownian(manifold, clock)
    return VarianceExploding(manifold, clock)


class Bridge(eqx.Module):
    """The diffusion closest to a reference process that joins law A (s = 0) to law B (s = S):

        dX = {b(X) + ∇ log ψ_s(X)} ds + dB     from A to B,
        dY = {−b(Y) + ∇ log φ_s(Y)} |ds| + dB   from B to A,

    with p_s = φ_s ψ_s its law at s: ψ is harmonic for the reference process, φ for its adjoint.
    s runs over the variance-time of ``reference``, a ``Noising`` of drift b whose schedule ends
    at S; its limit law plays no part. Process time t ∈ [0, 1] has s = ``reference.schedule.s(t)``.

    ``forward`` and ``backward`` are the two gradients at one point, exact in closed-form bridges,
    learned in others; everything else follows from them. Batching happens here, once.

    Source: Schrödinger 1931; Léonard 2014, Section 4; De Bortoli et al. 2021.
    """

    reference: eqx.AbstractVar[Noising]

    def __hash__(self) -> int:
        return structural_hash(self)

    @abc.abstractmethod
    def forward(self, x: Point, s: Scalar) -> Point:
        """∇ log ψ_s(x), what the bridge adds to the drift of the reference, tangent at x."""

    @abc.abstractmethod
    def backward(self, x: Point, s: Scalar) -> Point:
        """∇ log φ_s(x), the same for the reversed process."""

    def grid(self, steps: int, dtype: DTypeLike) -> Array:
        """``steps + 1`` variance-times from 0 to S, the levels of fixed-step samplers: equally
        spaced ones unless a bridge knows better."""
        return uniform_grid(0.0, self.total, steps, dtype)

    @property
    def manifold(self) -> Manifold:
        return self.reference.manifold

    @property
    def total(self) -> float:
        """S, the variance-time that the bridge lasts."""
        return self.reference.schedule.total

    @property
    def placed(self) -> "tuple[BridgeUnits, Bridge] | None":
        """How inner coordinates lie in those of the points, and the bridge in them; None where the
        two are the same. Samplers walk there, and what the public methods are given and return is
        converted in float64."""
        return None

    def blurred_start(self, key: Key, rows: Array) -> Array:
        """Points of A as backward draws have them: a bridge that blurs A says so."""
        return rows

    # -- public edge -----------------------------------------------------------------------------
    def drift(self, t: float | Scalar, x: Values) -> Array:
        """β(t)·{b(x) + ∇ log ψ_{s(t)}(x)}: the drift from A to B per unit of process time, tangent
        vectors of the shape of ``x``."""
        return self._rate(self.inner.forward_drift, t, x)

    def velocity(self, t: float | Scalar, x: Values) -> Array:
        """β(t)·{b + ½(∇ log ψ − ∇ log φ)}: the probability flow per unit of process time, the
        deterministic motion with the same laws at every t."""
        return self._rate(self.inner.flow_velocity, t, x)

    def score(self, t: float | Scalar, x: Values) -> Array:
        """∇ log p_t(x) = ∇ log φ + ∇ log ψ at s(t): the law of the bridge on the way; tangent
        vectors of the shape of ``x``."""
        s = self.level(t)
        rows, batch = self.enter(x, s, "x")
        value = _at_rows(
            self.inner.marginal_score, rows, jnp.asarray(self.inner_level(s), rows.dtype)
        )
        return (value / self.unit).reshape(*batch, *self.manifold.shape)

    def sample_forward(
        self,
        key: Key,
        x0: Values,
        *,
        steps: int = 100,
        paths: bool = False,
        grid: Values | None = None,
    ) -> Array:
        """From points of A to points of B by a geodesic random walk, weak order 1.

        **Arguments:** ``grid``: the levels to stop at, increasing variance-times from 0 to S, not
        traced; in the place of ``steps`` and its ``grid(steps)``.
        **Returns:** end points, of the shape of ``x0``; with ``paths`` the states at all L levels,
        shape ``(n, L, …)``. A bridge with exact draws takes one step where ``paths`` is False.
        **Raises:** ``FloatingPointError`` naming the draws that are not finite.
        """
        return self._walk("forward", key, x0, steps, paths, grid)

    def sample_backward(
        self,
        key: Key,
        x1: Values,
        *,
        steps: int = 100,
        paths: bool = False,
        grid: Values | None = None,
    ) -> Array:
        """From points of B back to points of A; paths run from B (first) to A (last), ``grid``
        from 0 to S as in ``sample_forward``."""
        return self._walk("backward", key, x1, steps, paths, grid)

    def flow(
        self, x: Values, *, direction: Direction = "forward", steps: int = 100, paths: bool = False
    ) -> Array:
        """The same by the probability flow, without noise: Heun's method, order 2, but for its
        last step, which is Euler's (a learned drift is not asked at the very end)."""
        if direction not in ("forward", "backward"):
            raise ValueError(f'direction must be "forward" or "backward", got {direction!r}.')
        return self._walk(direction, None, x, steps, paths, None)

    def flow_log_prob(
        self,
        t: float | Scalar,
        x: Values,
        law: Callable[[NumPyOrJax], Array],
        *,
        end: Literal["a", "b"] = "b",
        rtol: float = 1e-5,
        atol: float = 1e-5,
        divergence: Literal["exact", "hutchinson"] = "exact",
        key: Key | None = None,
        max_steps: int = 512,
    ) -> Array:
        """log p_t(x) in nats by the probability flow, from the density of one of the two laws:

            log p_t(x) = log p_B(x(S)) + ∫_{s(t)}^S div v ds,   dx/ds = v(x, s), x(s(t)) = x,

        v = b + ½(∇ log ψ − ∇ log φ); with ``end="a"`` down to s = 0 and log p_A. A bridge between
        data and a normal or uniform law has the likelihood of the data at t = 0. For any v it is a
        density of mass 1, that of the laws of ``flow`` from the end that is given.

        **Arguments:** ``t``: process time in [0, 1]; ``x``: points, shape ``(n, *shape)``, or one;
        ``law``: log density in nats of a batch of points, ``(n, *shape)`` to ``(n,)``: the
        ``log_prob`` of a model, or ``jax.vmap`` of that of one point; ``end``: whose law it is; the
        rest as in ``solve_log_prob``: ``divergence="hutchinson"`` for many dimensions, with a
        ``key``.
        **Raises:** ``ValueError`` for bad arguments and a law of another shape; ``RuntimeError``
        when ``max_steps`` is spent; ``FloatingPointError`` naming the rows without a finite value.

        Source: Song et al. 2021, Section 4.3; for bridges Chen, Liu & Theodorou 2022.
        """
        if not isinstance(t, jax.core.Tracer) and not 0.0 <= t <= 1.0:
            raise ValueError(f"t must be in [0, 1], got {t}.")
        if end not in ("a", "b"):
            raise ValueError(f'end must be "a" or "b", got {end!r}.')
        rows, batch = self.enter(x, self.level(t), "x")
        s, total = self.inner_level(self.level(t)), self.inner.total
        last = total if end == "b" else 0.0
        gained = jnp.zeros(len(rows), rows.dtype)
        if isinstance(s, jax.core.Tracer) or s != last:
            rows, gained = carry_density(
                self.inner._flow, rows, s, last, divergence=divergence, key=key, rtol=rtol,
                atol=atol, max_steps=max_steps,
            )  # fmt: skip
        there = self.leave(rows, self.total if end == "b" else 0.0)
        # Without x64 the rows go on in float64, for a law that takes differences there itself.
        wide = jnp.result_type(float) == jnp.float64
        known = jnp.asarray(law(jnp.asarray(there, rows.dtype) if wide else there))
        if known.shape != gained.shape:
            raise ValueError(
                f"law: for points of shape {rows.shape} it gave shape {known.shape}; needs "
                f"{gained.shape}, a log density each (jax.vmap a function of one point)."
            )
        value = known.astype(rows.dtype) + gained
        fail_at_rows("x", ~jnp.isfinite(value), "without a finite density", "law is not finite "
                    "where their flow ends.")  # fmt: skip
        return value.reshape(batch)

    # -- what is inside ----------------------------------------------------------------------------
    @property
    def inner(self: B) -> B:
        """The bridge in inner coordinates, of the same class."""
        return self if self.placed is None else cast(B, self.placed[1])

    @property
    def unit(self) -> float:
        """The unit of length there, in that of the points."""
        return 1.0 if self.placed is None else self.placed[0].scale

    def inner_level(self, s: L) -> L:
        """A level of the reference as a level there."""
        return s if self.placed is None else cast(L, self.inner.total * (s / self.total))

    def data_levels(self, levels: NumPyOrJax) -> np.ndarray:
        """Levels there, not traced, as levels of the reference: exact at both ends."""
        total = np.asarray(self.inner.total, levels.dtype)
        return np.asarray(np.asarray(levels) / total, np.float64) * self.total

    def level(self, t: float | Scalar) -> float | Scalar:
        """s(t), a number where t is one, exact at both ends."""
        if isinstance(t, jax.core.Tracer):
            return self.reference.schedule.s(t)
        if t in (0, 1):
            return self.total * float(t)
        return float(self.reference.schedule.s(jnp.asarray(t, jnp.result_type(float))))

    def enter(self, x: Values, s: Level, name: str) -> tuple[Array, tuple[int, ...]]:
        """Checked points at the level s, one a row, in inner coordinates; and the batch's shape."""
        if self.placed is None:
            points = check_points(self.manifold, x, name)
        else:
            points = self.placed[0].enter(self.reference, x, s, name)
        shape = self.manifold.shape
        return points.reshape(-1, *shape), points.shape[: points.ndim - len(shape)]

    def leave(self, y: Array, s: Level) -> NumPyOrJax:
        """The points of the data, in float64 where that is possible."""
        return y if self.placed is None else self.placed[0].leave(self.reference, y, s)

    @property
    def _flow(self) -> "Flow":
        return _BridgeFlow(self, EndsClock(self.total))

    def _rate(self, rate: Field, t: float | Scalar, x: Values) -> Array:
        """β(t) times ``rate``, which is per unit of variance-time in inner coordinates."""
        s = self.level(t)
        rows, batch = self.enter(x, s, "x")
        value = _at_rows(rate, rows, jnp.asarray(self.inner_level(s), rows.dtype))
        if self.placed is not None:
            units = self.placed[0]
            motion = jnp.asarray(units.motion(self.reference, s), rows.dtype)
            value = value / units.scale + jnp.broadcast_to(motion, value.shape)
        beta = self.reference.schedule.beta(jnp.asarray(t, rows.dtype))
        return (beta * value).reshape(*batch, *self.manifold.shape)

    def _walk(
        self,
        direction: str,
        key: Key | None,
        x: Values,
        steps: int,
        paths: bool,
        levels: Values | None,
    ) -> Array:
        ahead, inner = direction == "forward", self.inner
        rows, batch = self.enter(x, 0.0 if ahead else self.total, "x0" if ahead else "x1")
        with jax.ensure_compile_time_eval():
            grid = inner.grid(steps, rows.dtype)
            if levels is not None:
                grid = jnp.asarray(self.inner_level(self._checked(levels)), rows.dtype)
            grid = grid if ahead else grid[::-1]
            stops = self.data_levels(np.asarray(grid))
        if key is None:
            # The flow has no noise: its walks take a key, and do not use it.
            keys = jax.random.split(jax.random.key(0), len(rows))
            end = _run(_HeunThenEuler(inner._flow, grid[-2]), keys, rows, grid, paths)
        else:
            end = inner.walks(direction, jax.random.split(key, len(rows)), rows, grid, paths)
        fail_at_rows(
            "samples", ~jnp.isfinite(end), "not finite", "The drift of the bridge diverged."
        )
        there = self.leave(end, stops if paths else stops[-1])
        return jnp.asarray(there, rows.dtype).reshape(*batch, *end.shape[1:])

    def _checked(self, levels: Values) -> np.ndarray:
        """Levels that a caller gave."""
        if is_traced(levels):
            raise TypeError("grid: levels are to be numbers, not traced: they set the program.")
        try:
            found = np.asarray(levels, np.float64)
        except (TypeError, ValueError):
            raise ValueError(
                f"grid: needs increasing variance-times, got {one_line(repr(levels))[:80]}."
            ) from None
        inside = found.ndim == 1 and len(found) > 1 and bool((np.diff(found) > 0).all())
        ends = inside and np.allclose(found[[0, -1]], (0.0, self.total), rtol=1e-6, atol=0.0)
        if not ends:
            raise ValueError(
                f"grid: needs increasing variance-times from 0 to {self.total:.6g}, got "
                f"{np.array2string(found, threshold=6)[:200]}."
            )
        return np.concatenate([[0.0], found[1:-1], [self.total]])

    def walks(self, direction: str, keys: Array, rows: Array, grid: Array, paths: bool) -> Array:
        """Noisy walks along ``grid``, all in inner coordinates: a bridge that has exact ones draws
        them itself."""
        return _run(self.step(direction), keys, rows, grid, paths)

    def step(self, direction: str) -> Step:
        """The step that the noisy samplers take; a bridge that knows a better one says so."""
        if direction == "forward":
            return GeodesicStep(self.manifold, self.forward_drift)
        return ReverseStep(self.reference, self.backward)

    def forward_drift(self, x: Point, s: Scalar) -> Point:
        """b + ∇ log ψ."""
        return self.reference.drift(x) + self.forward(x, s)

    def flow_velocity(self, x: Point, s: Scalar) -> Point:
        """b + ½(∇ log ψ − ∇ log φ)."""
        return self.reference.drift(x) + 0.5 * (self.forward(x, s) - self.backward(x, s))

    def marginal_score(self, x: Point, s: Scalar) -> Point:
        """∇ log φ + ∇ log ψ."""
        return self.forward(x, s) + self.backward(x, s)


class _BridgeFlow(Flow):
    """The probability flow of a bridge in its inner coordinates."""

    bridge: Bridge
    clock: EndsClock

    @property
    def manifold(self) -> Manifold:
        return self.bridge.manifold

    def velocity(self, x: Point, s: Scalar) -> Point:
        return self.bridge.flow_velocity(x, s)


class _HeunThenEuler(Step):
    """Heun's step of a flow; from the level ``last`` on, Euler's."""

    flow: Flow
    last: Scalar

    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point:
        return jax.lax.cond(
            s == self.last,
            lambda: FlowStep(self.flow)(key, x, s, ds),
            lambda: HeunFlowStep(self.flow)(key, x, s, ds),
        )


@eqx.filter_jit
def _run(step: Step, keys: Array, rows: Array, grid: Array, paths: bool) -> Array:
    return jax.vmap(lambda k, x: walk(step, k, x, grid, keep=paths))(keys, rows)


@eqx.filter_jit
def _at_rows(field: Field, rows: Array, s: Scalar) -> Array:
    return jax.vmap(lambda x: field(x, s))(rows)
