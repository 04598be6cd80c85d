"""Score models of R^d, carried onto a manifold by a chart."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import listed
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Scalar, Values
from scorefold._weights import average, mean
from scorefold.fields import Architecture, NetworkSpec
from scorefold.fitting import Defaults, Description, RowWeights, Trainer
from scorefold.losses import Denoising, Loss
from scorefold.manifolds import CoordinateChart, Euclidean, Exponential, Manifold, Stereographic
from scorefold.models._base import Model
from scorefold.models.defaults import default_noising
from scorefold.models.score import FittedScoreModel, ScoreModel, ScoreTrainer
from scorefold.models.standardise import Units, to_inner

_CHARTS: dict[str, type[Stereographic] | type[Exponential]] = {
    "stereographic": Stereographic,
    "exponential": Exponential,
}
_FURTHEST = 1e6
"""Points whose coordinates in the chart are larger lie on what the chart leaves out."""


class PushforwardScoreModel(Description["FittedPushforward"]):
    """A score model of u ∈ R^d, x = φ(u) for a chart φ of the manifold:

        log p(x) = log Σ_{u: φ(u) = x} q(u) e^{−log_volume(u)},

    the baseline of Riemannian score models: what is learned is flat, and the chart bends it.

    **Arguments:**

    - ``chart``: ``"stereographic"`` (S^d: a point is left out, opposite to the centre) or
      ``"exponential"`` (a wrapped law: H^d, SO(3), T^d, S^d); default ``manifold.chart``. The
      centre is the projected mean of the training points, or the origin where that is no point.
    - ``loss``, ``network``, ``s_min``, ``rtol``: of the score model, an Ornstein–Uhlenbeck process
      on standardised coordinates.

    **Raises:** ``ValueError`` for a product of manifolds, which has no chart here.

    Source: De Bortoli et al. 2022, Section 5 (stereographic and exp-wrapped score models);
    Gemici et al. 2016 (stereographic flows), Mathieu & Nickel 2020 (exponential).
    """

    weighs: ClassVar[bool] = True

    manifold: Manifold
    chart: Literal["stereographic", "exponential"] | None = None
    loss: Loss = Denoising()
    network: Architecture = NetworkSpec(depth=3)
    s_min: float | None = None
    rtol: float = 1e-5

    def __check_init__(self) -> None:
        if self.chart not in (None, *_CHARTS):
            raise ValueError(f"chart must be one of {', '.join(_CHARTS)}, got {self.chart!r}.")
        if len(self.manifold.factors) > 1:
            raise ValueError(
                f"manifold: {self.manifold.name} is a product, which has no chart here. Use "
                "ScoreModel."
            )
        if self.chart == "stereographic" and self.manifold.chart != "stereographic":
            raise ValueError(
                f"chart: {self.manifold.name} has no stereographic chart; use 'exponential'."
            )
        hash(self.flat)  # what the score model refuses is refused here

    @property
    def flat(self) -> ScoreModel:
        """The score model of u."""
        plane = Euclidean(self.manifold.dim)
        noising = default_noising(plane, np.eye(self.manifold.dim))
        return ScoreModel(
            noising, self.loss, network=self.network, s_min=self.s_min, rtol=self.rtol
        )

    @property
    def defaults(self) -> Defaults:
        return self.flat.defaults

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> PushforwardTrainer:
        points = to_inner(self.manifold, Units(), data, "data")
        chart = _CHARTS[self.chart or self.manifold.chart](
            self.manifold, _centre(self.manifold, points, weights)
        )
        return PushforwardTrainer(
            self, chart, self.flat.trainer(key, _unrolled(chart, points, "data"), weights)
        )


class Placed(NamedTuple):
    """Points in a chart, a row a point."""

    u: Array
    """In the inner coordinates of the score model, ``(n, d)``."""
    log_volume: Array
    """What the chart does to volumes there, ``(n,)``."""


class PushforwardTrainer(Trainer["FittedPushforward"]):
    """The trainer of the score model of u, and the chart."""

    shared_examples: ClassVar[bool] = True
    streams: ClassVar[bool] = True

    description: PushforwardScoreModel
    chart: CoordinateChart
    inner: ScoreTrainer

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Placed:
        points = to_inner(self.description.manifold, Units(), data, name)
        u = _unrolled(self.chart, points, name)
        volume = jax.vmap(self.chart.log_volume)(jnp.asarray(u))
        return Placed(self.inner.examples(u, name, held_out=held_out), volume)

    def batch_loss(self, x: Placed, key: Key) -> Array:
        return self.inner.batch_loss(x.u, key)

    def validate(self, x: Placed, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL by the principal preimage alone: an upper bound, tight where nothing wraps."""
        return self.inner.validate(x.u, key, weights) + mean(x.log_volume, weights)

    def model(
        self, data: Placed, val: Placed | None, weights: RowWeights | None = None
    ) -> FittedPushforward:
        inner = self.inner.model(data.u, None if val is None else val.u)
        return FittedPushforward(self.description, self.chart, inner)


class FittedPushforward(Model):
    """A fitted ``PushforwardScoreModel``: ``inner`` is the score model of u."""

    description: PushforwardScoreModel
    chart: CoordinateChart
    inner: FittedScoreModel
    units: Units = fixed(default=Units())

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    def log_prob(self, x: Values) -> Array:
        """log p(x) in nats, over the preimages that the chart counts."""
        return self._summed(self.inner.log_prob, x)

    def log_prob_and_nfe(self, x: Values) -> tuple[Array, float]:
        costs: list[float] = []

        def flat(u: Array) -> Array:
            value, nfe = self.inner.log_prob_and_nfe(u)
            costs.append(nfe * (len(u) / np.size(x) * math.prod(self.manifold.shape)))
            return value

        return self._summed(flat, x), sum(costs)

    def _summed(self, flat: Callable[[Array], Array], x: Values) -> Array:
        """The density by ``flat``, log q of rows u."""

        def density(rows: NumPyOrJax) -> Array:
            u, volume = _all(self.chart, jnp.asarray(rows))
            value = flat(u.reshape(-1, u.shape[-1])).reshape(volume.shape)
            return jax.nn.logsumexp(value - volume, axis=1)

        return self._density(density, x, whole=True)

    def sample(
        self, key: Key, n: int, *, method: Literal["sde", "ode"] = "sde", steps: int = 200
    ) -> NumPyOrJax:
        """n draws of the score model of u, carried onto the manifold."""
        u = self.inner.sample(key, n, method=method, steps=steps)
        return _carried(self.chart, jnp.asarray(u, self.units.dtype))


def _centre(manifold: Manifold, points: Array, weights: np.ndarray | None) -> Array:
    """The projected mean; the origin where the mean is no point to speak of."""
    middle = average(np.asarray(points, np.float64), weights)
    if manifold.periods is not None and manifold.periods.any():
        turn = 2.0 * np.pi / manifold.periods
        around = average(np.exp(1j * turn * np.asarray(points, np.float64)), weights)
        middle = np.angle(around) / turn
    centre = manifold.project(jnp.asarray(middle, points.dtype))
    if float(np.linalg.norm(middle)) < 1e-3 or not bool(jnp.isfinite(centre).all()):
        return manifold.origin(points.dtype)
    return centre


def _unrolled(chart: CoordinateChart, points: Array, name: str) -> np.ndarray:
    """Principal coordinates in the chart, shape ``(n, d)``."""
    u = np.asarray(eqx.filter_jit(jax.vmap(lambda x: chart.preimages(x)[0]))(points))
    far = np.flatnonzero(~(np.abs(u).max(axis=1) < _FURTHEST))
    if far.size:
        raise ValueError(
            f"{name}: rows {listed(far)} lie on what the {type(chart).__name__} chart leaves out, "
            "opposite to its centre. Drop them, or use the exponential chart."
        )
    return u


@eqx.filter_jit
def _all(chart: CoordinateChart, rows: Array) -> tuple[Array, Array]:
    u = jax.vmap(chart.preimages)(rows)
    return u, jax.vmap(jax.vmap(chart.log_volume))(u)


@eqx.filter_jit
def _carried(chart: CoordinateChart, u: Array) -> Array:
    return jax.vmap(chart.point)(u)
