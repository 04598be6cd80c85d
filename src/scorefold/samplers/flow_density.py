"""Densities, draws and points carried along, by any flow."""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_keys, device, is_traced
from scorefold._types import DTypeLike, Key, NumPyOrJax, Point, Scalar, Values
from scorefold.manifolds import Manifold
from scorefold.noising import Reference
from scorefold.samplers._check import require_finite
from scorefold.samplers.adaptive_flow import solve_adaptively
from scorefold.samplers.chunks import Limits, Solved, in_chunks, probe_keys, rows_of
from scorefold.samplers.clocks import PowerClock
from scorefold.samplers.flow import Flow
from scorefold.samplers.multistep import Crossing, cross
from scorefold.samplers.multistep_plan import StepCount, evaluations, make_plan

Divergence = Literal["exact", "hutchinson"]
_EXACT = 32
"""Dimensions to which a divergence is exact where the caller has not chosen."""


class FlowDensity(NamedTuple):
    """Log densities by a flow and what they cost."""

    log_prob: Array
    """log p(x) in nats, at the level where the points are."""
    nfe: Array
    """Evaluations of the velocity and its divergence that each point took part in."""
    error: Array
    """Estimated error of ``log_prob``, RMS over the chunk; NaN from the adaptive solver, which
    bounds the error of a step and does not estimate that of the whole."""


def flow_density(
    flow: Flow,
    reference: Reference,
    x: Values,
    start: float,
    end: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    divergence: Divergence = "exact",
    key: Key | None = None,
    chunk: int = 1024,
    max_steps: int = 512,
    solver: Literal["multistep", "adaptive"] = "multistep",
    decay: float = 0.0,
) -> FlowDensity:
    """The density at level ``start`` of what the flow makes of the reference law at ``end``:

        log p(x) = log p_ref(x(end)) + ∫_start^end div v(x(s), s) ds,   x(start) = x,

    or relative to a law that moves by itself (``RelativeFlow``).

    **Arguments:** ``decay``: the rate at which the velocity is expected to die out in s; the rest
    as in ``solve_log_prob``, whose errors these are. The multistep solver needs a ``PowerClock``.
    """
    _check_divergence(divergence, key)
    if solver not in ("multistep", "adaptive"):
        raise ValueError(f'solver must be "multistep" or "adaptive", got {solver!r}.')
    rows, batch = _finite_rows(x, flow.manifold)
    keys = _probes(divergence, key, len(rows))
    limits, clock = Limits(rtol, atol, max_steps), flow.clock
    traced = is_traced((flow, rows))
    count, kind, plain = None, flow, flow.plain
    if solver == "multistep" and keys is None and not traced:
        count = StepCount.first(min(rtol, atol), max_steps)

    def crossed(by: Flow, part: Array, steps: int) -> tuple[Array, Array]:
        plan = make_plan(start, end, steps, clock, decay)
        ends = jnp.asarray(start, part.dtype), jnp.asarray(end, part.dtype)
        return _valued(by, reference, part, cross(by, part, plan, evaluations(steps)), ends)

    def solve(part: Array, part_keys: Array | None) -> Solved:
        # A chunk that needed more steps, or the plain flow, hands them on to those that follow.
        nonlocal count, kind
        spent = 0
        while count is not None and isinstance(clock, PowerClock):
            spent += evaluations(count.steps)
            value, error = crossed(kind, part, count.steps)
            if is_traced(error):  # the velocity is a closure over traced values
                spent = 0
                break
            if not float(error) <= count.bound and kind is not plain:
                spent += evaluations(count.steps)
                other = crossed(plain, part, count.steps)
                if not float(error) <= float(other[1]):
                    kind, (value, error) = plain, other
            if float(error) <= count.bound:
                return Solved(value, jnp.asarray(spent), jnp.asarray(True), error)
            count = count.raised(float(error))
        # Its tolerance is relative to the integral so far, which log q may make large.
        found = solve_adaptively(plain, part, start, end, limits, probe_keys=part_keys)
        value = jax.vmap(reference.log_prob)(found.end) + found.total
        error = jnp.full((), jnp.nan, value.dtype)
        return Solved(value, found.nfe + spent, found.finished, error)

    solved = in_chunks(solve, rows, keys, chunk, limits)
    hint = "The score or its divergence is not finite along their flow."
    require_finite("x", solved.value, "without a finite density", hint)
    parts = solved.value, solved.nfe, jnp.asarray(solved.error)
    traced = is_traced(parts)
    shaped = lambda a: a.reshape(batch) if traced else device(np.asarray(a).reshape(batch))  # noqa: E731
    return FlowDensity(*map(shaped, parts))


def flow_draws(
    flow: Flow,
    reference: Reference,
    key: Key,
    n: int,
    start: float,
    end: float,
    *,
    dtype: DTypeLike | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    chunk: int = 1024,
    max_steps: int = 512,
) -> Array:
    """n draws of the reference law, carried by the flow from level ``start`` to ``end``. The same
    key gives the same points up to the tolerances. Shape ``(n, *manifold.shape)``."""
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    first = by_keys(lambda keys: _starts(reference, keys, dtype), key, n)
    limits = Limits(rtol, atol, max_steps)

    def solve(part: Array, _: Array | None) -> Solved:
        found = solve_adaptively(flow, part, start, end, limits, divergence=False)
        return Solved(found.end, found.nfe, found.finished, jnp.nan)

    x = in_chunks(solve, first, None, chunk, limits).value
    require_finite("samples", x, "not finite", "The score diverged on the way back.")
    return x


def carry_density(
    flow: Flow,
    x: Values,
    start: float | Scalar,
    end: float | Scalar,
    *,
    divergence: Divergence = "exact",
    key: Key | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    chunk: int = 1024,
    max_steps: int = 512,
) -> tuple[Array, Array]:
    """(x(end), ∫_start^end div v ds): points carried by a flow from one level to another, up or
    down, and what their log density loses on the way.

    The adaptive solver of ``solve_log_prob``, whose arguments and errors these are. ``x``: shape
    ``(n, *shape)``.
    """
    _check_divergence(divergence, key)
    rows, batch = _finite_rows(x, flow.manifold)
    limits = Limits(rtol, atol, max_steps)

    def solve(part: Array, part_keys: Array | None) -> Solved:
        found = solve_adaptively(flow, part, start, end, limits, probe_keys=part_keys)
        return Solved((found.end, found.total), found.nfe, found.finished, jnp.nan)

    there, total = in_chunks(solve, rows, _probes(divergence, key, len(rows)), chunk, limits).value
    what = "carried to points that are not finite"
    for found in (total, there):
        require_finite("x", found, what, "The drift diverges there.")
    return there.reshape(*batch, *flow.manifold.shape), total.reshape(batch)


def affordable(manifold: Manifold) -> tuple[Divergence, float]:
    """The divergence and the tolerance that checkpoints are compared by: exact as far as a few
    dozen passes go. The solver's error is an RMS over d + 1 numbers, of which the density is one:
    in many dimensions the tolerance is smaller."""
    return ("exact", 1e-3) if manifold.dim <= _EXACT else ("hutchinson", 1e-4)


@eqx.filter_jit
def _starts(reference: Reference, keys: Array, dtype: np.dtype) -> Array:
    return jax.vmap(lambda k: reference.sample(k, dtype))(keys)


def _check_divergence(divergence: str, key: Key | None) -> None:
    if divergence not in ("exact", "hutchinson"):
        raise ValueError(f'divergence must be "exact" or "hutchinson", got {divergence!r}.')
    if divergence == "hutchinson" and key is None:
        raise ValueError('divergence="hutchinson" needs key=: the probe directions are random.')


def _probes(divergence: str, key: Key | None, n: int) -> Array | None:
    """Keys of the probe directions of n points; None for the exact divergence."""
    return None if key is None or divergence == "exact" else probe_keys(key, n)


def _finite_rows(x: Values, manifold: Manifold) -> tuple[NumPyOrJax, tuple[int, ...]]:
    rows, batch = rows_of(x, manifold)
    require_finite("x", rows, "not finite", "Drop or repair these points.")
    return rows, batch


@eqx.filter_jit
def _log_prob(
    flow: Flow, reference: Reference, x: Array, there: Array, ends: tuple[Scalar, Scalar]
) -> Array:
    """log p of points that the flow carried from x to the reference, but for the integral."""
    start, end = ends

    def one(p: Point, q: Point) -> Scalar:
        return flow.log_base(p, start) + (reference.log_prob(q) - flow.log_base(q, end))

    return jax.vmap(one)(x, there)


@eqx.filter_jit
def _valued(
    flow: Flow, reference: Reference, x: Array, found: Crossing, ends: tuple[Scalar, Scalar]
) -> tuple[Array, Array]:
    """(log densities, RMS estimated error)."""
    last = _log_prob(flow, reference, x, found.end, ends)
    moved = last - _log_prob(flow, reference, x, found.end_by_quadrature, ends)
    return last + found.total, jnp.sqrt(jnp.mean(found.error**2 + moved**2))
