"""Paths through snapshots whose reference is kinetic: matched by the bending of their splines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, NumPyOrJax, Values
from scorefold.bridges.exact.transport import sinkhorn
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.reference.integrated import (
    check_times,
    pinned_moments,
    snapshot_time,
)
from scorefold.bridges.snapshots.spline_matching import (
    heat_matching,
    joined,
    joined_energies,
    least_epsilon,
    match,
    moved_energies,
    total_energies,
)
from scorefold.bridges.snapshots.splines import SplineClock, spline_at, spline_velocities
from scorefold.manifolds import Manifold, check_points


class SplinePaths(eqx.Module):
    """n paths, each through one point of every snapshot, with the reference

        dx = v dt,   dv = √ε dW,   velocities free.

    ``knots``, shape (n, K + 1, *shape): path i passes knots[i, k] at ``times[k]``. Given its knots
    a path is the natural cubic spline plus ε-noise of known covariance that vanishes at the knots
    (``pinned_moments``), exact on flat space. On a manifold it is the C¹ curve of ``spline_at``
    with the noise laid off in parallel frames by the exponential map, right to first order in √ε.

    ``mass``: how many points each snapshot had; ``lost``: max(mass_k − mass_{k+1}, 0) for each
    interval; ``used``: n, the number drawn from each. ``energy``, shape (n,): ∫|x″|² of each.

    A spline moves with its knots: where flat coordinates lie far from 0 beside their spread, paths
    are kept as ``rest`` around an ``origin`` in float64.
    """

    manifold: Manifold
    times: tuple[float, ...] = eqx.field(static=True)
    rest: Array
    epsilon: float
    energy: Array
    mass: tuple[int, ...] = eqx.field(static=True)
    origin: np.ndarray | Array | None = fixed(default=None)

    @property
    def knots(self) -> NumPyOrJax:
        return self._out(self.rest)

    def _out(self, rest: Array) -> NumPyOrJax:
        if self.origin is None:
            return rest
        return np.asarray(rest, np.float64) + np.asarray(self.origin)

    @property
    def _clock(self) -> SplineClock:
        """Times since t_0: years and seconds since 1970 keep their digits."""
        return _clock(self.times, self.rest.dtype)

    def _since(self, at: Values) -> np.ndarray:
        """Times since t_0."""
        wanted = np.atleast_1d(np.asarray(at, np.float64))
        if not np.isfinite(wanted).all():
            raise ValueError(f"at: times must be finite, got {wanted}.")
        return wanted - self.times[0]

    def _check_inside(self, at: Values) -> None:
        for t in np.atleast_1d(np.asarray(at, np.float64)):
            if not self.times[0] <= t <= self.times[-1]:
                raise ValueError(f"t: {t:g} is outside the snapshots, {self.times[0]:g} to "
                                 f"{self.times[-1]:g}; sample goes on beyond.")  # fmt: skip

    @property
    def used(self) -> int:
        return self.rest.shape[0]

    @property
    def lost(self) -> tuple[int, ...]:
        return tuple(max(a - b, 0) for a, b in zip(self.mass[:-1], self.mass[1:], strict=True))

    def curves(self, at: Values) -> NumPyOrJax:
        """All paths without noise at the m times ``at``, shape (n, m, *shape); outside the knots
        they go straight on."""
        since = jnp.asarray(self._since(at), self.rest.dtype)
        return self._out(_curves(self.manifold, self._clock, self.rest, since))

    def sample(self, key: Key, at: Values) -> NumPyOrJax:
        """All paths with their noise at the m times ``at``, shape (n, m, *shape), which may lie
        outside the knots."""
        return self._out(self._drawn(self.rest, key, at))

    def _drawn(self, rest: Array, key: Key, at: Values) -> Array:
        """Paths through these knots with their noise. Numbers of paths are filled up to powers of
        two, so that few programs are compiled."""
        since = self._since(at)
        _, cov = pinned_moments(np.subtract(self.times, self.times[0]), since)
        values, vectors = np.linalg.eigh(self.epsilon * cov)
        factor = jnp.asarray(vectors * np.sqrt(np.maximum(values, 0.0))[None, :], rest.dtype)
        when = jnp.asarray(since, factor.dtype)
        drawn = _noisy(self.manifold, self._clock, _filled(rest), when, factor, key)
        return drawn[: len(rest)]

    def sample_at(self, key: Key, t: float, n: int) -> NumPyOrJax:
        """n draws of x(t), shape (n, *shape): paths drawn evenly, then their noise.

        **Raises:** ``ValueError`` for t outside [t_0, t_K] and n < 1.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}.")
        self._check_inside(t)
        pick, noise = jax.random.split(key)
        rows = _spread(pick, self.used, n)
        return self._out(self._drawn(self.rest[rows], noise, [t])[:, 0])

    def log_prob(self, t: float, x: Values) -> Array:
        """The density of x(t) in nats, with respect to Riemannian volume, at points ``x`` of shape
        ``(n, *shape)``, or at one; shape ``(n,)`` or ``()``:

            log 1/n Σ_i N(v_i; 0, ε V(t) 1) e^{−log |det d(exp_{x_i(t)})_{v_i}|},
            v_i = log_{x_i(t)}(x),

        x_i(t) the splines, V of ``pinned_moments``: what ``sample_at`` draws from, exact on flat
        space and, where the noise is narrow beside the distance of the cut locus (beyond which it
        is cut off), on every manifold.

        **Raises:** ``ValueError`` for t outside [t_0, t_K], at a knot, and where there is no noise:
        the law is then of single points, and has no density.
        """
        self._check_inside(t)
        _, cov = pinned_moments(np.subtract(self.times, self.times[0]), self._since(t))
        variance = self.epsilon * float(cov[0, 0])
        moved: Values = x
        if self.origin is not None:
            moved = np.asarray(x, np.float64) - np.asarray(self.origin)
        points = check_points(self.manifold, jnp.asarray(moved, self.rest.dtype), "x")
        middle = _curves(
            self.manifold, self._clock, self.rest, jnp.asarray(self._since(t), self.rest.dtype)
        )[:, 0]
        reach = float(jnp.abs(middle).max())
        if not variance > (8.0 * float(jnp.finfo(middle.dtype).eps) * (1.0 + reach)) ** 2:
            raise ValueError(
                f"t: at {t:g} the law is of {self.used} points and has no density: paths pass "
                "their knots, and splines without noise have none anywhere (noise=True, epsilon)."
            )
        rows = points.reshape(-1, *self.manifold.shape)
        found = _densities(self.manifold, middle, rows, jnp.asarray(variance, rows.dtype))
        return found[0] if points.ndim == len(self.manifold.shape) else found

    def sample_paths(
        self, key: Key, x0: Values, at: Values, *, start: float | None = None
    ) -> NumPyOrJax:
        """Paths that are at ``x0`` at the snapshot time t_k = ``start`` (default t_0): their states
        at the times ``at``, shape ``(q, len(at), *shape)``. Each is one of the n paths, moved to
        pass x at t_k, with its noise: path j is taken with

            P(j | x) ∝ e^{g_j − E_j(x)/2ε},

        E_j(x) the energy of path j through x, g the potential that gives all paths the same share
        of the n points of the snapshot (within 5 %); ε here is 5·10⁻⁵ of the range of E or more.

        **Raises:** ``ValueError`` for times outside [t_0, t_K] and a ``start`` that is none.
        """
        self._check_inside(at)
        k = self.times.index(snapshot_time(self.times, start))
        moved: Values = x0
        if self.origin is not None:
            moved = np.asarray(x0, np.float64) - np.asarray(self.origin)
        rows = check_points(self.manifold, jnp.asarray(moved, self.rest.dtype), "x0")
        pick, noise = jax.random.split(key)
        place = jnp.asarray(k)
        new = moved_energies(self.manifold, self._clock, self.rest, _filled(rows), place)
        known = moved_energies(self.manifold, self._clock, self.rest, self.rest[:, k], place)
        scale = max(2.0 * self.epsilon, least_epsilon(known))
        plan = sinkhorn(known, epsilon=scale, tolerance=5e-2, max_iterations=10_000, anneal=0.8)
        chosen = jax.random.categorical(pick, (plan.g[None, :] - new) / scale, axis=-1)
        knots = self.rest[chosen[: len(rows)]].at[:, k].set(rows)
        return self._out(self._drawn(knots, noise, at))

    def continue_from(self, key: Key, history: Values) -> SplinePaths:
        """Paths that start with a given history: for each the rest of one of the n paths, drawn
        from the static bridge between beginnings and ends of the paths,

            P(j | history) ∝ e^{g_j − E(history, end_j)/2ε},

        E the energy of the joined path and g the potential that ``sinkhorn`` finds for the n
        beginnings and n ends.

        **Arguments:** ``history``: the first 1 ≤ m ≤ K knots, shape (q, m, *shape).
        """
        if self.origin is not None:
            history = np.asarray(history, np.float64) - np.asarray(self.origin)
        history = jnp.asarray(history, self.rest.dtype)
        m = history.shape[1]
        if not 1 <= m < len(self.times):
            raise ValueError(f"history: has {m} knots, must have 1 to {len(self.times) - 1}.")
        for k in range(m):
            check_points(self.manifold, history[:, k], f"history[:, {k}]")
        known = joined_energies(self.manifold, self._clock, self.rest[:, :m], self.rest[:, m:])
        scale = 1.0 / (2.0 * self.epsilon)
        plan = sinkhorn(known * scale, anneal=0.8)
        new = joined_energies(self.manifold, self._clock, history, self.rest[:, m:])
        ends = jax.random.categorical(key, plan.g[None, :] - new * scale, axis=-1)
        knots = jnp.concatenate([history, self.rest[ends, m:]], axis=1)
        energy = total_energies(self.manifold, self._clock, knots)
        return dataclasses.replace(self, rest=knots, energy=energy)


def spline_paths(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    epsilon: float | None = None,
    *,
    key: Key,
    n: int | None = None,
    weights: Sequence[Values | None] | None = None,
    sweeps: int = 0,
) -> SplinePaths:
    """Schrödinger's particles with a kinetic reference: n of them, known only by the snapshots.
    Given the snapshots, who was where is random, with

        P(matching) ∝ exp(−Σ_i E_i/2ε),   E_i = ∫|x_i″|² of the spline of path i,

    over the (n!)^K ways to join the points to n paths. The most likely matching is sought by exact
    assignment, one snapshot against all the rest and all beginnings against all ends in turn,
    until nothing improves: the energy only falls, to a local minimum. Then ``sweeps`` sweeps of
    Metropolis swaps of points and of whole ends draw from P; 0 keeps the minimum, the noiseless
    limit. As n → ∞ the law of a path tends to the multi-marginal Schrödinger bridge.

    A snapshot that holds members of no path is told by ``weights``; where only sizes are known,
    ``n`` members of each are drawn, and ``mass`` and ``lost`` keep what the snapshots had.

    **Arguments:** ``times``: t_0 < … < t_K; ``points``: K + 1 arrays of shape (n_k, *shape);
    ``epsilon``: ε > 0, variance of velocity per unit of time (default: the mean of E_i/(K − 1)d
    over the paths of least bending, the likelihood's choice were these the true ones, so rather
    too small: it says how far paths may leave their splines between knots); ``n``: paths, at most
    the smallest n_k: that many points are drawn from each snapshot without replacement, needed
    where sizes differ; ``weights``: for each snapshot the relative chance of its members to be
    drawn, or None (``Snapshots.survivors``: 1 for those that are still there later, 0 else).

    Time: n³ for an assignment and n²K for its costs, a dozen times: 300 storms with 5 snapshots
    take 10 s of processor time, 500 with 6 take 34.

    **Raises:** ``ValueError`` for snapshots of different size without ``n``, and bad weights.
    """
    t = tuple(check_times(times).tolist())
    if len(points) != len(t):
        raise ValueError(f"points: needs one array for each of {len(t)} times, got {len(points)}.")
    if epsilon is not None and not (np.isfinite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon must be a positive finite number, got {epsilon!r}.")
    if epsilon is None and len(t) < 3:
        raise ValueError("epsilon: two snapshots do not bend and say nothing of it; state one.")
    exact = [exact_rows(manifold, p, f"points[{k}]") for k, p in enumerate(points)]
    origin = _origin(manifold, exact)
    if origin is not None:
        exact = [np.asarray(p, np.float64) - origin for p in exact]
    clouds = [check_points(manifold, p, "points") for p in exact]
    mass = tuple(len(c) for c in clouds)
    chances = _chances(weights, mass)
    usable = [int((c > 0).sum()) for c in chances]
    if n is None and len(set(usable)) > 1:
        raise ValueError(
            f"points: snapshots have {tuple(usable)} members. State how many paths to draw (n=, at "
            f"most {min(usable)}), or pass the survivors only: mass is not normalised silently."
        )
    count = min(usable) if n is None else n
    if not 1 <= count <= min(usable):
        raise ValueError(f"n: must be from 1 to {min(usable)}, got {n}.")
    pick, walk = jax.random.split(key)
    drawn = [
        _without_return(k, c, w, count)
        for k, c, w in zip(jax.random.split(pick, len(t)), clouds, chances, strict=True)
    ]
    cloud = jnp.stack([c.astype(drawn[0].dtype) for c in drawn])
    clock = _clock(t, cloud.dtype)
    index: NumPyOrJax = match(manifold, clock, cloud)
    if epsilon is None:
        bending = total_energies(manifold, clock, joined(cloud, index))
        epsilon = float(jnp.mean(bending)) / ((len(t) - 2) * manifold.dim)
        epsilon = max(epsilon, float(jnp.finfo(cloud.dtype).tiny))
    if sweeps:
        index = heat_matching(manifold, clock, cloud, jnp.asarray(index), epsilon, walk, sweeps)
    knots = joined(cloud, index)
    energy = total_energies(manifold, clock, knots)
    return SplinePaths(manifold, t, knots, float(epsilon), energy, mass, origin)


def _clock(times: tuple[float, ...], dtype: DTypeLike) -> SplineClock:
    return SplineClock.of(np.subtract(times, times[0]), dtype)


def _origin(manifold: Manifold, clouds: list[NumPyOrJax]) -> np.ndarray | None:
    """The mean of flat coordinates if it is above 100 of their spreads, else None."""
    flat = manifold.flat_coordinates
    every = np.concatenate([np.asarray(c, np.float64) for c in clouds])
    middle = np.where(flat, every.mean(axis=0), 0.0)
    return middle if (np.abs(middle) > 100.0 * every.std(axis=0)).any() else None


def _chances(weights: Sequence[Values | None] | None, mass: tuple[int, ...]) -> list[np.ndarray]:
    if weights is None:
        weights = [None] * len(mass)
    if len(weights) != len(mass):
        raise ValueError(f"weights: needs {len(mass)} arrays or None, got {len(weights)}.")
    found = []
    for k, (w, size) in enumerate(zip(weights, mass, strict=True)):
        w = np.ones(size) if w is None else np.asarray(w, np.float64)
        if w.shape != (size,) or not (np.isfinite(w) & (w >= 0)).all() or not (w > 0).any():
            raise ValueError(
                f"weights[{k}]: needs {size} finite numbers ≥ 0, not all 0; got shape {w.shape}."
            )
        found.append(w)
    return found


def _without_return(key: Key, cloud: Array, chance: np.ndarray, n: int) -> Array:
    """n members drawn without replacement, in proportion to their chances (Efraimidis & Spirakis
    2006: the n largest of log u/w)."""
    order = jax.random.exponential(key, (len(chance),), jnp.result_type(float))
    with np.errstate(divide="ignore"):
        late = np.where(chance > 0, np.asarray(order) / chance, np.inf)
    return cloud[np.argsort(late, kind="stable")[:n]]


def _filled(rows: Array) -> Array:
    """The rows, repeated up to the next power of two from 32 on."""
    size = max(32, 1 << (len(rows) - 1).bit_length())
    return jnp.tile(rows, (-(-size // len(rows)), *(1,) * (rows.ndim - 1)))[:size]


def _spread(key: Key, size: int, n: int) -> Array:
    """n rows as evenly as possible: without replacement until all have been used."""
    rounds = -(-n // size)
    keys = jax.random.split(key, rounds)
    return jnp.concatenate([jax.random.permutation(k, size) for k in keys])[:n]


@eqx.filter_jit
def _curves(manifold: Manifold, clock: SplineClock, knots: Array, at: Array) -> Array:
    def one(path):
        v = spline_velocities(manifold, clock, path)
        return jax.vmap(lambda t: spline_at(manifold, clock, path, v, t))(at)

    return jax.vmap(one)(knots)


@eqx.filter_jit
def _noisy(
    manifold: Manifold, clock: SplineClock, knots: Array, at: Array, factor: Array, key: Key
) -> Array:
    piece = jnp.clip(jnp.searchsorted(clock.at, at, side="right") - 1, 0, len(clock.at) - 1)

    def one(path, k):
        v = spline_velocities(manifold, clock, path)
        z = jax.random.normal(k, (len(at), manifold.dim), path.dtype)
        noise = jnp.matmul(factor, z, precision="highest")

        def point(t, knot, c):
            x = spline_at(manifold, clock, path, v, t)
            # The noise is 0 at knots, so frames need not agree from one piece to the next.
            frame = jax.vmap(lambda e: manifold.transport(path[knot], x, e))(
                manifold.frame(path[knot])
            )
            return manifold.exp(x, jnp.tensordot(c, frame, axes=1))

        return jax.vmap(point)(at, piece, noise)

    return jax.vmap(one)(knots, jax.random.split(key, len(knots)))


@eqx.filter_jit
def _densities(manifold: Manifold, centres: Array, rows: Array, variance: Array) -> Array:
    """log 1/n Σ of the laws of exp_z(N(0, variance 1)), shape ``(rows,)``."""
    d = manifold.dim

    def at(x: Array) -> Array:
        def one(z: Array) -> Array:
            v = manifold.log(z, x)
            return -0.5 * manifold.inner(z, v, v) / variance - manifold.exp_log_det(z, v)

        whole = jax.nn.logsumexp(jax.vmap(one)(centres)) - math.log(len(centres))
        return whole - 0.5 * d * jnp.log(2.0 * math.pi * variance)

    return jax.lax.map(at, rows, batch_size=64)
