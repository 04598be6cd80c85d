"""Fitted light bridges: everything in closed form from one potential."""

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._types import DTypeLike, Key, Point, Scalar, Values
from scorefold.bridges.description import FittedBridge
from scorefold.bridges.light.origins import Origins
from scorefold.bridges.light.potential import LightPotential
from scorefold.bridges.reference.pinned import most_turns, pinned_exactly
from scorefold.bridges.reference.pinned_walk import pinned_step
from scorefold.bridges.units import BridgeUnits
from scorefold.kernels import Cholesky, Diagonal, GaussianMixture
from scorefold.manifolds import Manifold, check_points
from scorefold.noising import Noising
from scorefold.noising.geodesic import geodesic_step
from scorefold.samplers import uniform_grid, walk

_CELLS = 1 << 18


class FittedLightBridge(FittedBridge):
    """A fitted ``LightBridge``: ``potential`` is φ, ``start`` the points of A that φ̂ is made of,
    both in the coordinates of ``units``."""

    reference: Noising
    potential: LightPotential
    start: Origins
    units: BridgeUnits | None = None

    # -- the two factors ---------------------------------------------------------------------------
    def log_psi(self, x: Point, s: Scalar) -> Scalar:
        """log ψ_s(x)."""
        if self.units is not None:
            y, r = self._here(x, s)
            return self.inner.log_psi(y, r) + self.units.log_tilt(self.reference, x, s)
        return self.potential.log_ahead(self.reference, x, self.total - s)

    def log_phi(self, x: Point, s: Scalar) -> Scalar:
        """log φ̂_s(x)."""
        if self.units is not None:
            y, r = self._here(x, s)
            tilt = self.units.log_tilt(self.reference, x, s) + self._log_unit
            return self.inner.log_phi(y, r) - tilt
        return jax.nn.logsumexp(self.start.log_terms(self.reference, x, s))

    def inner_forward(self, x: Point, s: Scalar) -> Point:
        return self.potential.score_ahead(self.reference, x, self.total - s)

    def inner_backward(self, x: Point, s: Scalar) -> Point:
        return self.start.score(self.reference, x, s)

    def grid(self, steps: int, dtype: DTypeLike) -> Array:
        """Equally spaced in log(s + h) − log(S − s + τ): steps follow the time in which φ̂ and ψ
        change at either end, h a small blur and τ the scale of the potential."""
        if self.units is not None:
            levels = self.inner.grid(steps, jnp.result_type(float))
            return jnp.asarray(self.data_levels(levels), dtype)
        first, last = self.start.scale, min(self.potential.scale, self.total)
        low, high = math.log(first / (self.total + last)), math.log((self.total + first) / last)
        f = np.exp(np.linspace(low, high, steps + 1))
        grid = np.clip((f * (self.total + last) - first) / (1.0 + f), 0.0, self.total)
        grid[0], grid[-1] = 0.0, self.total
        return jnp.asarray(grid, dtype)

    # -- public edge -------------------------------------------------------------------------------
    def log_prob(self, t: float | Scalar, x: Values) -> Array:
        """log p_s(x) in nats at process time t, exact: the law of the bridge on its way from A,
        blurred by h, to B. x: points, shape ``(…, *shape)``."""
        s = self.level(t)
        rows, batch = self.enter(x, s, "x")
        level = jnp.asarray(self.inner_level(s), rows.dtype)
        return (_log_prob(self.inner, rows, level) - self._log_unit).reshape(batch)

    def couple(self, key: Key, x0: Values, *, steps: int = 100) -> Array:
        """A draw of X₁ given each X₀ = x₀: a component of φ is drawn, then Brownian motion pinned
        to it. Exact on R^d, on T^d and on products of these. Elsewhere the component is exact and
        the pinned motion is walked in ``steps`` steps, of a product in its curved factors alone."""
        return self.sample_forward(key, x0, steps=steps)

    def sample_at(self, key: Key, x0: Values, t: float, *, steps: int = 100) -> Array:
        """A draw of X_t, 0 < t ≤ 1, given each X₀ = x₀: exact where ``couple`` is, otherwise its
        walk stopped on its way."""
        if not 0.0 < t <= 1.0:
            raise ValueError(f"t must be in (0, 1], got {t}.")
        rows, batch = self.enter(x0, 0.0, "x0")
        s = self.level(t)
        grid = uniform_grid(0.0, float(self.inner_level(s)), steps, rows.dtype)
        end = self.inner.walks("forward", jax.random.split(key, len(rows)), rows, grid, False)
        there = jnp.asarray(self.leave(end, s), rows.dtype)
        return there.reshape(*batch, *self.manifold.shape)

    def conditional(self, x0: Values) -> GaussianMixture:
        """The law of X₁ given X₀ = x₀ (one point) on flat space: a Gaussian mixture, with
        ``sample``, ``marginal`` and, where some coordinates of X₁ are known, ``conditional``."""
        rows, batch = self.enter(x0, 0.0, "x0")
        if batch:
            raise ValueError(f"x0: give one point, got shape {(*batch, *self.manifold.shape)}.")
        inner = self.inner
        law = eqx.filter_jit(inner.potential.conditional)(inner.reference, rows[0])
        return law if self.units is None else _moved(law, self.units)

    def conditional_moments(self, x0: Values) -> tuple[Array, Array]:
        """Mean, shape (n, d), and covariance, (n, d, d), of X₁ given each x₀, on flat space."""
        mean, cov = _moments(self.inner, self.enter(x0, 0.0, "x0")[0])
        moved = jnp.asarray(self.leave(mean, self.total), mean.dtype)
        return moved, self.unit * (self.unit * cov)

    def sample_given(self, key: Key, x0: Values, given: Sequence[int], values: Values) -> Array:
        """Draws of X₁ given each X₀ = x₀ and the coordinates ``given`` of X₁, on flat space.

        **Arguments:** ``x0``: shape (n, d); ``values``: shape (n, len(given)).
        **Raises:** ``ValueError`` for indices that repeat, are out of range or leave nothing free.
        """
        rows, _ = self.enter(x0, 0.0, "x0")
        at = tuple(int(i) for i in given)
        if np.shape(values) != (len(rows), len(at)):
            raise ValueError(
                f"values: needs shape ({len(rows)}, {len(at)}), a row for each of x0; got "
                f"{np.shape(values)}."
            )
        held = self._held(values, at, rows.dtype)
        drawn = _given(self.inner, jax.random.split(key, len(rows)), rows, at, held)
        there = jnp.asarray(self.leave(drawn, self.total), rows.dtype)
        return there.at[:, np.asarray(at)].set(jnp.asarray(values, rows.dtype))

    def starts_given(self, key: Key, x0: Values, given: Sequence[int], values: Values) -> Array:
        """For each row of ``values`` one of the points x0, which are draws of A, with the
        probability that it has when the coordinates ``given`` of X₁ are these, on flat space:

            P(x0_i) ∝ π(X₁[given] = values | x0_i),   in closed form.

        ``sample_given`` from these points draws both ends given a part of X₁, exactly as the
        number of points grows: images of one class, with labels among the coordinates. A row
        whose probability lies on a few points gets these again and again: give more.

        **Arguments:** ``x0``: shape (n, d); ``values``: shape (m, len(given)); returns (m, d).
        """
        rows, _ = self.enter(x0, 0.0, "x0")
        at, shape = tuple(int(i) for i in given), np.shape(values)
        if len(shape) != 2 or shape[1] != len(at):
            raise ValueError(f"values: needs shape (m, {len(at)}), got {shape}.")
        picked = _starts(self.inner, key, rows, at, self._held(values, at, rows.dtype))
        return check_points(self.manifold, x0, "x0").reshape(-1, self.manifold.dim)[picked]

    def walks(self, direction: str, keys: Array, rows: Array, grid: Array, paths: bool) -> Array:
        forward = direction == "forward"
        if pinned_exactly(self.reference) and not paths:
            grid = grid[jnp.array([0, -1])]  # one step, and exact
        beyond = self.potential.widest if forward else self.start.widest
        return _sample(self, keys, rows, grid, forward, paths, most_turns(self.total + beyond))

    def blurred_start(self, key: Key, rows: Array) -> Array:
        """Blurred by h, h that of one of the points it was fitted to."""
        pick, noise = jax.random.split(key)
        h = jax.random.choice(pick, jnp.asarray(self.start.blur), (len(rows),))
        return _blurred(self.manifold, jax.random.split(noise, len(rows)), rows, h)

    # -- inside ------------------------------------------------------------------------------------
    def _here(self, x: Point, s: Scalar) -> tuple[Point, Scalar]:
        """One point and a level in inner coordinates."""
        assert self.units is not None
        return self.units.enter_one(self.reference, x, s), s / self.units.scale**2

    @property
    def _log_unit(self) -> float:
        """d log k, what a log density loses in the units of the data."""
        return self.manifold.dim * math.log(self.unit)

    def _held(self, values: Values, given: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Known coordinates of X₁ in inner coordinates."""
        if self.units is None:
            return jnp.asarray(values, dtype)
        middle = np.asarray(self.units.end)[np.asarray(given)]
        if isinstance(values, jax.core.Tracer):
            return (values.astype(dtype) - jnp.asarray(middle, dtype)[None, :]) / self.units.scale
        return jnp.asarray((np.asarray(values, np.float64) - middle) / self.units.scale, dtype)


def _moved(law: GaussianMixture, units: BridgeUnits) -> GaussianMixture:
    """The law of m_B + kY for Y of the law ``law``."""
    k, dtype = units.scale, law.centres.dtype
    kinds: dict[type, float] = {Diagonal: k * k, Cholesky: k}
    spread = jax.tree.map(lambda leaf: kinds[type(law.covariances)] * leaf, law.covariances)
    centres = k * np.asarray(law.centres, np.float64) + np.asarray(units.end)
    return GaussianMixture(law.log_weights, jnp.asarray(centres, dtype), spread)


@eqx.filter_jit
def _blurred(manifold: Manifold, keys: Array, rows: Array, h: Array) -> Array:
    def one(key: Key, x: Point, h: Scalar) -> Point:
        return geodesic_step(manifold, key, x, 0.0, h.astype(x.dtype))

    return jax.vmap(one)(keys, rows, h)


@eqx.filter_jit
def _log_prob(bridge: FittedLightBridge, rows: Array, s: Scalar) -> Array:
    def one(x: Point) -> Scalar:
        return bridge.log_phi(x, s) + bridge.log_psi(x, s)

    return in_blocks(one, rows, max(1, _CELLS // len(bridge.start.log_weights)))


@eqx.filter_jit
def _sample(
    bridge: FittedLightBridge,
    keys: Array,
    rows: Array,
    grid: Array,
    forward: bool,
    paths: bool,
    turns: int,
) -> Array:
    reference, potential, start = bridge.reference, bridge.potential, bridge.start

    def one(inputs: tuple[Key, Point]) -> Array:
        key, x = inputs
        pick, move = jax.random.split(key)
        end = jnp.asarray(bridge.total, x.dtype)
        if not forward:
            k = jax.random.categorical(pick, start.log_terms(reference, x, grid[0]))
            target, end = start.points[k].astype(x.dtype), -start.blur[k].astype(x.dtype)
        elif reference.manifold.euclidean:
            target = potential.draw(reference, pick, x)
        else:
            target, tau = potential.target(reference, pick, x)
            end = end + tau
        return walk(pinned_step(reference, target, end, turns), move, x, grid, keep=paths)

    return jax.lax.map(one, (keys, rows), batch_size=1024)


@eqx.filter_jit
def _moments(bridge: FittedLightBridge, rows: Array) -> tuple[Array, Array]:
    def one(x: Point) -> tuple[Array, Array]:
        law = bridge.potential.conditional(bridge.reference, x)
        share = jnp.exp(law.log_weights)
        mean = share @ law.centres
        gap = law.centres - mean[None, :]
        inside = jnp.tensordot(share, eqx.filter_vmap(lambda c: c.dense())(law.covariances), axes=1)
        return mean, inside + (share[:, None] * gap).T @ gap

    return jax.lax.map(one, rows)


@eqx.filter_jit
def _given(
    bridge: FittedLightBridge, keys: Array, rows: Array, given: tuple[int, ...], values: Array
) -> Array:
    d = bridge.manifold.dim
    free = np.asarray([i for i in range(d) if i not in given])

    def one(inputs: tuple[Key, Point, Array]) -> Point:
        key, x, held = inputs
        law = bridge.potential.conditional(bridge.reference, x).conditional(given, held)
        whole = jnp.zeros((d,), x.dtype).at[np.asarray(given)].set(held)
        return whole.at[free].set(law.sample(key, 1)[0])

    return jax.lax.map(one, (keys, rows, values))


@eqx.filter_jit
def _starts(
    bridge: FittedLightBridge, key: Key, rows: Array, given: tuple[int, ...], values: Array
) -> Array:
    def one(x: Point) -> Array:
        law = bridge.potential.conditional(bridge.reference, x).marginal(given)
        return jax.vmap(law.log_prob)(values)

    return jax.random.categorical(key, jax.lax.map(one, rows), axis=0)
