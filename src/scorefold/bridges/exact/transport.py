"""Entropic transport between weighted point sets, in log space."""

import math
from contextlib import nullcontext
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced
from scorefold._mesh import fetched, on_mesh, on_one_device
from scorefold._types import DTypeLike, Scalar, Values
from scorefold._warnings import warn
from scorefold.bridges.exact.costs import (
    Costs,
    PointCosts,
    end_transition,
    extremes,
    mean_of_columns,
    mean_of_rows,
)
from scorefold.bridges.exact.plan import Transport
from scorefold.bridges.exact.scaling import begun, scaled_iterations
from scorefold.bridges.units import BridgeUnits
from scorefold.manifolds import check_points
from scorefold.noising import Noising

_ROW_BY_ROW = 2**28
"""Costs beyond which ``transport`` makes no matrix: 1 GiB in float32."""
_IN_LOG_SPACE = 2**19
"""Costs up to which iterations are all in log space: they compile faster."""


def sinkhorn(
    costs: Values | PointCosts,
    a: Values | None = None,
    b: Values | None = None,
    *,
    epsilon: float = 1.0,
    tolerance: float | None = None,
    max_iterations: int = 10_000,
    start: Values | None = None,
    anneal: float | None = None,
) -> Transport:
    """Sinkhorn's iteration in log space, on the device:

        f_i ← −ε log Σ_j b_j e^{(g_j − C_ij)/ε},   g_j ← −ε log Σ_i a_i e^{(f_i − C_ij)/ε}.

    **Arguments:**

    - ``costs``: C, shape (n, m), finite: a matrix, or ``PointCosts``, of which no matrix is made.
      ``a``, ``b``: weights ≥ 0, divided by their sums
      (default: equal).
    - ``epsilon``: ε > 0 in the units of C; C = ½|x − y|² with ε = σ² and C = |x − y|² with
      ε = 2σ² are both the bridge of Brownian motion of variance σ².
    - ``tolerance``: largest L¹ error of the marginals (default: 1e-9 in float64 and 1e-4 in
      float32, or twice the rounding of C/ε if that is more: less cannot be told).
    - ``start``: g of shape (m,) to begin with, of a similar problem.
    - ``anneal``: a factor in (0, 1): iteration k uses max(ε, ε₀·anneal^k), ε₀ the range of C. Fewer
      iterations when ε is far below the range of C.

    **Returns:** ``Transport``. ``value`` is differentiable in ``costs`` (by the envelope theorem);
    weights are constants to derivatives.
    **Raises:** ``ValueError`` for costs that are not finite, negative or empty weights, ε ≤ 0, a
    tolerance ≤ 0, and an ε below the rounding of C.
    **Warns:** ``ScorefoldWarning`` with the error that is left, when the tolerance is not met
    after ``max_iterations``. Not under a JAX transformation: ask ``converged`` there.
    """
    low = 0.0
    if not isinstance(costs, jax.Array | PointCosts):
        costs = np.asarray(costs)
        kind = costs.dtype if costs.dtype.kind == "f" else np.dtype(float)
        costs = costs.astype(np.float64)
        narrow = jax.dtypes.canonicalize_dtype(kind)
        if costs.size and np.isfinite(costs).all():
            # A constant changes no plan: taken out before a cast, it takes no digits.
            low = float(costs.min())
            costs = costs - low
            top = float(costs.max())
            if top > float(np.finfo(narrow).max):
                raise ValueError(
                    f"costs: they range over {top:.3g}, beyond the largest {narrow} "
                    f"({np.finfo(narrow).max:.3g}). Divide costs and epsilon by a constant."
                )
        costs = costs.astype(narrow)
    if not isinstance(costs, PointCosts):
        costs = jnp.asarray(costs)
    if 0 in costs.shape:
        raise ValueError(f"costs: needs at least one row and one column, got shape {costs.shape}.")
    if isinstance(costs, jax.Array) and not jnp.issubdtype(costs.dtype, jnp.floating):
        costs = costs.astype(jnp.result_type(float))
    if len(costs.shape) != 2:
        raise ValueError(f"costs: shape must be (n, m), got {costs.shape}.")
    traced = is_traced(costs) or is_traced(a) or is_traced(b)
    if not traced:
        with on_mesh():
            least, most = (fetched(part) for part in extremes(costs))
        bad = np.flatnonzero(~(np.isfinite(least) & np.isfinite(most)))
        if bad.size:
            raise ValueError(f"costs: rows {bad[:10].tolist()} are not finite. Repair them first.")
    if not is_traced(epsilon):
        epsilon = float(epsilon)
    if not (math.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be a positive finite number, got {epsilon!r}.")
    if tolerance is not None and not (math.isfinite(tolerance) and tolerance > 0):
        raise ValueError(f"tolerance must be a positive finite number, got {tolerance!r}.")
    if max_iterations < 1:
        raise ValueError(f"max_iterations must be at least 1, got {max_iterations!r}.")
    if anneal is not None and not 0 < anneal < 1:
        raise ValueError(f"anneal must be a factor between 0 and 1, got {anneal!r}.")
    dtype = costs.dtype
    if not traced:
        reach, eps = float(most.max() - least.min()), float(jnp.finfo(dtype).eps)
        spread = reach / epsilon
        if not spread * eps < 1.0:
            raise ValueError(
                f"epsilon: {epsilon:g} is below the rounding of {dtype} costs that range over "
                f"{reach:g}. Take one above {reach * eps:.1g}"
                + ("" if dtype == jnp.float64 else ", or 64-bit floats (JAX_ENABLE_X64=1)")
                + "; the limit 0 is an assignment (scipy.optimize.linear_sum_assignment)."
            )
    if tolerance is None:
        tolerance = 1e-9 if dtype == jnp.float64 else 1e-4
        if not traced:
            tolerance = max(tolerance, min(0.1, 2.0 * eps * spread))
    n, m = costs.shape
    held = jax.lax.stop_gradient
    # Of arrays alone: numbers of the space of a ``PointCosts`` are shapes.
    fixed = jax.tree.map(lambda leaf: held(leaf) if eqx.is_array(leaf) else leaf, costs)
    log_a, log_b = held(log_weights("a", a, n, dtype)), held(log_weights("b", b, m, dtype))
    g = jnp.zeros(m, dtype) if start is None else jnp.asarray(start, dtype)
    if g.shape != (m,):
        raise ValueError(f"start: shape must be ({m},), got {g.shape}.")
    scalar = jnp.asarray(epsilon, dtype)
    first = scalar
    if anneal is not None:
        least, most = extremes(fixed)
        first = jnp.maximum(jnp.max(most) - jnp.min(least), scalar)
    rate = jnp.asarray(anneal or 1.0, dtype)
    # Where ε is large beside the costs, marginals are nearly right with potentials far from it.
    gentle = not traced and spread < 1.0
    goal = tolerance
    if gentle:
        rounding = 4.0 * eps * float(np.maximum(np.abs(least), np.abs(most)).max()) / epsilon
        goal = min(tolerance, max(tolerance * spread, rounding))
    with on_mesh() if isinstance(costs, PointCosts) and not traced else nullcontext():
        f, g, iterations = _iterate(
            fixed,
            log_a,
            log_b,
            scalar,
            g,
            jnp.asarray(goal, dtype),
            jnp.int32(max_iterations),
            first,
            rate,
            gentle,
            anneal is not None,
        )
        error = _error(fixed, log_a, log_b, f, g, scalar)
    f, g, iterations, error = on_one_device((f, g, iterations, error))
    tell("sinkhorn", error, iterations, tolerance, max_iterations)
    alone, met = (jnp.full(n, low, dtype), jnp.zeros(m, dtype)), error <= tolerance
    return Transport(costs, log_a, log_b, f, g, alone, scalar, error, iterations, met)


def tell(name: str, error: Scalar, iterations: Array, tolerance: float, most: int) -> None:
    """Warn of what has not converged, unless it is traced."""
    if isinstance(error, jax.core.Tracer) or bool(error <= tolerance):
        return
    advice = (
        "Raise max_iterations or tolerance, take a larger epsilon (a longer reference), or anneal."
    )
    if int(iterations) < most:
        wider = "" if error.dtype == jnp.float64 else ", or take 64-bit floats (JAX_ENABLE_X64=1)"
        advice = f"That is rounding of {error.dtype}: raise tolerance{wider}."
    warn(
        f"{name}: the marginals are off by {float(error):.2g} in L¹ after {int(iterations)} "
        f"iterations; the tolerance is {tolerance:.2g}. {advice}"
    )


def transport(
    reference: Noising,
    x0: Values,
    x1: Values,
    a: Values | None = None,
    b: Values | None = None,
    *,
    matrix: bool | None = None,
    **kwargs: Any,
) -> Transport:
    """The static Schrödinger bridge of weighted points: ``sinkhorn`` with

        C(x, y) = −log p_S(y | x),   ε = 1,

    p_S the transition of ``reference`` over its whole clock, on any manifold: exact, on spheres and
    SO(3) a table of the exact one, within 5e-6·max(1, |C|) of it (1e-9 in float64;
    ``heat.tabulated_kernel``). Up to terms in y alone, C = |x − y|²/2S for Brownian motion on flat
    space.

    **Arguments:** ``x0``, ``x1``: points, shape ``(n, …)`` and ``(m, …)``; ``matrix``: whether the
    costs are kept as one (default: up to 2²⁸ of them), or computed anew in each iteration, in a
    memory that grows like n + m and in shares on a mesh (``use_mesh``); the rest as for
    ``sinkhorn`` (without ``epsilon``).
    **Raises:** ``ValueError`` for a reference whose transition is not closed form.
    """
    if not reference.exact:
        raise ValueError(
            "reference: its transition density is not known in closed form; use Brownian motion "
            "(brownian_reference) or OrnsteinUhlenbeck."
        )
    shape = reference.manifold.shape
    ends = [check_points(reference.manifold, x, k) for k, x in (("x0", x0), ("x1", x1))]
    first, last = (x.reshape(-1, *shape) for x in ends)
    last = last.astype(first.dtype)
    traced = isinstance(first, jax.core.Tracer) or isinstance(last, jax.core.Tracer)
    units = None if traced else BridgeUnits.of(reference, first, last)
    if matrix is None:
        matrix = len(first) * len(last) <= _ROW_BY_ROW
    if units is None:
        return sinkhorn(_costs(reference, first, last, matrix), a, b, epsilon=1.0, **kwargs)
    units = BridgeUnits(1.0, units.start, units.end)
    y0 = units.enter(reference, x0, 0.0, "x0").reshape(-1, *shape)
    y1 = units.enter(reference, x1, reference.schedule.total, "x1").reshape(-1, *shape)
    costs = _costs(units.inside(reference), y0, y1.astype(y0.dtype), matrix)
    plan = sinkhorn(costs, a, b, epsilon=1.0, **kwargs)
    return eqx.tree_at(lambda p: p.alone, plan, units.alone(reference, y0, y1.astype(y0.dtype)))


def sinkhorn_divergence(
    costs: Values,
    costs_xx: Values,
    costs_yy: Values,
    a: Values | None = None,
    b: Values | None = None,
    **kwargs: Any,
) -> Scalar:
    """OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b) with OT_ε the ``value`` of ``sinkhorn``: ≥ 0, and 0
    only for equal laws where e^{−C/ε} is a positive kernel.

    **Arguments:** costs between x and y, among x and among y; the rest as for ``sinkhorn``.
    Source: Feydy et al. 2019.
    """
    cross = sinkhorn(costs, a, b, **kwargs).value
    own_x = sinkhorn(costs_xx, a, a, **kwargs).value
    own_y = sinkhorn(costs_yy, b, b, **kwargs).value
    return cross - 0.5 * (own_x + own_y)


def log_weights(name: str, weights: Values | None, n: int, dtype: DTypeLike) -> Array:
    """log of weights divided by their sum; equal ones for None."""
    if weights is None:
        return jnp.full((n,), -math.log(n), dtype)
    if not is_traced(weights):
        # Of any size: what they are divided by is added up in 64 bits.
        weights = np.asarray(weights, np.float64)
        most = np.max(weights, initial=0.0)
        weights = weights / most if 0.0 < most < math.inf else weights
    array = jnp.asarray(weights, dtype)
    if array.shape != (n,):
        raise ValueError(f"{name}: shape must be ({n},), got {array.shape}.")
    if not isinstance(array, jax.core.Tracer):
        values = np.asarray(array)
        bad = np.flatnonzero(~((values >= 0) & np.isfinite(values)))
        if bad.size or not values.sum() > 0:
            raise ValueError(
                f"{name}: weights must be finite, ≥ 0 and not all 0; rows {bad[:10].tolist()}."
            )
    return jnp.log(array) - jnp.log(jnp.sum(array))


def _costs(reference: Noising, x0: Array, x1: Array, matrix: bool) -> Costs:
    if matrix:
        return transition_costs(reference, x0, x1)
    return PointCosts(end_transition(reference, x0.dtype), reference.schedule.total, x0, x1)


@eqx.filter_jit
def transition_costs(reference: Noising, x0: Array, x1: Array) -> Array:
    """−log p_S(y_j | x_i), shape (n, m)."""
    total, transition = reference.schedule.total, end_transition(reference, x0.dtype)
    each = jax.vmap(lambda x: jax.vmap(lambda y: -transition.log_prob(y, x, total))(x1))
    return each(x0)


@eqx.filter_jit
def _iterate(
    costs: Costs,
    log_a: Array,
    log_b: Array,
    epsilon: Scalar,
    g: Array,
    tolerance: Scalar,
    max_iterations: Array,
    first: Scalar,
    rate: Scalar,
    gentle: bool,
    annealed: bool,
) -> tuple[Array, Array, Array]:
    """A pair (f, g) with f the exact answer to g. Its columns have the marginal
    b_j e^{(g_j − g'_j)/ε}, g' the answer to f: the first pair that is good enough is kept.
    ``gentle``: the costs are small beside ε."""
    goal = 0.9 * tolerance  # the rest is for rounding in the error that is reported
    matrix = costs if isinstance(costs, Array) and costs.size > _IN_LOG_SPACE else None
    if matrix is not None and not (gentle or annealed):
        return scaled_iterations(matrix, log_a, log_b, epsilon, g, goal, max_iterations)

    def at(k):
        return jnp.maximum(epsilon, first * rate ** k.astype(costs.dtype))

    def rows(g, e):
        return -e * mean_of_rows(costs, log_b, g, e, gentle)

    def columns(f, e):
        return -e * mean_of_columns(costs, log_a, f, e, gentle)

    def going(state):
        _, _, path, k = state
        return ~(path.error <= goal) & (k < max_iterations)

    def body(state):
        f, g, path, k = state
        e = at(k)
        new = columns(f, e)
        # Rows are right, so that the error of the pair (f, g) is that of its columns.
        ratio = jnp.where(jnp.isneginf(log_b), 0.0, (g - new) / e)
        error = jnp.sum(jnp.exp(log_b) * jnp.abs(jnp.expm1(ratio)))
        ready = (e <= epsilon) & (at(jnp.maximum(k - 1, 0)) <= epsilon)
        error = jnp.where(ready, error, jnp.inf)
        good = error <= goal
        ahead, path = path.onward(new, error)
        # While ε falls each answer is to another question.
        ahead, path = (
            jnp.where(ready, ahead, new),
            path._replace(step=jnp.where(ready, path.step, 0)),
        )
        f, g = jnp.where(good, f, rows(ahead, e)), jnp.where(good, g, ahead)
        return f, g, path, k + 1

    start = (rows(g, at(jnp.zeros((), jnp.int32))), g, begun(g), jnp.zeros((), jnp.int32))
    if matrix is not None and not gentle:
        # What anneals is in log space, the rest is products.
        def cooling(state):
            return (at(state[3]) > epsilon) & (state[3] < max_iterations)

        _, g, _, k = jax.lax.while_loop(cooling, body, start)
        f, g, more = scaled_iterations(matrix, log_a, log_b, epsilon, g, goal, max_iterations - k)
        return f, g, k + more
    f, g, _, k = jax.lax.while_loop(going, body, start)
    return f, g, k


@eqx.filter_jit
def _error(costs: Costs, log_a: Array, log_b: Array, f: Array, g: Array, epsilon: Scalar) -> Scalar:
    if isinstance(costs, PointCosts):
        row = log_a + f / epsilon + mean_of_rows(costs, log_b, g, epsilon, False)
        column = log_b + g / epsilon + mean_of_columns(costs, log_a, f, epsilon, False)
        apart = lambda found, asked: jnp.sum(jnp.abs(jnp.exp(found) - jnp.exp(asked)))  # noqa: E731
        return apart(row, log_a) + apart(column, log_b)
    plan = jnp.exp(log_a[:, None] + log_b[None, :] + (f[:, None] + g[None, :] - costs) / epsilon)
    row = jnp.sum(jnp.abs(jnp.sum(plan, axis=1) - jnp.exp(log_a)))
    return row + jnp.sum(jnp.abs(jnp.sum(plan, axis=0) - jnp.exp(log_b)))
