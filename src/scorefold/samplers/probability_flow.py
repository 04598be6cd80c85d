"""Likelihood and sampling by the probability flow, an adaptive ODE on the manifold."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import blocks, by_keys, device, inside_jit, is_traced, split_data
from scorefold._types import Key, Point, Scalar
from scorefold.fields import value_and_divergence
from scorefold.manifolds import Manifold
from scorefold.noising import Noising, Reference
from scorefold.samplers._base import ScoreFunction
from scorefold.samplers._check import levels, require_finite
from scorefold.samplers.multistep import Crossing, Grids, cross, evaluations
from scorefold.samplers.steps import flow_velocity

__all__ = ["Clock", "FlowDensity", "carry_density", "log_prob_ode", "sample_ode", "solve_log_prob"]

_FIRST_STEP = 0.03
"""First trial step, as a share of the whole interval of the clock."""


class FlowDensity(NamedTuple):
    """Log densities by the probability flow and what they cost."""

    log_prob: Array
    """log p_{s_min}(x) in nats."""
    nfe: Array
    """Evaluations of the velocity and its divergence that each point took part in."""
    error: Array
    """Estimated error of ``log_prob``, RMS over the chunk; NaN from the adaptive solver, which
    bounds the error of a step and does not estimate that of the whole."""


def log_prob_ode(noising: Noising, score: ScoreFunction, x: Any, **options: Any) -> Array:
    """log p_{s_min}(x) in nats by the probability flow; ``solve_log_prob`` without the cost."""
    return solve_log_prob(noising, score, x, **options).log_prob


def solve_log_prob(
    noising: Noising,
    score: ScoreFunction,
    x: Any,
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
    check_divergence(divergence, key)
    if solver not in ("multistep", "adaptive"):
        raise ValueError(f'solver must be "multistep" or "adaptive", got {solver!r}.')
    s_min, s_max = levels(noising, s_min, s_max)
    rows, batch = _rows(x, noising.manifold)
    require_finite("x", rows, "not finite", "Drop or repair these points.")
    keys = None if divergence == "exact" else _probes(key, rows.shape[0])
    reference = noising.reference if reference is None else reference

    traced = any(isinstance(a, jax.core.Tracer) for a in jax.tree.leaves((noising, score, rows)))
    fixed = solver == "multistep" and keys is None and not traced
    grids = Grids(min(rtol, atol), max_steps) if fixed else None
    clock = _clock(noising.manifold, s_max).c, _decay(noising.manifold, s_max)

    def solve(part: Array, part_keys: Array | None) -> tuple:
        spent = 0
        while grids is not None and grids.steps is not None:
            spent += evaluations(grids.steps)
            found = cross(noising, score, part, s_min, s_max, grids.steps, clock)
            value, error = _valued(reference, found)
            if isinstance(error, jax.core.Tracer):  # the score is a closure over traced values
                spent = 0
                break
            if grids.good(float(error)):
                return value, jnp.asarray(spent), jnp.asarray(True), error
        end, total, nfe, finished = _integrate(
            noising, score, part, s_min, s_max, True, part_keys, rtol, atol, max_steps, None
        )
        value = jax.vmap(reference.log_prob)(end) + total
        return value, nfe + spent, finished, jnp.full((), jnp.nan, value.dtype)

    value, nfe, error = _in_chunks(solve, rows, keys, chunk, max_steps, rtol, atol)
    require_finite(
        "x",
        value,
        "without a finite density",
        "The score or its divergence is not finite along their flow.",
    )
    if is_traced((value, nfe, error)):
        return FlowDensity(*(a.reshape(batch) for a in (value, nfe, error)))
    return FlowDensity(*(device(np.asarray(a).reshape(batch)) for a in (value, nfe, error)))


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
    dtype=None,
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

    def solve(part: Array, _: None) -> tuple:
        end, _, nfe, finished = _integrate(
            noising, score, part, s_max, s_min, False, None, rtol, atol, max_steps, None
        )
        return end, nfe, finished, nfe

    x, _, _ = _in_chunks(solve, start, None, chunk, max_steps, rtol, atol)
    require_finite("samples", x, "not finite", "The score diverged on the way back.")
    return x


@eqx.filter_jit
def _starts(reference: Reference, keys: Array, dtype: Any) -> Array:
    return jax.vmap(lambda k: reference.sample(k, dtype))(keys)


class Clock(eqx.Module):
    """A variable to solve the flow in, increasing in s."""

    @abc.abstractmethod
    def tau(self, s: float, dtype: Any) -> Scalar:
        """Its value at s."""

    @abc.abstractmethod
    def s(self, tau: Scalar) -> tuple[Scalar, Scalar]:
        """(s, ds/dτ)."""


def carry_density(
    noising: Noising,
    score: ScoreFunction,
    x: Any,
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
    check_divergence(divergence, key)
    rows, batch = _rows(x, noising.manifold)
    require_finite("x", rows, "not finite", "Drop or repair these points.")
    keys = None if divergence == "exact" else _probes(key, rows.shape[0])

    def solve(part: Array, part_keys: Array | None) -> tuple:
        there, total, nfe, finished = _integrate(
            noising, score, part, start, end, True, part_keys, rtol, atol, max_steps, clock
        )
        return (there, total), nfe, finished, nfe

    (there, total), _, _ = _in_chunks(solve, rows, keys, chunk, max_steps, rtol, atol)
    for found in (total, there):
        require_finite(
            "x", found, "carried to points that are not finite", "The drift diverges there."
        )
    return there.reshape(*batch, *noising.manifold.shape), total.reshape(batch)


def check_divergence(divergence: str, key: Key | None) -> None:
    if divergence not in ("exact", "hutchinson"):
        raise ValueError(f'divergence must be "exact" or "hutchinson", got {divergence!r}.')
    if divergence == "hutchinson" and key is None:
        raise ValueError('divergence="hutchinson" needs key=: the probe directions are random.')


def _probes(key: Key | None, n: int) -> Array:
    assert key is not None
    if is_traced(key) or inside_jit():
        return jax.random.split(key, n)
    return jax.random.wrap_key_data(jnp.asarray(split_data(key, n)), impl=jax.random.key_impl(key))


def _rows(x: Any, manifold: Manifold) -> tuple[Array | np.ndarray, tuple[int, ...]]:
    # NumPy's cut and reshape compile nothing.
    x = x if is_traced(x) else np.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    k = x.ndim - len(manifold.shape)
    if k < 0 or x.shape[k:] != manifold.shape:
        raise ValueError(
            f"x: shape {x.shape} does not end in {manifold.shape}, one point of {manifold.name}."
        )
    return x.reshape(math.prod(x.shape[:k]), *manifold.shape), x.shape[:k]


def _in_chunks(
    solve: Callable, rows: Any, keys: Array | None, chunk: int, max_steps: int, rtol, atol
) -> tuple[Any, Array, Array]:
    """(values, evaluations, errors): blocks of one size are solved, the last one padded with
    copies of its first row."""
    n = rows.shape[0]
    if n == 0:
        raise ValueError("x: there are no points.")
    if is_traced((rows, keys)) or inside_jit():
        return _traced_chunks(solve, jnp.asarray(rows), keys, chunk)
    host = np.asarray(rows)
    data = None if keys is None else np.asarray(jax.random.key_data(keys))
    impl = None if keys is None else jax.random.key_impl(keys)
    parts = []
    for first, size in blocks(n, chunk):
        at = np.minimum(np.arange(first, first + size), n - 1)
        own = None if data is None else jax.random.wrap_key_data(device(data[at]), impl=impl)
        value, nfe, finished, error = solve(device(host[at]), own)
        _finished(finished, first, min(first + size, n), max_steps, rtol, atol)
        every = lambda a, size=size: jnp.broadcast_to(a, size) if is_traced(a) else np.full(size, a)  # noqa: E731
        parts.append((value, every(nfe), every(error)))
    return _joined(parts, n)


def _joined(parts: list[tuple[Any, Any, Any]], n: int) -> tuple[Any, Array, Array]:
    """The results of blocks put together; by NumPy, which compiles nothing, where they are known
    (the score may be a closure over traced values)."""
    if is_traced(parts):
        join = lambda *a: jnp.concatenate(a)[:n]  # noqa: E731
    else:
        join = lambda *a: device(np.concatenate([np.asarray(p) for p in a])[:n])  # noqa: E731
    whole: tuple[Any, Array, Array] = jax.tree.map(join, *parts)
    return whole


def _traced_chunks(
    solve: Callable, rows: Array, keys: Array | None, chunk: int
) -> tuple[Any, Array, Array]:
    """The same inside a JAX transformation: one program, chunk after chunk."""
    n = len(rows)
    size = min(chunk, n)
    at = np.minimum(np.arange(-(-n // size) * size), n - 1)
    cut = lambda a: a[at].reshape(-1, size, *a.shape[1:])  # noqa: E731

    def one(part: tuple) -> tuple:
        value, nfe, _, error = solve(*part)
        return value, jnp.full((size,), nfe), jnp.full((size,), error)

    if n == size:
        return one((rows, keys))
    whole = jax.lax.map(one, (cut(rows), None if keys is None else cut(keys)))
    joined: tuple[Any, Array, Array] = jax.tree.map(
        lambda a: a.reshape(-1, *a.shape[2:])[:n], whole
    )
    return joined


def _finished(finished: Array, first: int, last: int, max_steps: int, rtol, atol) -> None:
    if not isinstance(finished, jax.core.Tracer) and not bool(finished):
        rows = f"rows {first} to {last - 1}" if last - first > 1 else f"row {first}"
        raise RuntimeError(
            f"The probability flow of {rows} did not reach its end in "
            f"max_steps={max_steps} steps at rtol={rtol:g}, atol={atol:g}: the score varies too "
            "fast along it. Raise max_steps (or the s_min of a score model), or loosen the "
            "tolerances (float32 cannot meet tolerances near 1e-7)."
        )


class _NearData(Clock):
    """The variable the flow is solved in: τ = u^{1/8}, u = (1 − e^{−cs})/c (u = s for c = 0).

    Near data the flow moves by O(√s) and changes its character with every factor of s: τ lies
    between √s and log s (of s, √s, s^{1/4}, s^{1/8} and log s it took the fewest evaluations on
    trained networks). On compact spaces the velocity dies out like e^{−λ₁s/2}; c stretches the
    end of the interval accordingly.
    """

    c: float

    def tau(self, s: float, dtype) -> Scalar:
        u = s if self.c == 0 else -math.expm1(-self.c * s) / self.c
        return jnp.asarray(u**0.125, dtype)

    def s(self, tau: Scalar) -> tuple[Scalar, Scalar]:
        """(s, ds/dτ)."""
        u, du = tau**8, 8.0 * tau**7
        if self.c == 0:
            return u, du
        return -jnp.log1p(-self.c * u) / self.c, du / (1.0 - self.c * u)


def _clock(manifold: Manifold, s_max: float) -> _NearData:
    # 6/s_max keeps 1 − cu above e^{−6}, far from the rounding of float32.
    return _NearData(min(0.25 * manifold.spectral_gap, 6.0 / s_max) if manifold.compact else 0.0)


def _decay(manifold: Manifold, s_max: float) -> float:
    """The rate λ₁/2 at which the velocity dies out on a compact space, at most e^{−5} in all; on
    others it is not known."""
    return min(0.5 * manifold.spectral_gap, 5.0 / s_max) if manifold.compact else 0.0


@eqx.filter_jit
def _valued(reference: Reference, found: Crossing) -> tuple[Array, Array]:
    """(log densities, RMS estimated error)."""
    last = jax.vmap(reference.log_prob)(found.end)
    moved = last - jax.vmap(reference.log_prob)(found.again)
    return last + found.total, jnp.sqrt(jnp.mean(found.error**2 + moved**2))


def _integrate(noising, score, x, start, end, dense, keys, rtol, atol, max_steps, clock):
    # As arrays, so that one program serves every tolerance and span.
    tolerances = jnp.asarray(rtol, x.dtype), jnp.asarray(atol, x.dtype)
    clock = _clock(noising.manifold, max(start, end)) if clock is None else clock
    span = clock.tau(start, x.dtype), clock.tau(end, x.dtype)
    return _compiled(noising, score, x, *span, dense, keys, *tolerances, max_steps, clock)


@eqx.filter_jit
def _compiled(noising, score, x, t0, t1, dense, keys, rtol, atol, max_steps, clock):
    """(end points, ∫ div v ds or zeros, evaluations, whether the end was reached)."""
    import diffrax

    manifold = noising.manifold
    probes = None
    if keys is not None:
        draw = lambda k, p: manifold.from_components(  # noqa: E731
            p, jax.random.rademacher(k, (manifold.dim,), p.dtype)
        )
        probes = jax.vmap(draw)(keys, x)

    def rate(tau: Any, state: tuple[Array, Array], args: None) -> tuple[Array, Array]:
        s, ds = clock.s(tau)
        velocity = lambda y: flow_velocity(noising, score, y, s)  # noqa: E731
        # The field is continued off the manifold by v ∘ project: the manifold is invariant under
        # the flow, and a Runge–Kutta method keeps its order.
        y = jax.vmap(manifold.project)(state[0])
        if not dense:
            v, div = jax.vmap(velocity)(y), jnp.zeros_like(state[1])
        elif probes is None:
            v, div = jax.vmap(lambda p: value_and_divergence(velocity, manifold, p))(y)
        else:
            v, div = jax.vmap(lambda *a: _probed(velocity, manifold, *a))(y, x, probes)
        return ds * v, ds * div

    def norm(error: tuple[Array, Array]) -> Scalar:
        """RMS over points and components. A point that is no longer finite is left out: the others
        finish, and its row can be named."""
        flat = jnp.concatenate([error[0].reshape(len(x), -1), error[1][:, None]], axis=1)
        each = jnp.mean(flat * flat, axis=1)
        finite = jnp.isfinite(each)
        total = jnp.sum(jnp.where(finite, each, jnp.zeros_like(each)))
        return jnp.sqrt(total / jnp.maximum(jnp.sum(finite), 1).astype(each.dtype))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(rate),
        diffrax.Dopri5(),
        t0,
        t1,
        _FIRST_STEP * (t1 - t0),
        (x, jnp.zeros(len(x), x.dtype)),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol, norm=norm),
        max_steps=max_steps,
        throw=False,
    )
    state = jax.tree.map(lambda leaf: leaf[-1], solution.ys)
    last = jax.vmap(manifold.project)(state[0])
    # First-same-as-last: six new stages a step, one at the start.
    nfe = 6 * solution.stats["num_steps"] + 1
    return last, state[1], nfe, solution.result == diffrax.RESULTS.successful


def _probed(
    velocity: Callable[[Point], Point], manifold: Manifold, y: Point, origin: Point, probe: Point
) -> tuple[Point, Scalar]:
    """(v(y), ⟨Dv[ε], ε⟩), ε the probe at ``origin`` moved to y by parallel transport: an isometry,
    so unbiased at every y, and smooth along the path, as a frame's components would not be."""
    e = manifold.transport(origin, y, probe)
    value, along = jax.jvp(velocity, (y,), (e,))
    return value, manifold.inner(y, along, e)
