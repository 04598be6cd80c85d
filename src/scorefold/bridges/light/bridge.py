"""Light bridges: a potential whose conditional expectations are in closed form."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._types import Key, Point, Scalar
from scorefold.bridges.description import BridgeDescription, FittedBridge
from scorefold.bridges.intake import Samples
from scorefold.bridges.light.gaussian_potential import GaussianPotential
from scorefold.bridges.light.heat_potential import HeatPotential
from scorefold.bridges.light.origins import Origins, chosen_origins
from scorefold.bridges.light.potential import (
    LearningPotential,
    LightPotential,
    PotentialDescription,
)
from scorefold.bridges.reference.pinned import most_turns, pinned_exactly
from scorefold.bridges.reference.pinned_walk import flat_path, manifold_path
from scorefold.bridges.units import Units
from scorefold.fitting import (
    Defaults,
    Description,
    History,
    NonFiniteLoss,
    Trainer,
    batch_rows,
    fit,
)
from scorefold.kernels import Cholesky, Diagonal, GaussianMixture
from scorefold.manifolds import Manifold, check_points
from scorefold.noising import Noising
from scorefold.noising.geodesic import geodesic_step
from scorefold.samplers import uniform_grid

__all__ = ["FittedLightBridge", "LightBridge", "Pairs"]

_CELLS = 1 << 18


class LightBridge(BridgeDescription["FittedLightBridge"]):
    """A Schrödinger bridge by one learned potential φ, without simulation and in seconds:

        π(x₁ | x₀) = p_S(x₁ | x₀) φ(x₁) / (P_S φ)(x₀),   ψ_s = P_{S−s} φ,
        loss = E_A log P_S φ − E_B log φ,

    which is KL(π* | π) up to a constant that does not depend on φ: the bridge of A and B is the
    minimiser, and any φ gives a bridge of A to some other law. φ is a sum of terms that the
    reference process keeps in its family, so that ψ_s is in closed form at every s:
    ``HeatPotential`` on any manifold, ``GaussianPotential`` on flat space. Draws and paths are
    exact at any number of steps on R^d, T^d and products of these, in both directions.

    The other factor needs the law A itself, of which there are points. They are placed at s = −h_i:

        φ̂_s(x) = (1/n) Σ_i p_{s+h_i}(x | x_i) / ψ_{−h_i}(x_i),   p_s = φ̂_s ψ_s,

    the bridge from the points blurred by Brownian motion of variance-time h_i. It has total mass 1
    at every s; h → 0 is the empirical law of A, which has no density. The h_i are proportional to
    the squared distance to the 6th neighbour, times a factor chosen by the likelihood of held-out
    points of A (without them, of each point by the others); a number given as ``blur`` replaces
    all of them. The forward half does not depend on h and starts from any point.

    **Arguments:** ``reference``: Brownian motion, or on flat space ``OrnsteinUhlenbeck``;
    keyword-only ``potential`` (default by geometry), ``blur``, ``origins``: how many points of A
    φ̂ is made of (drawn evenly if there are more).
    **Raises:** ``ValueError`` for a reference that the potential cannot follow.

    Train with ``fit_bridge(bridge, a, b, key=…)``.

    Source: Korotin, Gushchin & Burnaev 2024 (light Schrödinger bridge) on flat space, equations
    8 and 13. The heat kernel form, the weights it starts from and φ̂ are this library's.
    """

    reference: Noising
    potential: PotentialDescription
    blur: float | None
    origins: int

    def __init__(
        self,
        reference: Noising,
        *,
        potential: PotentialDescription | None = None,
        blur: float | None = None,
        origins: int = 4000,
    ) -> None:
        if potential is None:
            flat = reference.manifold.euclidean
            potential = GaussianPotential() if flat else HeatPotential()
        self.reference, self.potential = reference, potential
        self.blur, self.origins = blur, origins

    def __check_init__(self) -> None:
        self.potential.check(self.reference)
        if self.blur is not None and not (math.isfinite(self.blur) and self.blur > 0):
            raise ValueError(f"blur must be a positive variance-time, got {self.blur}.")
        if self.origins < 1:
            raise ValueError(f"origins must be 1 or more, got {self.origins}.")

    def inside(self, units: Units) -> LightBridge:
        square = units.scale**2
        return LightBridge(
            units.inside(self.reference),
            potential=self.potential.shorter(square),
            blur=None if self.blur is None else self.blur / square,
            origins=self.origins,
        )

    def train(
        self, samples: Samples, *, key: Key, **settings: Any
    ) -> tuple[FittedLightBridge, History]:
        """By ``fit``, whose settings these are: 800 steps by default."""
        a, b = samples.ends
        held = samples.held
        pairs = Pairs(self.potential, self.reference, _sizes(samples.ends), held and _sizes(held))
        val = None if held is None else jnp.concatenate(held)
        try:
            potential, history = fit(pairs, jnp.concatenate([a, b]), key=key, val=val, **settings)
        except NonFiniteLoss as error:
            raise NonFiniteLoss(
                f"{error} (Rows below {len(a)} are rows of a; subtract {len(a)} from the others "
                "for rows of b.)",
                step=error.step,
                rows=error.rows,
            ) from error
        start = chosen_origins(
            self.reference, potential, jax.random.fold_in(key, 11), a,
            None if held is None else held[0], self.origins, self.blur,
        )  # fmt: skip
        return FittedLightBridge(self.reference, potential, start), _moved_history(history, samples)


class Pairs(Description[LightPotential]):
    """A potential to be learned from the points of both ends in one array, those of A first;
    ``sizes`` says how many there are of each, ``held_sizes`` how many held-out ones."""

    potential: PotentialDescription
    reference: Noising
    sizes: tuple[int, int]
    held_sizes: tuple[int, int] | None

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=800, batch_size=128, learning_rate=5e-2)

    def trainer(self, key: Key, data: np.ndarray) -> _PairTrainer:
        n = self.sizes[0]
        a, b = jnp.asarray(data[:n]), jnp.asarray(data[n:])
        learning = self.potential.begin(self.reference, key, a, b)
        return _PairTrainer(self, learning)


class _PairTrainer(Trainer[LightPotential]):
    """The loss E_A log P_S φ − E_B log φ. Each batch takes rows of A and of B in epochs of their
    own, so that every point counts alike whatever the two sizes are."""

    description: Pairs
    learning: LearningPotential

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Rows of pairs, shape ``(size, 2)``: one of A, one of B."""
        first, second = self.description.sizes
        of_a, of_b = jax.random.split(key)
        rows_a = batch_rows(of_a, step, first, size)
        rows_b = batch_rows(of_b, step, second, size)
        return jnp.stack([rows_a, first + rows_b], axis=1)

    def batch_loss(self, x: Array, key: Key) -> Array:
        first, last = self.learning.ends(self.description.reference, x[:, 0], x[:, 1])
        return first - last

    def validate(self, x: Array, key: Key) -> Scalar:
        sizes = self.description.held_sizes
        n = len(x) // 2 if sizes is None else sizes[0]
        first, last = self.learning.ends(self.description.reference, x[:n], x[n:])
        return jnp.mean(first) - jnp.mean(last)

    def model(self, data: Array, val: Array | None) -> LightPotential:
        return self.learning.potential(self.description.reference)


def _sizes(ends: tuple[Array, Array]) -> tuple[int, int]:
    return len(ends[0]), len(ends[1])


def _moved_history(history: History, samples: Samples) -> History:
    """With losses in the coordinates of the data."""
    units, given, held = samples.units, samples.given, samples.given_held
    if units is None:
        return history
    loss = history.loss + units.loss_apart(samples.reference, *(end.rows for end in given))
    nll = history.val_nll
    if held is not None:
        nll = nll + units.loss_apart(samples.reference, *(end.rows for end in held))
    return dataclasses.replace(history, loss=loss, val_nll=nll)


class FittedLightBridge(FittedBridge):
    """A fitted ``LightBridge``: ``potential`` is φ, ``start`` the points of A that φ̂ is made of,
    both in the coordinates of ``units``."""

    reference: Noising
    potential: LightPotential
    start: Origins
    units: Units | None = None

    # -- the two factors ---------------------------------------------------------------------------
    def log_psi(self, x: Point, s: Scalar) -> Scalar:
        """log ψ_s(x)."""
        if self.units is not None:
            y, r = self._here(x, s)
            return self._own.log_psi(y, r) + self.units.log_tilt(self.reference, x, s)
        return self.potential.log_ahead(self.reference, x, self.total - s)

    def log_phi(self, x: Point, s: Scalar) -> Scalar:
        """log φ̂_s(x)."""
        if self.units is not None:
            y, r = self._here(x, s)
            tilt = self.units.log_tilt(self.reference, x, s) + self._log_unit
            return self._own.log_phi(y, r) - tilt
        return jax.nn.logsumexp(self.start.log_terms(self.reference, x, s))

    def forward(self, x: Point, s: Scalar) -> Point:
        if self.units is not None:
            return self.units.forward(self.reference, self._own, x, s)
        return self.potential.score_ahead(self.reference, x, self.total - s)

    def backward(self, x: Point, s: Scalar) -> Point:
        if self.units is not None:
            return self.units.backward(self.reference, self._own, x, s)
        return self.start.score(self.reference, x, s)

    def grid(self, steps: int, dtype: Any) -> Array:
        """Equally spaced in log(s + h) − log(S − s + τ): steps follow the time in which φ̂ and ψ
        change at either end, h a small blur and τ the scale of the potential."""
        if self.units is not None:
            own = self._own.grid(steps, jnp.result_type(float))
            return jnp.asarray(self._data_levels(own), dtype)
        first, last = self.start.scale, min(self.potential.scale, self.total)
        low, high = math.log(first / (self.total + last)), math.log((self.total + first) / last)
        f = np.exp(np.linspace(low, high, steps + 1))
        grid = np.clip((f * (self.total + last) - first) / (1.0 + f), 0.0, self.total)
        grid[0], grid[-1] = 0.0, self.total
        return jnp.asarray(grid, dtype)

    # -- public edge -------------------------------------------------------------------------------
    def log_prob(self, t: float | Scalar, x: Any) -> Array:
        """log p_s(x) in nats at process time t, exact: the law of the bridge on its way from A,
        blurred by h, to B. x: points, shape ``(…, *shape)``."""
        s = self._level(t)
        rows, batch = self._enter(x, s, "x")
        level = jnp.asarray(self._own_level(s), rows.dtype)
        return (_log_prob(self._own, rows, level) - self._log_unit).reshape(batch)

    def couple(self, key: Key, x0: Any, *, steps: int = 100) -> Array:
        """A draw of X₁ given each X₀ = x₀: a component of φ is drawn, then Brownian motion pinned
        to it. Exact on R^d, on T^d and on products of these. Elsewhere the component is exact and
        the pinned motion is walked in ``steps`` steps, of a product in its curved factors alone."""
        return self.sample_forward(key, x0, steps=steps)

    def sample_at(self, key: Key, x0: Any, t: float, *, steps: int = 100) -> Array:
        """A draw of X_t, 0 < t ≤ 1, given each X₀ = x₀: exact where ``couple`` is, otherwise its
        walk stopped on its way."""
        if not 0.0 < t <= 1.0:
            raise ValueError(f"t must be in (0, 1], got {t}.")
        rows, batch = self._enter(x0, 0.0, "x0")
        s = self._level(t)
        grid = uniform_grid(0.0, self._own_level(s), steps, rows.dtype)
        end = self._own._draw("forward", jax.random.split(key, len(rows)), rows, grid, False)
        there = jnp.asarray(self._leave(end, s), rows.dtype)
        return there.reshape(*batch, *self.manifold.shape)

    def conditional(self, x0: Any) -> GaussianMixture:
        """The law of X₁ given X₀ = x₀ (one point) on flat space: a Gaussian mixture, with
        ``sample``, ``marginal`` and, where some coordinates of X₁ are known, ``conditional``."""
        rows, batch = self._enter(x0, 0.0, "x0")
        if batch:
            raise ValueError(f"x0: give one point, got shape {(*batch, *self.manifold.shape)}.")
        law = _conditional(self._own, rows[0])
        return law if self.units is None else _moved(law, self.units)

    def conditional_moments(self, x0: Any) -> tuple[Array, Array]:
        """Mean, shape (n, d), and covariance, (n, d, d), of X₁ given each x₀, on flat space."""
        mean, cov = _moments(self._own, self._enter(x0, 0.0, "x0")[0])
        k = 1.0 if self.units is None else self.units.scale
        return jnp.asarray(self._leave(mean, self.total), mean.dtype), k * (k * cov)

    def sample_given(self, key: Key, x0: Any, given: Sequence[int], values: Any) -> Array:
        """Draws of X₁ given each X₀ = x₀ and the coordinates ``given`` of X₁, on flat space.

        **Arguments:** ``x0``: shape (n, d); ``values``: shape (n, len(given)).
        **Raises:** ``ValueError`` for indices that repeat, are out of range or leave nothing free.
        """
        rows, _ = self._enter(x0, 0.0, "x0")
        at = tuple(int(i) for i in given)
        if np.shape(values) != (len(rows), len(at)):
            raise ValueError(
                f"values: needs shape ({len(rows)}, {len(at)}), a row for each of x0; got "
                f"{np.shape(values)}."
            )
        held = self._held(values, at, rows.dtype)
        drawn = _given(self._own, jax.random.split(key, len(rows)), rows, at, held)
        there = jnp.asarray(self._leave(drawn, self.total), rows.dtype)
        return there.at[:, np.asarray(at)].set(jnp.asarray(values, rows.dtype))

    def starts_given(self, key: Key, x0: Any, given: Sequence[int], values: Any) -> Array:
        """For each row of ``values`` one of the points x0, which are draws of A, with the
        probability that it has when the coordinates ``given`` of X₁ are these, on flat space:

            P(x0_i) ∝ π(X₁[given] = values | x0_i),   in closed form.

        ``sample_given`` from these points draws both ends given a part of X₁, exactly as the
        number of points grows: images of one class, with labels among the coordinates. A row
        whose probability lies on a few points gets these again and again: give more.

        **Arguments:** ``x0``: shape (n, d); ``values``: shape (m, len(given)); returns (m, d).
        """
        rows, _ = self._enter(x0, 0.0, "x0")
        at, shape = tuple(int(i) for i in given), np.shape(values)
        if len(shape) != 2 or shape[1] != len(at):
            raise ValueError(f"values: needs shape (m, {len(at)}), got {shape}.")
        picked = _starts(self._own, key, rows, at, self._held(values, at, rows.dtype))
        return check_points(self.manifold, x0, "x0").reshape(-1, self.manifold.dim)[picked]

    def _draw(self, direction: str, keys: Array, rows: Array, grid: Array, paths: bool) -> Array:
        forward = direction == "forward"
        if pinned_exactly(self.reference) and not paths:
            grid = grid[jnp.array([0, -1])]  # one step, and exact
        beyond = self.potential.widest if forward else self.start.widest
        return _sample(self, keys, rows, grid, forward, paths, most_turns(self.total + beyond))

    def seen_start(self, key: Key, rows: Array) -> Array:
        """Blurred by h, h that of one of the points it was fitted to."""
        pick, noise = jax.random.split(key)
        h = jax.random.choice(pick, jnp.asarray(self.start.blur), (len(rows),))
        return _blurred(self.manifold, jax.random.split(noise, len(rows)), rows, h)

    # -- inside ------------------------------------------------------------------------------------
    def _here(self, x: Point, s: Scalar) -> tuple[Point, Scalar]:
        """One point and a level in coordinates of the bridge's own."""
        assert self.units is not None
        return self.units.enter_one(self.reference, x, s), s / self.units.scale**2

    @property
    def _log_unit(self) -> float:
        """d log k, what a log density loses in the units of the data."""
        return 0.0 if self.units is None else self.manifold.dim * math.log(self.units.scale)

    def _held(self, values: Any, given: tuple[int, ...], dtype: Any) -> Array:
        """Known coordinates of X₁ in coordinates of the bridge's own."""
        traced = isinstance(values, jax.core.Tracer)
        values = jnp.asarray(values, dtype) if traced else np.asarray(values, np.float64)
        if self.units is not None:
            middle = np.asarray(self.units.end)[np.asarray(given)]
            middle = jnp.asarray(middle, dtype)[None, :] if traced else middle
            values = (values - middle) / self.units.scale
        return jnp.asarray(values, dtype)


def _moved(law: GaussianMixture, units: Units) -> GaussianMixture:
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
    reference, potential = bridge.reference, bridge.potential
    flat = reference.manifold.euclidean

    def one(inputs: tuple[Key, Point]) -> Array:
        key, x = inputs
        pick, walk = jax.random.split(key)
        if forward and flat:
            target = potential.draw(reference, pick, x)
            return flat_path(reference, walk, x, target, grid, bridge.total, paths)
        if forward:
            centre, tau = potential.target(reference, pick, x)
            end = jnp.asarray(bridge.total, x.dtype) + tau
            return manifold_path(reference.manifold, walk, x, centre, grid, end, paths, turns)
        start = bridge.start
        k = jax.random.categorical(pick, start.log_terms(reference, x, grid[0]))
        origin, first = start.points[k].astype(x.dtype), -start.blur[k].astype(x.dtype)
        if flat:
            return flat_path(reference, walk, x, origin, grid, first, paths)
        return manifold_path(reference.manifold, walk, x, origin, grid, first, paths, turns)

    return jax.lax.map(one, (keys, rows), batch_size=1024)


@eqx.filter_jit
def _conditional(bridge: FittedLightBridge, x0: Point) -> GaussianMixture:
    return bridge.potential.conditional(bridge.reference, x0)


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
