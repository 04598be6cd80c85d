"""The Schrödinger bridge through many snapshots with a Markov reference: bridges end to end."""

import math
from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._hash import structural_hash
from scorefold._types import Key, NumPyOrJax, Values
from scorefold.bridges._base import Bridge
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.reference.integrated import check_times, snapshot_time
from scorefold.manifolds import Manifold, check_points
from scorefold.samplers._check import fail_at_rows


class MultiMarginalBridge(eqx.Module):
    """The path law nearest to a Markov process R among those with law μ_k at each time t_k,
    k = 0, …, K: the bridges of consecutive snapshots, one after the other, since

        KL(P | R) = Σ_k KL(P_{[t_k, t_{k+1}]} | R_{[t_k, t_{k+1}]}) − Σ_{0<k<K} KL(μ_k | R_{t_k})
                    + KL(P | its Markov gluing at the t_k),

    where the second sum is given, the last term is 0 for a gluing, and each term of the first sum
    is least for the bridge of μ_k and μ_{k+1}. Times are in the unit of the snapshots everywhere:
    a drift is a velocity per that unit, the k-th bridge lasts from t_k to t_{k+1}.

    Paths are continuous: a path arrives at t_{k+1} by one bridge and goes on from where it is by
    the next. The law at a time is that of the interval it lies in, started from its own snapshot,
    so that errors of one interval do not reach the next.

    **Arguments:** ``times``: t_0 < … < t_K; ``bridges``: K of them, on one manifold; ``starts``:
    K arrays of points, the first snapshot of each interval, which ``sample_at`` starts from;
    ``mass``: K + 1 numbers of members, where they are known. Laws are those of the members that
    are seen: nothing is said of the others, and ``mass`` says how many there were.
    **Raises:** ``ValueError`` for numbers that do not fit each other.

    Source: Chen, Conforti, Georgiou & Ripani 2019 (multi-marginal Schrödinger bridges);
    Lavenant et al. 2024, "Toward a mathematical theory of trajectory inference".
    """

    bridges: tuple[Bridge, ...]
    times: tuple[float, ...]
    mass: tuple[int, ...] | None
    starts: tuple[np.ndarray | Array, ...] = fixed()

    def __hash__(self) -> int:
        return structural_hash(self)

    def __init__(
        self,
        times: Values,
        bridges: Sequence[Bridge],
        starts: Sequence[Values],
        mass: Sequence[int] | None = None,
    ) -> None:
        self.times = tuple(check_times(times).tolist())
        self.bridges = tuple(bridges)
        count = len(self.times) - 1
        if len(self.bridges) != count or len(starts) != count:
            raise ValueError(
                f"bridges, starts: {count + 1} times need {count} of each, got "
                f"{len(self.bridges)} and {len(starts)}."
            )
        names = sorted({bridge.manifold.name for bridge in self.bridges})
        if len(names) > 1:
            raise ValueError(f"bridges: must be on one manifold, got {', '.join(names)}.")
        if mass is not None and len(mass) != count + 1:
            raise ValueError(f"mass: needs {count + 1} numbers, got {len(mass)}.")
        self.mass = None if mass is None else tuple(int(m) for m in mass)
        self.starts = tuple(
            exact_rows(self.manifold, rows, f"starts[{k}]") for k, rows in enumerate(starts)
        )

    @property
    def manifold(self) -> Manifold:
        return self.bridges[0].manifold

    # -- at one time -----------------------------------------------------------------------------
    def drift(self, t: float, x: Values) -> Array:
        """The drift at time t and points x, per unit of time: tangent vectors of the shape of
        ``x``. At a snapshot it is that of the interval that begins there.

        **Raises:** ``ValueError`` for t outside [t_0, t_K].
        """
        k, part, gap = self._interval(t, "right")
        value = self.bridges[k].drift(part, x)
        return value / jnp.asarray(gap, value.dtype)

    def log_prob(self, t: float, x: Values) -> Array:
        """log p_t(x) in nats by the bridge of the interval, where it has a density (that of a
        ``LightBridge`` starts from blurred points). At a snapshot it is that of the interval which
        ends there.

        **Raises:** ``ValueError`` for t outside [t_0, t_K], ``TypeError`` for bridges without one.
        """
        k, part, _ = self._interval(t, "left")
        bridge = self.bridges[k]
        if not hasattr(bridge, "log_prob"):
            raise TypeError(
                f"bridges[{k}]: a {type(bridge).__name__} has no log_prob; a LightBridge has one."
            )
        return bridge.log_prob(part, x)

    def sample_at(self, key: Key, t: float, n: int, *, steps: int = 60) -> Array:
        """n draws of the law at time t, shape ``(n, *shape)``: the bridge of the interval, started
        at points of its first snapshot. Each point of it is used ⌊n/m⌋ or ⌈n/m⌉ times. At t_0 the
        draws are points of the snapshot; at the other ones, where the interval before arrives.

        **Raises:** ``ValueError`` for t outside [t_0, t_K] and n < 1.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}.")
        k, part, _ = self._interval(t, "left")
        pick, walk = jax.random.split(key)
        rows = self.starts[k]
        order = jax.random.permutation(pick, len(rows))
        start = rows[np.tile(np.asarray(order), -(-n // len(rows)))[:n]]
        if part == 0.0:
            return jnp.asarray(start)
        bridge = self.bridges[k]
        level = bridge.level(part)
        # As many levels whatever t is, so that every t uses one compiled program.
        inner, _ = bridge.enter(start, 0.0, "starts")
        grid = bridge.inner.grid(steps, inner.dtype)
        s = jnp.asarray(bridge.inner_level(level), inner.dtype)
        grid = (grid * (s / grid[-1])).at[-1].set(s)
        end = bridge.inner.walks("forward", jax.random.split(walk, n), inner, grid, False)
        return jnp.asarray(bridge.leave(_finite(end), level), inner.dtype)

    # -- paths -----------------------------------------------------------------------------------
    def sample_paths(
        self, key: Key, x0: Values, at: Values, *, start: float | None = None, steps: int = 60
    ) -> Array:
        """Paths that are at ``x0`` at the snapshot time ``start`` (default t_0): their states at
        the times ``at``, shape ``(n, len(at), *shape)``. Later times are walked to forwards, and
        earlier ones backwards, through all intervals; given the state at ``start`` the two halves
        are independent. The state at ``start`` is x0.

        **Arguments:** ``x0``: shape ``(n, *shape)``; ``steps``: of the walk through an interval,
        besides the times asked for.
        **Raises:** ``ValueError`` for times outside [t_0, t_K], which a bridge says nothing about,
        and a ``start`` that is no snapshot time.
        """
        points = check_points(self.manifold, x0, "x0")
        rows = points.reshape(-1, *self.manifold.shape)
        first = snapshot_time(self.times, start)
        wanted = np.asarray(at, np.float64).tolist()
        for t in wanted:
            self._interval(t, "left")
        found: dict[float, NumPyOrJax] = {first: rows}
        whole = x0 if isinstance(x0, np.ndarray) and x0.ndim == rows.ndim else rows
        for salt, ahead in enumerate((True, False)):
            times = {t for t in wanted if (t > first if ahead else t < first)}
            found |= self._sweep(jax.random.fold_in(key, salt), whole, first, times, ahead, steps)
        return jnp.stack([jnp.asarray(found[t], rows.dtype) for t in wanted], axis=1)

    def _sweep(
        self, key: Key, rows: Values, first: float, times: set[float], ahead: bool, steps: int
    ) -> dict[float, NumPyOrJax]:
        """The states at ``times``, all of them on one side of ``first``. From one interval to the
        next they are handed on in float64 where bridges have inner coordinates."""
        found: dict[float, NumPyOrJax] = {}
        at, k = self.times.index(first), 0
        while times - found.keys():
            k = at if ahead else at - 1
            low, high = self.times[k], self.times[k + 1]
            end = high if ahead else low
            inside = [*sorted(t for t in times if low < t < high), end]
            bridge = self.bridges[k]
            inner, _ = bridge.enter(rows, 0.0 if ahead else bridge.total, "x0")
            parts = [bridge.level((t - low) / (high - low)) for t in inside[:-1]]
            levels = np.asarray(bridge.inner_level(np.asarray(parts, np.float64)), inner.dtype)
            # In one dtype, so that equal levels are one: no step has length 0.
            grid = np.union1d(np.asarray(bridge.inner.grid(steps, inner.dtype)), levels)
            if not ahead:
                grid = grid[::-1]
            keys = jax.random.split(jax.random.fold_in(key, k), len(inner))
            direction = "forward" if ahead else "backward"
            drawn = bridge.inner.walks(direction, keys, inner, jnp.asarray(grid), True)
            path = bridge.leave(_finite(drawn), bridge.data_levels(grid))
            for t, s in zip(inside, levels, strict=False):
                found[t] = path[:, int(np.argmin(np.abs(grid - s)))]
            found[end] = rows = path[:, -1]
            at += 1 if ahead else -1
        return found

    # -- inside ----------------------------------------------------------------------------------
    def _interval(self, t: float, side: Literal["left", "right"]) -> tuple[int, float, float]:
        """Which interval t lies in (at a snapshot, that to the ``side``'s neighbour), the part of
        it that is over, and its length."""
        low, high = self.times[0], self.times[-1]
        if not (math.isfinite(t) and low <= t <= high):
            raise ValueError(
                f"t: {t:g} is outside the snapshots, {low:g} to {high:g}: a bridge knows nothing "
                "of what comes before the first or after the last."
            )
        k = int(np.searchsorted(self.times, t, side=side)) - 1
        k = min(max(k, 0), len(self.bridges) - 1)
        gap = self.times[k + 1] - self.times[k]
        return k, (t - self.times[k]) / gap, gap


def _finite(states: Array) -> Array:
    fail_at_rows("samples", ~jnp.isfinite(states), "not finite", "The drift of a bridge diverged.")
    return states
