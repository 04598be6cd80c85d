"""What the flow of a bridge costs against the least, and how far a bridge is from the exact one."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.bridges import Bridge
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._draws import generator
from scorefold.metrics.bridge import PathEnergy
from scorefold.metrics.wasserstein import transport_distance

__all__ = ["FlowEnergy", "bridge_divergence", "flow_energy"]


class FlowEnergy(NamedTuple):
    """``value`` ± ``standard_error``: ∫₀¹ E|v_t|² dt in squared units of length; ``transport``:
    W₂² between ``n`` points of each end."""

    value: float
    standard_error: float
    transport: float
    n: int

    @property
    def ratio(self) -> float:
        """Energy over W₂²: 1 for optimal transport, above 1 for a bridge with noise, whose flow
        first contracts and then spreads; W₂² of n points is itself too large by what n points of
        one law are apart."""
        return self.value / self.transport if self.transport else math.inf


def flow_energy(
    bridge: Bridge, a: Any, b: Any, *, key: Key, steps: int = 100, at_most: int = 500
) -> FlowEnergy:
    """∫₀¹ E|v_t(X_t)|² dt of the probability flow v, X_t the bridge from points ``a``, and W₂²
    between ``a`` and ``b`` (points of the two ends), which no flow from A to B can undercut
    (Benamou & Brenier 2000).

    Trapezoid rule over the levels ``bridge.grid(steps)`` but the two ends, where a flow that is
    learned or started at points is unbounded; the outer half steps take their neighbours' value.
    """
    paths = bridge.sample_forward(key, a, steps=steps, paths=True)
    grid = bridge.grid(steps, paths.dtype)
    each = np.asarray(_flow(bridge, paths[:, 1:-1], grid[1:-1]), np.float64)
    t = np.asarray(jax.vmap(bridge.reference.schedule.t)(grid), np.float64)
    inner = t[1:-1]
    edges = np.concatenate([[0.0], 0.5 * (inner[1:] + inner[:-1]), [1.0]])
    totals = each @ np.diff(edges)
    rows = [rows_of(bridge.manifold, name, x) for name, x in (("a", a), ("b", b))]
    n = min(*(len(x) for x in rows), at_most)
    rng = generator(key)
    some = [x[rng.permutation(len(x))[:n]] for x in rows]
    square = transport_distance(bridge.manifold, some[0], some[1], 2) ** 2
    return FlowEnergy(float(totals.mean()), _error(totals), float(square), n)


def bridge_divergence(
    exact: Bridge, learned: Bridge, x0: Any, *, key: Key, steps: int = 100
) -> PathEnergy:
    """KL(exact | learned) in nats of the two processes started at the points ``x0``,

        E_exact ∫₀^S ½|∇ log ψ_s − ∇ log ψ̂_s|²(X_s) ds   (Girsanov),

    by left sums over paths of the exact bridge at its levels ``grid(steps)``.

    **Raises:** ``ValueError`` for bridges of different manifolds or lengths.
    """
    if exact.manifold.name != learned.manifold.name or not math.isclose(
        exact.total, learned.total, rel_tol=1e-6
    ):
        raise ValueError(
            f"learned: is on {learned.manifold.name} for a variance-time {learned.total:g}, the "
            f"exact bridge on {exact.manifold.name} for {exact.total:g}; compare bridges of one "
            "reference process."
        )
    paths = exact.sample_forward(key, x0, steps=steps, paths=True)
    grid = exact.grid(steps, paths.dtype)
    each = np.asarray(_apart(exact, learned, paths, grid), np.float64)
    return PathEnergy(float(each.mean()), _error(each), len(each))


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


@eqx.filter_jit
def _flow(bridge: Bridge, paths: Array, levels: Array) -> Array:
    """|v|² per unit of process time, shape (n, levels)."""
    m, clock = bridge.manifold, bridge.reference.schedule

    def one(x: Point, s: Scalar) -> Scalar:
        half = 0.5 * (bridge.forward(x, s) - bridge.backward(x, s))
        v = clock.beta(clock.t(s)) * (bridge.reference.drift(x) + half)
        return m.inner(x, v, v)

    return jax.lax.map(lambda path: jax.vmap(one)(path, levels), paths, batch_size=64)


@eqx.filter_jit
def _apart(exact: Bridge, learned: Bridge, paths: Array, grid: Array) -> Array:
    m = exact.manifold

    def one(path: Array) -> Scalar:
        def step(total: Scalar, inputs: tuple[Point, Scalar, Scalar]) -> tuple[Scalar, None]:
            x, s, ds = inputs
            gap = exact.forward(x, s) - learned.forward(x, s)
            return total + 0.5 * ds * m.inner(x, gap, gap), None

        start = jnp.zeros((), grid.dtype)
        return jax.lax.scan(step, start, (path[:-1], grid[:-1], jnp.diff(grid)))[0]

    return jax.lax.map(one, paths, batch_size=64)
