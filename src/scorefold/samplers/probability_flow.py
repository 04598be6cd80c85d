"""Likelihood and sampling by the probability flow, an ODE on the manifold."""

from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_keys, device, is_traced
from scorefold._types import DTypeLike, Key, NumPyOrJax, Scalar, Values
from scorefold.manifolds import Manifold
from scorefold.noising import Noising, Reference
from scorefold.samplers._base import ScoreFunction
from scorefold.samplers._check import levels, require_finite
from scorefold.samplers.adaptive_flow import Flow, solve_adaptively
from scorefold.samplers.chunks import Limits, Solved, in_chunks, probe_keys, rows_of
from scorefold.samplers.clocks import Clock, near_data_clock, velocity_decay
from scorefold.samplers.multistep import Crossing, cross
from scorefold.samplers.multistep_plan import StepCount, evaluations, make_plan


class FlowDensity(NamedTuple):
    """Log densities by the probability flow and what they cost."""

    log_prob: Array
    """log p_{s_min}(x) in nats."""
    nfe: Array
    """Evaluations of the velocity and its divergence that each point took part in."""
    error: Array
    """Estimated error of ``log_prob``, RMS over the chunk; NaN from the adaptive solver, which
    bounds the error of a step and does not estimate that of the whole."""


def log_prob_ode(noising: Noising, score: ScoreFunction, x: Values, **options: Any) -> Array:
    """log p_{s_min}(x) in nats by the probability flow; ``solve_log_prob`` without the cost."""
    return solve_log_prob(noising, score, x, **options).log_prob


def solve_log_prob(
    noising: Noising,
    score: ScoreFunction,
    x: Values,
    *,
    s_min: float,
    s_max: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    divergence: Literal["exact", "hutchinson"] = "exact",
    key: Key | None = None,
    reference: Reference | None = None,
    chunk: int = 1024,
    max_steps: int = 512,
    solver: Literal["multistep", "adaptive"] = "multistep",
) -> FlowDensity:
    """The log density of the diffusion model at noise level s_min, and its cost:

        log p_{s_min}(x) = log p_ref(x(s_max)) + ∫_{s_min}^{s_max} div v(x(s), s) ds,
        dx/ds = v(x, s) = b(x) − ½ score(x, s),   x(s_min) = x.

    Densities and divergence are Riemannian.

    **Arguments:**

    - ``score``: (x, s) ↦ ∇ log p_s(x) at one point.
    - ``x``: points, shape ``(*batch, *manifold.shape)``; its float dtype is kept.
    - ``s_min``, ``s_max``: variance-times (default for ``s_max``: the end of the schedule).
    - ``rtol``, ``atol``: tolerances. Of the adaptive solver: per step, on the RMS error of a chunk
      (its ``log_prob`` is then off by 25 to 130 tolerances, RMS, on trained networks). The
      multistep solver takes the smaller one and accepts an estimated RMS error of 100 of it.
    - ``divergence``: ``"exact"`` (d directional derivatives), or ``"hutchinson"`` (one, along a
      random tangent direction carried along in parallel; unbiased; needs ``key``).
    - ``reference``: the law at ``s_max`` (default: ``noising.reference``).
    - ``chunk``: points solved together. They share their steps.
    - ``max_steps``: steps, accepted and rejected, after which the solver gives up.
    - ``solver``: ``"multistep"``: ``multistep.cross``, one evaluation a step on a fixed grid; a
      chunk whose estimated error is too large is solved again, on a finer grid or adaptively.
      ``"adaptive"``: Dopri5 with a controller, which also serves Hutchinson's estimate, tolerances
      below 3e-6 or above 1e-3, and calls under a JAX transformation.

    **Returns:** ``FlowDensity(log_prob, nfe, error)``, each of the batch shape.
    **Raises:** ``ValueError`` for bad arguments; ``RuntimeError`` when ``max_steps`` is spent;
    ``FloatingPointError`` naming the rows whose flow or density is not finite.

    Source: Song et al. 2021, Section 4.3; De Bortoli et al. 2022, Section 3.4; Hutchinson 1990.
    """
    _check_divergence(divergence, key)
    if solver not in ("multistep", "adaptive"):
        raise ValueError(f'solver must be "multistep" or "adaptive", got {solver!r}.')
    s_min, s_max = levels(noising, s_min, s_max)
    rows, batch = _finite_rows(x, noising.manifold)
    keys = _probes(divergence, key, len(rows))
    reference = noising.reference if reference is None else reference
    limits = Limits(rtol, atol, max_steps)

    flow = Flow(noising, score, near_data_clock(noising.manifold, s_max))
    decay = velocity_decay(noising.manifold, s_max)
    traced = is_traced((noising, score, rows))
    count = None
    if solver == "multistep" and keys is None and not traced:
        count = StepCount.first(min(rtol, atol), max_steps)

    def solve(part: Array, part_keys: Array | None) -> Solved:
        # A chunk that needed more steps hands their number on to those that follow.
        nonlocal count
        spent = 0
        while count is not None:
            plan = make_plan(s_min, s_max, count.steps, flow.clock, decay)
            visits = evaluations(count.steps)
            spent += visits
            value, error = _valued(reference, cross(noising, score, part, plan, visits))
            if is_traced(error):  # the score is a closure over traced values
                spent = 0
                break
            if float(error) <= count.bound:
                return Solved(value, jnp.asarray(spent), jnp.asarray(True), error)
            count = count.raised(float(error))
        found = solve_adaptively(flow, part, s_min, s_max, limits, probe_keys=part_keys)
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


def sample_ode(
    noising: Noising,
    score: ScoreFunction,
    key: Key,
    n: int,
    *,
    s_min: float,
    s_max: float | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    reference: Reference | None = None,
    dtype: DTypeLike | None = None,
    chunk: int = 1024,
    max_steps: int = 512,
) -> Array:
    """n draws of p_{s_min}: draws of the reference, carried back by the probability flow.

    Deterministic given the draws, so that equal keys give equal points for any tolerance up to
    the tolerance. Arguments, errors and source as in ``solve_log_prob``.

    **Returns:** shape ``(n, *manifold.shape)``.
    """
    s_min, s_max = levels(noising, s_min, s_max)
    reference = noising.reference if reference is None else reference
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    start = by_keys(lambda keys: _starts(reference, keys, dtype), key, n)

    flow = Flow(noising, score, near_data_clock(noising.manifold, s_max))
    limits = Limits(rtol, atol, max_steps)

    def solve(part: Array, _: Array | None) -> Solved:
        found = solve_adaptively(flow, part, s_max, s_min, limits, divergence=False)
        return Solved(found.end, found.nfe, found.finished, jnp.nan)

    x = in_chunks(solve, start, None, chunk, limits).value
    require_finite("samples", x, "not finite", "The score diverged on the way back.")
    return x


@eqx.filter_jit
def _starts(reference: Reference, keys: Array, dtype: np.dtype) -> Array:
    return jax.vmap(lambda k: reference.sample(k, dtype))(keys)


def carry_density(
    noising: Noising,
    score: ScoreFunction,
    x: Values,
    start: float | Scalar,
    end: float | Scalar,
    *,
    clock: Clock,
    divergence: Literal["exact", "hutchinson"] = "exact",
    key: Key | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    chunk: int = 1024,
    max_steps: int = 512,
) -> tuple[Array, Array]:
    """(x(end), ∫_start^end div v ds): points carried by dx/ds = v(x, s) = b(x) − ½ score(x, s)
    from one variance-time to another, up or down, and what their log density loses on the way.

    The adaptive solver of ``solve_log_prob``, whose arguments and errors these are, in the variable
    of ``clock``. ``x``: shape ``(n, *shape)``.
    """
    _check_divergence(divergence, key)
    rows, batch = _finite_rows(x, noising.manifold)
    flow, limits = Flow(noising, score, clock), Limits(rtol, atol, max_steps)

    def solve(part: Array, part_keys: Array | None) -> Solved:
        found = solve_adaptively(flow, part, start, end, limits, probe_keys=part_keys)
        return Solved((found.end, found.total), found.nfe, found.finished, jnp.nan)

    there, total = in_chunks(solve, rows, _probes(divergence, key, len(rows)), chunk, limits).value
    what = "carried to points that are not finite"
    for found in (total, there):
        require_finite("x", found, what, "The drift diverges there.")
    return there.reshape(*batch, *noising.manifold.shape), total.reshape(batch)


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
def _valued(reference: Reference, found: Crossing) -> tuple[Array, Array]:
    """(log densities, RMS estimated error)."""
    last = jax.vmap(reference.log_prob)(found.end)
    moved = last - jax.vmap(reference.log_prob)(found.again)
    return last + found.total, jnp.sqrt(jnp.mean(found.error**2 + moved**2))
