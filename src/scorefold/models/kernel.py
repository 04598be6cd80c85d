"""Kernel model: a mixture of wrapped normal laws with learned local covariances."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ClassVar, TypeVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._blocks import by_blocks, device, in_blocks, is_traced
from scorefold._choice import Choice
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key, NumPyOrJax, Scalar, Values
from scorefold._warnings import warn
from scorefold._weights import mean, rows_that_count, systematic
from scorefold.fitting import Defaults, Description, RowWeights, Trainer, batch_rows
from scorefold.kernels import (
    EsagFamily,
    HeatFamily,
    KernelFamily,
    WrappedFamily,
    WrappedMixture,
    mixture_mass,
)
from scorefold.kernels.local.best_start import with_best_start
from scorefold.kernels.local.covariance import LocalCovariance
from scorefold.kernels.local.crossfit import CrossFit
from scorefold.kernels.local.learner import KernelLearner
from scorefold.kernels.local.low_rank import LowRankCrossFit
from scorefold.kernels.local.many import ManyCrossFit
from scorefold.kernels.local.neighbourhood import resolution
from scorefold.kernels.local.settle import settled
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.wrapped.truncated import cheaper_log_prob
from scorefold.manifolds import Manifold
from scorefold.models._base import Model
from scorefold.models.kernels_in_units import kernels_in_units
from scorefold.models.standardise import Units, to_inner

L = TypeVar("L", CrossFit, ManyCrossFit, LowRankCrossFit)

_COUNTS = (2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610)
_SHARE = 12
"""Neighbourhoods beyond _LARGE are of one point in so many, or fewer: larger ones see the shape of
all data, and training starts from too wide kernels."""
_LARGE = 233
_NUMBERS = 1 << 28
"""Coordinates of neighbours that are held at a time: default neighbourhoods stay below."""
_BLOCK = 1 << 18
"""Pairs of a point and a kernel at a time."""
_LEFT_OUT = 1e-4
"""Share of the density that ``log_prob`` may leave out where many kernels are summed."""
_MOST = 89
"""The largest neighbourhood of very many kernels by default: they start as wide as is likeliest."""
_POOL = 1 << 14
"""Kernels whose neighbourhoods are held at a time, at most."""
_MANY = 1 << 15
"""Kernels of which not all are computed in every step of training."""
_FULL, _SMALL = 1 << 26, 32
"""Numbers that full covariances may take while they are learned: of more, in more than so many
dimensions, they are of low rank."""
_SITES, _COORDINATES = 512, 1 << 27
"""Kernels of low rank, and coordinates of their neighbours that are held."""
_FEW_COUNTS = (5, 13, 34, 89, 233)
"""Neighbourhoods of kernels of low rank."""
_WIDE = 1.0
"""A floor above this, in radians or standard deviations, is warned of."""
_FORMS = ("auto", "full", "low-rank")
_FAMILIES: dict[str, type[KernelFamily]] = {
    "wrapped": WrappedFamily,
    "heat": HeatFamily,
    "esag": EsagFamily,
}


class KernelModel(Description["FittedKernelModel"]):
    """Wrapped normal kernels at the training points with learned local covariances:

        p(x) = ε u(x) + (1 − ε) Σ_i w_i N(log_{z_i} x; 0, Σ_i) |det d exp|⁻¹.

    Σ_i is a combination of the covariances of the 2, 3, 5, 8, … nearest neighbours of z_i and an
    isotropic part, and the coefficients, like w_i, are learned functions of the shape of the
    neighbourhood and the place (``LocalCovariance``). They maximise the likelihood of points that
    have been left out: the data are divided into folds, and a point is judged by the kernels of
    the other folds, whose neighbourhoods are taken without its fold. u is uniform on compact
    manifolds, elsewhere one normal law and a wider one. When training ends, ε and the share of
    kernels of one common bandwidth are set to what left-out and held-out points ask for, by an
    exact maximisation: where the kernels learned nothing, what is left is u.

    Density and draws are in closed form, without simulation; ``score_at(s, x)`` at every level of
    noise (``WrappedMixture`` says how exact). One set of defaults serves every geometry; 4 points
    are enough. Told neither ``steps`` nor ``budget``, ``fit`` stops after 6 validations without
    improvement, and goes on beyond 400 steps, to 1600 at most, while validation falls.

    **Arguments:**

    - ``counts``: sizes of the neighbourhoods (those that the data allow are used). Default: 2, 3,
      5, 8, …, 55, in four and more dimensions to 233, where a radius grows more slowly with k,
      and to 610 as far as that is a twelfth of the points (or less, where these are too many for
      a gigabyte of neighbours).
    - ``floor``: smallest standard deviation of a kernel, in radians on curved spaces and in
      standard deviations of the data on flat ones, whose coordinates are standardised
      (``units``). Default: the
      smallest positive distance between two training points, which is what they were rounded to,
      in three and more dimensions at most a thousandth of their spread (no two are close there).
      Where points repeat, the likelihood grows without bound as the floor goes to 0.
    - ``folds``; ``grouped``: equal points share a fold, so that none is held out beside a copy
      (right where test points are new); False where test points may repeat training points.
    - ``candidates``: nearest kernels that a point is judged by while fitting, besides the
      widest 32 and a random 96 that stand for the rest. The fitted model sums over all. More
      than 32768 kernels are fitted in a time for each step that does not grow with them
      (``ManyCrossFit``): 16384 points are judged, by kernels of equal weight that stand for
      all, neighbourhoods go to 89, and training starts as wide as is likeliest.
    - ``width``, ``depth``: of the network.
    - ``kernel``: ``"wrapped"``; ``"heat"``, heat kernels of learned bandwidths τ_i, Σ_i = τ_i·1,
      whose score is exact at every noise level; ``"esag"`` (S²), elliptically symmetric angular
      Gaussian laws, smooth on the whole sphere.
    - ``landmarks``: kernels sit at so many points, drawn at random (default: at all). The others
      still shape the neighbourhoods and judge; cost and size of the model fall in proportion.
    - ``form``: ``"full"`` covariances, ``"low-rank"``, Σ_i = diag δ_i + Σ_k λ_ik E_ik E_ikᵀ of
      ``rank`` axes (``LowRankCrossFit``), or ``"auto"``: full ones, but where in more than 32
      dimensions those of all neighbourhoods would take more than 2²⁶ numbers. Kernels of low rank
      sit at 512 points by default, with neighbourhoods of 5, 13, 34, 89, 233; one normal law
      stands behind them on compact manifolds too. ``model.form`` says which were fitted.

    **Weights.** A row of weight w has a kernel of w times the weight and counts w times in the
    moments of neighbourhoods, in the broad laws and in the likelihood of left-out points, and so is
    left out with its whole weight. k nearest neighbours are k rows. Of low rank and for more
    than 32768 kernels rows are repeated in proportion to their weights instead (systematically,
    as many rows as there are).

    Source: Zhang, Liu, Li, Katsoulakis & Osher 2024 (learned local covariances); Bengio,
    Larochelle & Vincent 2006 (non-local manifold Parzen windows). Neighbourhood statistics,
    cross-fitting and the manifold form are this library's.
    """

    weighs: ClassVar[bool] = True

    manifold: Manifold
    counts: tuple[int, ...] | None = None
    floor: float | None = None
    folds: int = 8
    grouped: bool = True
    candidates: int = 128
    width: int = 64
    depth: int = 2
    kernel: str = "wrapped"
    landmarks: int | None = None
    form: str = "auto"
    rank: int = 16

    def __check_init__(self) -> None:
        if self.form not in _FORMS:
            raise ValueError(f"form: one of {', '.join(_FORMS)}; got {self.form!r}.")
        if self.rank < 1:
            raise ValueError(f"rank: at least 1, got {self.rank}.")
        if self.form == "low-rank" and self.rank >= self.manifold.dim:
            raise ValueError(
                f"rank: {self.rank} axes are no fewer than the dimensions of {self.manifold.name}; "
                'state a smaller one, or form="full".'
            )
        if self.kernel not in _FAMILIES:
            raise ValueError(f"kernel: one of {', '.join(_FAMILIES)}; got {self.kernel!r}.")
        _FAMILIES[self.kernel]().check(self.manifold)
        if self.landmarks is not None and self.landmarks < self.folds:
            raise ValueError(
                f"landmarks: at least one kernel for each of {self.folds} folds, got "
                f"{self.landmarks}."
            )

    @property
    def defaults(self) -> Defaults:
        return Defaults(steps=400, batch_size=256, learning_rate=5e-3, patience=6, longest=1600)

    @property
    def family(self) -> KernelFamily:
        return _FAMILIES[self.kernel]()

    def trainer(
        self, key: Key, data: np.ndarray, weights: np.ndarray | None = None
    ) -> KernelTrainer:
        units = Units.measure(self.manifold, data, near=True, weights=weights)
        points = to_inner(self.manifold, units, data, "data")
        if self.floor is not None and self.floor > _WIDE:
            flat = self.manifold.flat_coordinates
            unit = "" if flat.any() and not flat.all() else (
                " standard deviations" if flat.all() else " radians"
            )  # fmt: skip
            warn(
                f"floor: kernels of {self.floor:g}{unit} and more are wider than the data: what "
                "is left is the background."
            )
        learner: KernelLearner
        low_rank, repeated = self.low_rank(len(points)), None
        if weights is not None and (low_rank or self._kernels(len(points)) > _MANY):
            repeated = device(systematic(weights, len(points)), np.int32)
            points = points[repeated]
        if low_rank:
            learner = self._start(LowRankCrossFit, key, points)
            return KernelTrainer(self, learner, units, repeated)
        if self._kernels(len(points)) > _MANY:
            learner = self._start(ManyCrossFit, key, points)
        else:
            learner = self.cross_fit(key, points, weights)
        best = with_best_start(learner, points, self.candidates)
        return KernelTrainer(self, best, units, repeated)

    def low_rank(self, n: int) -> bool:
        """Whether covariances of kernels at n points are of low rank."""
        d = self.manifold.dim
        if self.form != "auto" or d <= max(_SMALL, self.rank):
            return self.form == "low-rank"
        kernels = min(self._kernels(n), _POOL)
        return kernels * self.folds * len(self._counts(n)) * d * (d + 1) // 2 > _FULL

    def cross_fit(self, key: Key, data: Array, weights: np.ndarray | None = None) -> CrossFit:
        """The kernels before training, for data in inner coordinates."""
        return self._start(CrossFit, key, data, weights)

    def _start(self, kind: type[L], key: Key, data: Array, weights: np.ndarray | None = None) -> L:
        low_rank = kind is LowRankCrossFit
        landmarks = self.landmarks or _SITES if low_rank else self.landmarks
        start: Callable[..., L] = kind.start
        if low_rank:
            start = functools.partial(start, rank=self.rank)
        if weights is not None:
            start = functools.partial(start, weights=weights)
        return start(
            self.manifold,
            data,
            self._counts(len(data), low_rank=low_rank),
            floor=resolution(self.manifold, data, self.floor),
            folds=min(self.folds, len(data)),
            grouped=self.grouped,
            width=self.width,
            depth=self.depth,
            key=key,
            family=self.family,
            landmarks=landmarks,
        )

    def every_count(self, *, low_rank: bool = False) -> tuple[int, ...]:
        """Sizes of neighbourhoods, those too large for the data included."""
        usual = _FEW_COUNTS if low_rank else _COUNTS[: 8 if self.manifold.dim <= 3 else None]
        return tuple(sorted(self.counts or usual))

    def _kernels(self, n: int) -> int:
        return n if self.landmarks is None else min(n, self.landmarks)

    def _counts(self, n: int, *, low_rank: bool = False) -> tuple[int, ...]:
        most = (n - 1) * 3 // 4
        if low_rank:
            sites = min(n, self.landmarks or _SITES)
            most = min(most, max(55, _COORDINATES // (sites * self.manifold.dim)))
        elif self.counts is None and self._kernels(n) > _MANY:
            most = min(most, _MOST)
        elif self.counts is None:
            held = _NUMBERS // (n * self.manifold.dim)
            most = min(most, max(55, held), max(_LARGE, n // _SHARE))
        every = self.every_count(low_rank=low_rank)
        usable = tuple(k for k in every if k <= most)
        if not usable:
            smallest = min(every)
            raise ValueError(
                f"data: {n} points are too few for a KernelModel, whose smallest neighbourhood is "
                f"of {smallest} points with a part of the data left out: it needs "
                f"{-(-4 * smallest // 3) + 1}. Use HeatKernelDensity.choose(manifold, data), one "
                "bandwidth for 2 points and more, or more data."
            )
        return usable


class KernelTrainer(Trainer["FittedKernelModel"]):
    """Kernels, learned by the likelihood of points that are left out with their whole fold."""

    description: KernelModel
    learner: KernelLearner
    units: Units = fixed()
    repeated: Array | None = fixed(default=None)
    """Rows of the data, by their weights, that take part; None: all, once."""

    def examples(self, data: np.ndarray, name: str = "data", *, held_out: bool = False) -> PyTree:
        points = to_inner(self.description.manifold, self.units, data, name)
        if self.repeated is not None and not held_out:
            points = points[self.repeated]
        return self.learner.queries(
            points, held_out=held_out, candidates=self.description.candidates
        )

    def example_weights(self, weights: np.ndarray, *, held_out: bool = False) -> np.ndarray:
        rows = self.learner.asked_rows(len(weights), held_out=held_out)
        if self.repeated is not None and not held_out:
            return np.ones(len(rows))
        return weights[rows]

    def batch_rows(self, key: Key, step: Array, n: int, size: int) -> Array:
        """Points of one fold, the folds taking turns."""
        learner = self.learner
        place = batch_rows(key, step // learner.folds, learner.by_fold.shape[1], size)
        return learner.by_fold[step % learner.folds, place]

    def batch_loss(self, x: PyTree, key: Key) -> Array:
        return -self.learner.log_prob(x, x.fold[0], key)

    def validate(self, x: PyTree, key: Key, weights: Array | None = None) -> Scalar:
        """Mean NLL in the user's units, by the kernels within sight."""
        value = mean(self.learner.log_prob(x, x.fold[0], key), weights)
        return jnp.asarray(self.units.log_volume, value.dtype) - value

    def model(
        self, data: PyTree, val: PyTree | None, weights: RowWeights | None = None
    ) -> FittedKernelModel:
        """With the shares of kernels, broad laws and kernels of one bandwidth that left-out and
        held-out points ask for (``settled``); nothing else is kept of the data."""
        learner = settled(self.learner, data, val, *(weights or (None, None)))
        return FittedKernelModel(
            self.description,
            learner.covariance,
            learner.shares,
            learner.whole_mixture(),
            self.units,
        )


class FittedKernelModel(Model):
    """A fitted ``KernelModel``: the mixture p(x) = ε u(x) + (1 − ε) Σ_i w_i k_i(x) in closed form.

    ``mixture``: the kernels in inner coordinates; ``covariance``, ``shares``: what was learned of
    the shape of neighbourhoods, and of the parts.
    """

    description: KernelModel
    covariance: LocalCovariance
    shares: Shares
    mixture: WrappedMixture = fixed()
    units: Units = fixed()

    @property
    def manifold(self) -> Manifold:
        return self.description.manifold

    @property
    def form(self) -> str:
        """Of the covariances: ``"full"``, or ``"low-rank"``, a diagonal and a few axes."""
        return "full" if self.mixture.diagonal is None else "low-rank"

    @property
    def exact_mass(self) -> tuple[float, float] | None:
        return mixture_mass(self.mixture)

    def log_prob(self, x: Values) -> Array:
        """log p(x) in nats: the sum over all kernels, exact up to rounding. For many points and
        kernels, cells of them that together make less than 10⁻⁴ of the density at x are left out
        (``truncated_log_prob``): log p is exact up to 10⁻⁴ nats then, and not too large. Inside a
        JAX transformation all kernels are summed."""
        return self._density(self.log_densities, x, whole=True)

    def score_at(self, s: float | Scalar, x: Values) -> Array:
        """∇ log p_s(x), tangent at x, after Brownian motion for the variance-time s ≥ 0 (of the
        standardised coordinates, where they are flat)."""
        return self._gradient(lambda rows: _score(self.mixture, rows, device(s, rows.dtype)), x)

    def sample(self, key: Key, n: int) -> NumPyOrJax:
        """n draws: a kernel, then a normal draw in its tangent space."""
        return self._draws(lambda keys: quick_jit(_draw)(self.mixture, keys), key, n)

    def mixture_in_units(self) -> WrappedMixture:
        """The kernels in the user's units, as wrapped normal laws: for pictures, and for what reads
        centres and covariances (``LearnedManifold.of``). ``mixture`` itself is in inner
        coordinates, which differ where flat ones are standardised."""
        return kernels_in_units(self.mixture, self.units)

    def with_centres(self, points: Values, weights: Values | None = None) -> FittedKernelModel:
        """The model with kernels at other points: what was learned of the shape of
        neighbourhoods is applied to theirs. Nothing is trained, and a kernel is added in no time:
        for data that come later, or for the validation points once they have chosen
        (``model.with_centres(jnp.concatenate([train, val]))``). The points are then part of the
        density: held-out points must be others. ``weights``: of these rows, as of ``fit``.

        **Raises:** ``ValueError`` for fewer points than the largest neighbourhood.
        """
        rows, batch = self._rows(points, "points")
        kept, w = rows_that_count("weights", weights, len(rows))
        rows = rows if kept is None else np.asarray(rows)[kept]
        data = jnp.asarray(rows, self.mixture.centres.dtype)
        low_rank = self.form == "low-rank"
        every = self.description.every_count(low_rank=low_rank)
        counts = every[: len(self.covariance.shares)]
        if len(batch) != 1 or len(data) <= counts[-1]:
            raise ValueError(
                f"points: neighbourhoods of up to {counts[-1]} were learned, and these points, of "
                f"shape {data.shape}, are too few for them. Fit a KernelModel to them, or pass "
                "them together with the points that the model was fitted to."
            )
        parts = (data, counts, self.covariance, self.shares, self.description.family)
        learner: KernelLearner
        if low_rank:
            repeated = data if w is None else data[systematic(w, len(data))]
            learner = LowRankCrossFit.whole(self.manifold, repeated, *parts[1:])
        else:
            learner = CrossFit.whole(self.manifold, *parts, w)
        return eqx.tree_at(lambda k: k.mixture, self, learner.whole_mixture())

    def cross_fit(self, key: Key, data: Array, weights: np.ndarray | None = None) -> CrossFit:
        """The fitted kernels once without each fold of ``data``, the points they were fitted to, in
        inner coordinates (``to_inner``): for what is to be learned on top of them. The folds are
        drawn from ``key``; ``weights``: those that the model was fitted with.

        **Raises:** ``ValueError`` for other points, for kernels at landmarks and of low rank.
        """
        if self.form == "low-rank":
            raise ValueError(
                "form: kernels of low rank cannot be taken apart by folds again. Fit a "
                'KernelModel with form="full".'
            )
        landmarks, mixture = self.description.landmarks, self.mixture
        if landmarks is not None and landmarks < len(data):
            raise ValueError(
                "landmarks: kernels at a part of the points cannot be taken apart by folds again. "
                "Fit a KernelModel without landmarks."
            )
        each = 1 + len(self.covariance.tail) + (self.shares.bandwidth is not None)
        same = len(mixture.centres) == each * len(data)
        if same:
            learner = eqx.tree_at(
                lambda k: (k.covariance, k.shares),
                self.description.cross_fit(key, data, weights),
                (self.covariance, self.shares),
            )
            rebuilt = quick_jit(CrossFit.mixture)(learner).centres
            same = bool(jnp.allclose(rebuilt, mixture.centres, rtol=1e-3, atol=1e-3))
        if not same:
            raise ValueError(
                f"data: the kernels stand on other points than these {len(data)}. Pass the points "
                "that the KernelModel was fitted to, in the same order."
            )
        return learner

    def log_densities(self, rows: NumPyOrJax) -> Array:
        """log p of inner coordinates, one point a row, with respect to their own volume."""
        mixture = self.mixture
        if not is_traced((rows, mixture)):
            found = cheaper_log_prob(mixture, rows, rtol=_LEFT_OUT)
            if found is not None:
                return found
        return by_blocks(lambda some: _log_prob(mixture, some), rows)


@eqx.filter_jit
def _log_prob(mixture: WrappedMixture, rows: Array) -> Array:
    size = max(1, min(len(rows), _BLOCK // len(mixture.centres)))
    return in_blocks(mixture.log_prob, rows, size)


@eqx.filter_jit
def _score(mixture: WrappedMixture, rows: Array, s: Array) -> Array:
    size = max(1, min(len(rows), _BLOCK // len(mixture.centres)))
    return in_blocks(lambda x: mixture.score(x, s), rows, size)


def _draw(mixture: WrappedMixture, keys: Array) -> Array:
    choice = Choice.of(mixture.log_weights)
    return in_blocks(lambda key: mixture.sample(key, choice), keys, 4096)
