"""Gaussian kernels with learned local covariances, on flat space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, in_blocks
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Point, Scalar, ScalarLike, Values
from scorefold._weights import counted, mean, on_device, rows_that_count
from scorefold.fitting import Description, RowWeights, Trainer
from scorefold.kernels import CovarianceNetwork, GaussianMixture
from scorefold.kernels.bandwidth import leave_one_out_bandwidth, same_points
from scorefold.kernels.gaussian.network import Form, check_form
from scorefold.kernels.gaussian.objectives import held_out_implicit, held_out_nll
from scorefold.manifolds import Euclidean
from scorefold.models._base import Model, count
from scorefold.models.standardise import Units, to_inner
from scorefold.noising import Linear, VarianceExploding
from scorefold.samplers import sample_ode, sample_reverse


class GaussianKernelModel(Description["FittedGaussianKernelModel"]):
    """π_θ(x) = (1/n) Σ_i N(x; Z_i, Σ_θ(Z_i)): one Gaussian around every centre, of a shape that a
    network reads off the centre, of weight 1/n, or w_i/Σw where rows carry weights. Density, score
    and draws at every noise level are closed forms.

    The centres are training points (all of them, or ``centres`` of them drawn at random). In the
    loss at a training point the kernels at distance zero from it do not count: leave one out, and
    for repeated points leave all copies out. Otherwise the loss has no lower bound.

    **Arguments:**

    - ``manifold``: ``Euclidean(d)``.
    - ``form``: ``"cholesky"``, ``"diagonal"`` or ``"low-rank"`` (with ``rank``: memory O(d·rank)
      a kernel).
    - ``objective``: ``"nll"`` (likelihood) or ``"implicit"`` (score matching).
    - ``floor``: smallest standard deviation of a kernel, as a fraction of the bandwidth that
      leave-one-out chooses for round kernels (which training starts from).
    - ``width``, ``depth``: of the network. ``centres``: how many (default: every training point).
    - ``s_min``, ``s_max``: noise levels between which ``method="sde"`` and ``"ode"`` sample, and
      which ``score(t, x)`` runs over. ``log_prob`` is the law itself, s = 0.

    Coordinates are standardised inside (``units``; noise levels and ``points`` are in those units).
    Fit with validation data: the model overfits, and ``fit`` keeps the best. ``batch_size=256``,
    400 steps and ``validate_every=25`` suit 1000 points; ``with_centres`` then adds the validation
    points.

    Source: Zhang et al. 2024 (Wasserstein proximal operators describe score-based generative
    models and resolve memorization), Section 4.
    """

    weighs: ClassVar[bool] = True

    manifold: Euclidean
    form: Form = "cholesky"
    objective: Literal["nll", "implicit"] = "nll"
    floor: float = 0.15
    rank: int = 2
    width: int = 64
    depth: int = 5
    centres: int | None = None
    s_min: float = 1e-4
    s_max: float = 25.0

    def __check_init__(self) -> None:
        if not self.manifold.euclidean:
            raise ValueError(
                f"Gaussian kernels live on flat space, not on {self.manifold!r}: pass Euclidean(d)."
            )
        check_form(self.form, self.floor, self.rank, self.manifold.d)
        if self.objective not in ("nll", "implicit"):
            raise ValueError(f'objective must be "nll" or "implicit", got {self.objective!r}.')
        if self.centres is not None and self.centres < 2:
            raise ValueError(f"centres must be 2 or more, or None for all; got {self.centres}.")
        if not 0 < self.s_min < self.s_max:
            raise ValueError(f"Needs 0 < s_min < s_max, got {self.s_min} and {self.s_max}.")

    @property
    def noising(self) -> VarianceExploding:
        """Brownian motion from the (standardised) data to s_max; s(t) is quadratic in t."""
        return VarianceExploding(self.manifold, Linear(1e-3, 2.0 * self.s_max - 1e-3))

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> GaussianKernelTrainer:
        """Chooses centres and the bandwidth that training starts from."""
        units = Units.measure(self.manifold, data, weights=weights)
        rows = to_inner(self.manifold, units, data, "data")
        pick, start = jax.random.split(key)
        count = len(rows) if self.centres is None else min(self.centres, len(rows))
        chosen = np.sort(np.asarray(jax.random.permutation(pick, len(rows)))[:count])
        points = rows[chosen]
        w = None if weights is None else on_device(weights[chosen], rows.dtype)
        if len(np.unique(np.asarray(points), axis=0)) < 2:
            raise ValueError("data: needs at least two different points.")
        network = CovarianceNetwork(
            self.manifold.d,
            bandwidth=math.sqrt(leave_one_out_bandwidth(self.manifold, points, weights=w)),
            form=self.form,
            floor=self.floor,
            rank=self.rank,
            width=self.width,
            depth=self.depth,
            dtype=rows.dtype,
            key=start,
        )
        log_w = None if w is None else jnp.log(w / jnp.sum(w))
        return GaussianKernelTrainer(FittedGaussianKernelModel(self, network, points, units, log_w))


class FittedGaussianKernelModel(Model):
    """A fitted ``GaussianKernelModel``: ``network`` gives the kernels at ``points`` (inner);
    ``log_weights``: of the kernels, None where all are alike."""

    description: GaussianKernelModel
    network: CovarianceNetwork
    points: Array = fixed()
    units: Units = fixed(default=Units())
    log_weights: Array | None = fixed(default=None)

    @property
    def manifold(self) -> Euclidean:
        return self.description.manifold

    def law(self) -> GaussianMixture:
        """The mixture in inner coordinates."""
        found = self.network.mixture(self.points)
        if self.log_weights is None:
            return found
        return GaussianMixture(self.log_weights, found.centres, found.covariances)

    def mixture(self, s: ScalarLike | None = None) -> GaussianMixture:
        """The mixture in the user's units, after Brownian motion for variance-time s of the
        standardised coordinates."""
        return _mixture(self, s, True)

    @property
    def exact_mass(self) -> tuple[float, float]:
        return 1.0, 0.0

    def log_prob(self, x: Values, s: ScalarLike | None = None) -> Array:
        """log π(x) in nats, closed form (at noise level s if given)."""
        level = lambda rows: None if s is None else device(s, rows.dtype)  # noqa: E731
        return self._density(lambda rows: _log_prob(self, rows, level(rows)), x)

    def score(self, t: ScalarLike, x: Values) -> Array:
        """∇ log π_{s(t)}(x), closed form; t ∈ [0, 1], 0 the data end."""
        return self._gradient(lambda rows: _score(self, rows, device(t, rows.dtype)), x)

    def sample(
        self,
        key: Key,
        n: int,
        *,
        method: Literal["direct", "sde", "ode"] = "direct",
        steps: int = 300,
    ) -> NumPyOrJax:
        """n draws: exact (a centre, then a normal), or through noise: the reversed SDE in
        ``steps`` steps, or the probability flow, from s_max to s_min, with the closed-form score.
        The three agree in law up to the steps, s_min and the reference."""
        law = _mixture(self, None, False)
        if method == "direct":
            return self._draws(lambda keys: _draw(law, keys), key, n)
        asked, field, n = self.description, _MixtureScore(law), count(n)
        ends = {"s_min": asked.s_min, "s_max": asked.s_max, "dtype": law.centres.dtype}
        if method == "sde":
            return self._outer(
                sample_reverse(asked.noising, field, key, n, steps=steps, **ends)  # type: ignore[arg-type]
            )
        if method == "ode":
            return self._outer(sample_ode(asked.noising, field, key, n, **ends))  # type: ignore[arg-type]
        raise ValueError(f'method must be "direct", "sde" or "ode", got {method!r}.')

    def marginal(self, indices: Sequence[int]) -> GaussianMixture:
        """The law of these coordinates; see ``GaussianMixture.marginal``."""
        return self.mixture().marginal(indices)

    def conditional(self, given: Sequence[int], values: Values) -> GaussianMixture:
        """The law of the others when ``given`` are ``values``: ``GaussianMixture.conditional``."""
        return self.mixture().conditional(given, values)

    def with_centres(
        self, points: Values, weights: Values | None = None
    ) -> FittedGaussianKernelModel:
        """The same network with kernels around other points: more data without training, for
        example training and validation points once validation has chosen. ``weights``: of the
        points, as of ``fit``."""
        found = self._rows(points, "points")[0]
        kept, w = rows_that_count("weights", weights, len(found))
        centres = jnp.asarray(counted(np.asarray(found), kept), self.points.dtype)
        log_w = None if w is None else on_device(np.log(w / w.sum()), centres.dtype)
        return FittedGaussianKernelModel(self.description, self.network, centres, self.units, log_w)


class GaussianKernelTrainer(Trainer[FittedGaussianKernelModel]):
    """The model itself, its network on its way."""

    shared_examples: ClassVar[bool] = True

    fitted: FittedGaussianKernelModel

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> Array:
        return to_inner(self.fitted.manifold, self.fitted.units, data, name)

    def batch_loss(self, x: Array, key: Key) -> Array:
        omitted = same_points(x, self.fitted.points)
        likelihood = self.fitted.description.objective == "nll"
        objective = held_out_nll if likelihood else held_out_implicit
        return objective(self.fitted.law, x, omitted)

    def validate(self, x: Array, key: Key, weights: Array | None = None) -> Scalar:
        nll = -mean(_log_prob(self.fitted, x, None), weights)
        return jnp.asarray(self.fitted.units.log_volume, x.dtype) + nll

    def model(
        self, data: Array, val: Array | None, weights: RowWeights | None = None
    ) -> FittedGaussianKernelModel:
        return self.fitted


class _MixtureScore(eqx.Module):
    """(x, s) ↦ ∇ log π_s(x), as samplers want it."""

    law: GaussianMixture

    def __call__(self, x: Point, s: Scalar) -> Point:
        return self.law.score(x, s)


_CHUNK = 1024


@eqx.filter_jit
def _mixture(
    model: FittedGaussianKernelModel, s: ScalarLike | None, outward: bool
) -> GaussianMixture:
    law, units = model.law().at(s), model.units
    if not outward or units.shifts is None:
        return law
    return law.rescaled(jnp.asarray(units.shift), jnp.asarray(units.scale))


@eqx.filter_jit
def _log_prob(model: FittedGaussianKernelModel, x: Array, s: Scalar | None) -> Array:
    return in_blocks(model.law().astype(x.dtype).at(s).log_prob, x, _CHUNK)


@eqx.filter_jit
def _score(model: FittedGaussianKernelModel, x: Array, t: Scalar) -> Array:
    s = model.description.noising.schedule.s(t)
    return in_blocks(model.law().astype(x.dtype).at(s).score, x, _CHUNK)


@eqx.filter_jit
def _draw(law: GaussianMixture, keys: Array) -> Array:
    return jax.vmap(lambda key: law.sample(key, 1)[0])(keys)
