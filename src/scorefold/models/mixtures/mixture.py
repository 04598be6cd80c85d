"""Mixtures of parametric laws: what is asked for, how it is fitted, what comes out."""

from __future__ import annotations

import abc
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import in_blocks
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Scalar, Values
from scorefold._weights import effective_number, mean, on_device
from scorefold.fitting import Defaults, Description, RowWeights, Trainer
from scorefold.kernels.local.neighbourhood import resolution
from scorefold.manifolds import Manifold
from scorefold.models._base import Model
from scorefold.models.mixtures.component import Component, ComponentFamily
from scorefold.models.mixtures.em import Mixtures, expectation_maximisation
from scorefold.models.mixtures.moved import moved
from scorefold.models.mixtures.starts import spread_centres
from scorefold.models.standardise import Units, to_inner

_COUNTS = (1, 2, 5, 10, 25, 50, 100)
_PAIRS = 1 << 17
"""Pairs of a point and a law at a time."""
_TRIED, _TRIAL, _STEPS = 2048, 6, 20
"""Points and steps that starts are compared by; steps of the best."""
_SEEN = 1 << 15
"""Points that expectation–maximisation sees."""


class ParametricMixture(Description["FittedMixture"]):
    """A mixture of K laws of one family, p(x) = Σ_k w_k p(x; θ_k), of maximum likelihood.

    ``fit`` finds mixtures of all ``components`` side by side: by expectation–maximisation with
    weighted moments, from the best of several ``starts``, and from there by gradient steps to the
    maximum of the likelihood, which moments are not. Held-out points choose the number of laws and
    when to stop; without any, the number is that of the smallest n·NLL + ½ p log n at the training
    points, p free parameters (BIC, Schwarz 1978). Of rows with weights n is their effective
    number, (Σw)²/Σw².

    **Arguments:**

    - ``components``: the number of laws, or several to choose from (default: 1, 2, 5, 10, 25, 50
      and 100, those that leave 2(d + 1) points to a law).
    - ``starts``: draws of first centres, far from one another (k-means++), for each number.
    - ``floor``: the smallest standard deviation of a law, in radians on curved spaces and in
      standard deviations of the data on flat ones, whose coordinates are standardised. It keeps the
      likelihood bounded where points repeat. Default: the smallest positive distance between two
      training points, in three and more dimensions at most a thousandth of their spread.

    Source: Dempster, Laird & Rubin 1977; Arthur & Vassilvitskii 2007 (starts).
    """

    weighs: ClassVar[bool] = True

    manifold: Manifold
    components: int | tuple[int, ...] | None = None
    starts: int = 4
    floor: float | None = None

    def __check_init__(self) -> None:
        self.family.check(self.manifold)
        counts = self.counts
        whole = all(isinstance(k, int) and not isinstance(k, bool) and k > 0 for k in counts)
        if not whole or not counts or len(set(counts)) < len(counts):
            raise ValueError(
                "components: one number of laws, or several different ones to choose from, such "
                f"as (5, 25); got {self.components!r}."
            )
        if self.starts < 1:
            raise ValueError(f"starts: at least one, got {self.starts}.")
        if self.floor is not None and not 0 < self.floor**2 < self.family.widest(self.manifold):
            widest = self.family.widest(self.manifold) ** 0.5
            raise ValueError(
                f"floor: the smallest standard deviation must lie between 0 and {widest:.4g}, got "
                f"{self.floor!r}."
            )

    @property
    @abc.abstractmethod
    def family(self) -> ComponentFamily:
        """The kind of law."""

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=300, batch_size=512, learning_rate=1e-2)

    @property
    def counts(self) -> tuple[int, ...]:
        """Numbers of laws that are compared, also those too large for the data."""
        if self.components is None:
            return _COUNTS
        return (self.components,) if isinstance(self.components, int) else self.components

    def counts_for(self, n: int) -> tuple[int, ...]:
        """Those for n points: of the default ones 1 and all that leave 2(d + 1) points to a law.

        **Raises:** ``ValueError`` for stated ones above n."""
        if self.components is None:
            most = n // (2 * self.manifold.dim + 2)
            return tuple(k for k in self.counts if k == 1 or k <= most)
        if max(self.counts) > n:
            raise ValueError(
                f"components: {max(self.counts)} laws for {n} points; state at most one a point."
            )
        return self.counts

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> MixtureTrainer:
        m = self.manifold
        units = Units.measure(m, data, weights=weights)
        x = to_inner(m, units, data, "data")
        counts = self.counts_for(len(x) if weights is None else int(effective_number(weights)))
        low = jnp.asarray(resolution(m, x, self.floor) ** 2, x.dtype)
        high = jnp.asarray(self.family.widest(m), x.dtype)
        order, draw = jax.random.split(key)
        rows = jax.random.permutation(order, len(x))[: min(len(x), _SEEN)]
        # Compiled without optimisation: it runs once.
        some = None
        if weights is not None:
            some = weights[np.asarray(rows)]
            # As many points as they are worth: one more, of the start, does not count for less.
            some = on_device(some * (effective_number(some) / some.sum()), x.dtype)
        found = quick_jit(_started, level=0)(self, draw, x[rows], counts, low, high, some)
        change = jnp.zeros((sum(counts), self.family.size(m.dim)), x.dtype)
        return MixtureTrainer(self, change, found.log_weights, found, low, high, units)


class MixtureTrainer(Trainer["FittedMixture"]):
    """Mixtures of several sizes side by side: found by expectation–maximisation, moved by gradient
    steps to the maximum of their likelihoods.

    ``start``: the mixtures found; ``change``: free numbers of each law (``moved``).
    """

    shared_examples: ClassVar[bool] = True

    description: ParametricMixture
    change: Array
    log_weights: Array
    start: Mixtures = fixed()
    low: Array = fixed()
    high: Array = fixed()
    units: Units = fixed()

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Array:
        return to_inner(self.description.manifold, self.units, data, name)

    def batch_loss(self, x: Array, key: Key) -> Array:
        """−log density, mean over the mixtures, whose parameters are apart."""
        return -jnp.mean(jax.vmap(self.mixtures().log_prob)(x), axis=1)

    def validate(self, x: Array, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL in the user's units of the best mixture."""
        volume = jnp.asarray(self.units.log_volume, x.dtype)
        return volume - jnp.max(_mean_log_prob(self.mixtures(), x, weights))

    def mixtures(self) -> Mixtures:
        """As they are now."""
        start, low, high = self.start, self.low, self.high
        change = partial(moved, start.manifold, start.family.round, low=low, high=high)
        laws = jax.vmap(change)(start.laws, self.change)
        return Mixtures(start.manifold, start.family, start.sizes, laws, self.log_weights)

    def model(
        self, data: Array, val: Array | None, weights: RowWeights | None = None
    ) -> FittedMixture:
        """The mixture that is best at held-out points; without any, by the criterion of Schwarz
        (BIC): n·NLL + ½ p log n for p parameters, at the training points."""
        mixtures = quick_jit(MixtureTrainer.mixtures)(self)
        family, m = mixtures.family, mixtures.manifold
        x, w = data if val is None else val, None
        if weights is not None:
            w = weights.data if val is None else weights.val
        n = len(x) if w is None else effective_number(np.asarray(w, np.float64))
        worth = np.asarray(quick_jit(_mean_log_prob)(mixtures, x, w), np.float64) * n
        if val is None:
            each = np.asarray(mixtures.sizes) * (family.size(m.dim) + 1) - 1
            worth = worth - 0.5 * each * np.log(n)
        best = int(np.argmax(np.where(np.isfinite(worth), worth, -np.inf)))
        return FittedMixture(self.description, *mixtures.one(best), self.units)


class FittedMixture(Model):
    """A fitted mixture of parametric laws, p(x) = Σ_k w_k p(x; θ_k).

    ``laws``: centres, axes and variances, with a leading axis of K; ``log_weights``: log w.
    ``parameters`` has them by the names of the literature. Flat coordinates are standardised:
    there these are of inner coordinates (``units``).
    """

    description: ParametricMixture
    laws: Component
    log_weights: Array
    units: Units = fixed(default=Units())

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    @property
    def parameters(self) -> dict[str, Array]:
        """``weights`` and the parameters of the laws by name, each with a leading axis of K."""
        named = self.description.family.named(self.manifold, self.laws)
        return {"weights": jnp.exp(self.log_weights), **named}

    @property
    def exact_mass(self) -> tuple[float, float]:
        lost = self.description.family.lost(self.manifold, self.laws)
        bound = float(np.sum(np.exp(np.asarray(self.log_weights, np.float64)) * np.asarray(lost)))
        return 1.0 - 0.5 * bound, 0.5 * bound

    def log_prob(self, x: Values) -> Array:
        """log p in nats, closed form."""
        return self._density(lambda rows: _log_prob(self, rows), x)

    def sample(self, key: Key, n: int) -> NumPyOrJax:
        """n exact draws: a law, then a draw of it."""
        return self._draws(lambda keys: _draw(self, keys), key, n)

    def of(self, dtype: np.dtype) -> Mixtures:
        """The mixture in another dtype."""
        laws, log_weights = jax.tree.map(lambda a: a.astype(dtype), (self.laws, self.log_weights))
        asked = self.description
        return Mixtures(asked.manifold, asked.family, (len(log_weights),), laws, log_weights)


def _started(
    asked: ParametricMixture,
    key: Key,
    x: Array,
    counts: tuple[int, ...],
    low: Scalar,
    high: Scalar,
    weights: Array | None,
) -> Mixtures:
    """The mixtures that expectation–maximisation finds from the best of several starts each. The
    last law of each begins as wide as all data are: what lies apart has a law then."""
    m, family = asked.manifold, asked.family.fitting
    some, some_w = x[:_TRIED], None if weights is None else weights[:_TRIED]
    keys = jax.random.split(key, asked.starts)
    found = jax.vmap(lambda k: spread_centres(m, k, some, max(counts), some_w))(keys)
    squares = found.squares[:, np.asarray(counts) - 1] / m.dim
    even = jnp.repeat(squares, np.asarray(counts), axis=1, total_repeat_length=sum(counts))
    last = np.cumsum(counts) - 1
    wide = jnp.broadcast_to(found.squares[:, :1] / m.dim, (asked.starts, len(counts)))
    variances = jnp.clip(even.at[:, last].set(wide), 1.02 * low, high / 1.02).ravel()
    centres = jnp.concatenate([found.centres[:, :k] for k in counts], axis=1)
    total = asked.starts * sum(counts)
    laws = Component(
        centres.reshape(total, *m.shape),
        jnp.broadcast_to(jnp.eye(m.dim, dtype=x.dtype), (total, m.dim, m.dim)),
        jnp.broadcast_to(variances[:, None], (total, m.dim)),
    )
    tried = Mixtures(m, family, counts * asked.starts, laws, jnp.zeros((total,), x.dtype))
    tried, values = expectation_maximisation(tried, some, variances, low, high, _TRIAL, some_w)
    values = jnp.where(jnp.isfinite(values), values, -jnp.inf).reshape(asked.starts, len(counts))
    best = jnp.repeat(
        jnp.argmax(values, axis=0), np.asarray(counts), total_repeat_length=sum(counts)
    )
    rows = best * sum(counts) + jnp.arange(sum(counts))
    laws, log_weights = jax.tree.map(lambda a: a[rows], (tried.laws, tried.log_weights))
    chosen = Mixtures(m, family, counts, laws, log_weights)
    return expectation_maximisation(chosen, x, variances[rows], low, high, _STEPS, weights)[0]


def _mean_log_prob(mixtures: Mixtures, x: Array, weights: Array | None) -> Array:
    """Mean over the points, of each mixture."""
    return mean(in_blocks(mixtures.log_prob, x, _rows(mixtures, len(x))), weights)


def _rows(mixtures: Mixtures, n: int) -> int:
    return max(1, min(n, _PAIRS // sum(mixtures.sizes)))


@eqx.filter_jit
def _log_prob(model: FittedMixture, x: Array) -> Array:
    mixture = model.of(x.dtype)
    return in_blocks(lambda p: mixture.log_prob(p)[0], x, _rows(mixture, len(x)))


@eqx.filter_jit
def _draw(model: FittedMixture, keys: Array) -> Array:
    m, family = model.manifold, model.description.family

    def one(key: Key) -> Array:
        pick, draw = jax.random.split(key)
        k = jax.random.categorical(pick, model.log_weights)
        return family.sample(draw, m, jax.tree.map(lambda a: a[k], model.laws))

    return jax.vmap(one)(keys)
