"""What the paths and the flow of a bridge cost, and how far a bridge is from the exact one."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar, Values
from scorefold.bridges import Bridge
from scorefold.metrics._draws import generator, points_of
from scorefold.metrics.wasserstein import transport_distance


class PathEnergy(NamedTuple):
    """``value`` ± ``standard_error``, in nats, over ``n`` starting points."""

    value: float
    standard_error: float
    n: int


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


def path_energy(bridge: Bridge, x0: Values, *, key: Key, steps: int = 100) -> PathEnergy:
    """E ∫₀^S ½|∇ log ψ_s(X_s)|² ds over paths of the bridge from the points ``x0``, in nats: by
    Girsanov's theorem the KL divergence from the reference process started at the same points.
    With a constant clock β, E ∫₀¹ |u_t|² dt of the drift u = β∇ log ψ is 2β times it.

    Left sums over simulated paths at the levels ``bridge.grid(steps)``: biased by O(1/steps).
    """
    return _path_energy(bridge, None, x0, key, steps)


def bridge_divergence(
    exact: Bridge, learned: Bridge, x0: Values, *, key: Key, steps: int = 100
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
    return _path_energy(exact, learned, x0, key, steps)


def flow_energy(
    bridge: Bridge, a: Values, b: Values, *, key: Key, steps: int = 100, at_most: int = 500
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
    rows = points_of(bridge.manifold, a=a, b=b)
    n = min(*map(len, rows), at_most)
    rng = generator(key)
    start, end = (x[rng.permutation(len(x))[:n]] for x in rows)
    square = transport_distance(bridge.manifold, start, end, 2) ** 2
    return FlowEnergy(float(totals.mean()), _error(totals), float(square), n)


def _path_energy(
    bridge: Bridge, other: Bridge | None, x0: Values, key: Key, steps: int
) -> PathEnergy:
    paths = bridge.sample_forward(key, x0, steps=steps, paths=True)
    grid = bridge.grid(steps, paths.dtype)
    each = np.asarray(_energies(bridge, other, paths, grid), np.float64)
    return PathEnergy(float(each.mean()), _error(each), len(each))


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


@eqx.filter_jit
def _energies(bridge: Bridge, other: Bridge | None, paths: Array, grid: Array) -> Array:
    """∫ ½|∇ log ψ − ∇ log ψ̂|² ds along each path of a bridge, shape (n,), ψ̂ of the ``other``
    bridge or, without one, constant."""
    manifold = bridge.manifold

    def one(path: Array) -> Scalar:
        def step(total: Scalar, inputs: tuple[Point, Scalar, Scalar]) -> tuple[Scalar, None]:
            x, s, ds = inputs
            u = bridge.forward(x, s)
            u = u if other is None else u - other.forward(x, s)
            return total + 0.5 * ds * manifold.inner(x, u, u), None

        start = jnp.zeros((), grid.dtype)
        return jax.lax.scan(step, start, (path[:-1], grid[:-1], jnp.diff(grid)))[0]

    return jax.lax.map(one, paths, batch_size=64)


@eqx.filter_jit
def _flow(bridge: Bridge, paths: Array, levels: Array) -> Array:
    """|v|² per unit of process time, shape (n, levels)."""
    m, clock = bridge.manifold, bridge.reference.schedule

    def one(x: Point, s: Scalar) -> Scalar:
        half = 0.5 * (bridge.forward(x, s) - bridge.backward(x, s))
        v = clock.beta(clock.t(s)) * (bridge.reference.drift(x) + half)
        return m.inner(x, v, v)

    return jax.lax.map(lambda path: jax.vmap(one)(path, levels), paths, batch_size=64)
