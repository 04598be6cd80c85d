"""Kernels that are learned by the likelihood of held-out points: cross-fitting."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import device, taken
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key
from scorefold._weights import on_device
from scorefold.kernels.local.as_mixture import as_mixture
from scorefold.kernels.local.covariance import LocalCovariance, LocalKernels
from scorefold.kernels.local.densities import even_densities, learned_densities
from scorefold.kernels.local.learner import KernelLearner
from scorefold.kernels.local.neighbourhood import Neighbourhoods, folds_of
from scorefold.kernels.local.queries import KernelSites, Queries, broad_densities, scored_rows
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.local.statistics import FoldStatistics
from scorefold.kernels.wrapped.background import broad_laws
from scorefold.kernels.wrapped.families import KernelFamily, WrappedFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Manifold

_FIRST, _MARGIN = 1024, 0.2
"""Points asked for a start, and nats a point by which another must beat the even one."""
_SPARE, _SPARE_MORE = 1.15, 8
"""Of the neighbours so many times more, and so many, are looked up than are left, in the mean, when
those of a fold are taken out."""


class CrossFit(KernelLearner[Queries]):
    """Kernels at n centres, all of which are computed in every step.

    The density of queries is of wrapped normal laws whatever the ``family`` of the mixture that is
    built: laws of one covariance Σ differ by the order of curvature · Σ.

    ``fold``: of each centre; ``log_weights``: log w of the row of each, None where all are alike:
    in neighbourhoods, broad laws and kernels a row of weight 2 counts as two in one fold.
    """

    centres: Array = fixed()
    fold: Array = fixed()
    statistics: FoldStatistics = fixed()
    log_weights: Array | None = fixed(default=None, kw_only=True)

    @classmethod
    def start(
        cls,
        manifold: Manifold,
        data: Array,
        counts: tuple[int, ...],
        *,
        floor: float,
        folds: int,
        grouped: bool,
        width: int,
        depth: int,
        key: Key,
        family: KernelFamily | None = None,
        landmarks: int | None = None,
        weights: np.ndarray | None = None,
    ) -> CrossFit:
        """Before training: kernels at all points of ``data``, or at so many ``landmarks``."""
        shuffle, draw = jax.random.split(key)
        fold = folds_of(data, folds, shuffle, grouped=grouped)
        wanted = looked_up(counts, int(fold.max()) + 1)
        rows = drawn_landmarks(landmarks, len(data), key)
        centres = data if rows is None else taken(data, rows)
        around = Neighbourhoods.of(manifold, data, min(wanted, len(data) - 1), rows)
        statistics = FoldStatistics.of(manifold, centres, around, counts, fold, floor,
                                       on_device(weights, data.dtype))  # fmt: skip
        covariance = quick_jit(LocalCovariance.start, level=0)(
            device(np.asarray(statistics.features)[-1]), counts=len(counts), floor=floor,
            width=width, depth=depth, dim=manifold.dim, key=draw,
        )  # fmt: skip
        broad = broad_laws(manifold, data, weights)
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=Shares.start(len(broad), data.dtype),
            broad=broad,
            centres=centres,
            fold=device(fold if rows is None else fold[rows], np.int32),
            fold_of_point=device(fold, np.int32),
            by_fold=device(rows_by_fold(fold[scored_rows(len(fold))]), np.int32),
            statistics=statistics,
            family=WrappedFamily() if family is None else family,
            weights=on_device(weights, data.dtype),
            log_weights=_logarithms(weights, rows, data.dtype),
        )

    @classmethod
    def whole(
        cls,
        manifold: Manifold,
        data: Array,
        counts: tuple[int, ...],
        covariance: LocalCovariance,
        shares: Shares,
        family: KernelFamily,
        weights: np.ndarray | None = None,
    ) -> CrossFit:
        """Learned coefficients with kernels at all points of ``data`` and no folds."""
        around = Neighbourhoods.of(manifold, data, counts[-1])
        none = np.full(len(data), -1)
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=shares,
            broad=broad_laws(manifold, data, weights),
            centres=data,
            fold=device(none, np.int32),
            fold_of_point=device(none, np.int32),
            by_fold=device(np.zeros((0, 1), np.int32)),
            statistics=FoldStatistics.of(
                manifold, data, around, counts, none, float(covariance.floor),
                on_device(weights, data.dtype),
            ),
            family=family,
            weights=on_device(weights, data.dtype),
            log_weights=_logarithms(weights, None, data.dtype),
        )  # fmt: skip

    def starts(self) -> tuple[LocalCovariance, float]:
        """Coefficients to start from, along a leading axis, and by how many nats a point another
        must beat the first, the even ones: from these training ends best unless they are far off.
        """
        return self.covariance.starts(), _MARGIN

    # -- points that are asked about ---------------------------------------------------------------
    def first(self, data: Array, candidates: int) -> Queries:
        """At most 1024 points of the first fold, as queries."""
        return self.left_out(data, self.first_rows(len(data)), candidates)

    def first_rows(self, n: int) -> np.ndarray:
        return scored_rows(n)[np.asarray(self.by_fold)[0, :_FIRST]]

    def asked_rows(self, n: int, *, held_out: bool) -> np.ndarray:
        return np.arange(n) if held_out else scored_rows(n)

    def queries(self, data: Array, *, held_out: bool, candidates: int) -> Queries:
        """Points as queries: ``held_out`` ones see all kernels; training points, 32768 of them at
        most, those of other folds."""
        if held_out:
            none = np.full(len(data), self.folds)
            return self._sites().seen_by(data, none, self.broad, candidates)
        return self.left_out(data, scored_rows(len(data)), candidates)

    def left_out(self, data: Array, rows: np.ndarray, candidates: int) -> Queries:
        """These rows of the training points as queries, broad laws without their fold included."""
        fold, points = np.asarray(self.fold_of_point), taken(data, rows)
        found = self._sites().seen_by(points, fold[rows], self.broad, candidates)
        if self.manifold.compact:
            return found
        broad = np.array(found.broad)
        for f in range(self.folds):
            rest = np.flatnonzero(fold != f)
            w = None if self.weights is None else np.asarray(self.weights, np.float64)[rest]
            laws = broad_laws(self.manifold, taken(data, rest), w)
            there = np.asarray(broad_densities(laws, points))
            broad[fold[rows] == f] = there[fold[rows] == f]
        return found._replace(broad=device(broad))

    # -- density -----------------------------------------------------------------------------------
    def log_prob(self, x: Queries, fold: Array, key: Key | None = None) -> Array:
        """log p of queries, shape ``(n,)``, by kernels without the points of ``fold``. Nothing is
        drawn."""
        return jax.nn.logsumexp(self.parts(x, fold) + self.shares.logarithms()[None], axis=1)

    def parts(self, x: Queries, fold: Array) -> Array:
        """Log densities of the parts whose shares make p: the learned kernels, the broad laws, the
        kernels of one bandwidth where there are some; shape ``(n, parts)``."""
        kept = self.fold != fold
        learned = learned_densities(self.manifold, self._kernels(fold), kept, x)
        parts = [learned[:, None], x.broad]
        if self.shares.bandwidth is not None:
            bandwidth = self.shares.bandwidth[None]
            parts.append(even_densities(self.manifold, kept, x, bandwidth, self.log_weights))
        return jnp.concatenate(parts, axis=1)

    def all_parts(self, x: Queries, fold: Array, bandwidths: Array) -> Array:
        """The learned kernels, the broad laws and kernels of each bandwidth."""
        kept = self.fold != fold
        even = even_densities(self.manifold, kept, x, bandwidths, self.log_weights)
        return jnp.concatenate([self.parts(x, fold), even], axis=1)

    def spread(self, x: Queries) -> float:
        """Root mean square of the distances to the kernels that are seen, for one axis."""
        vectors = np.asarray(x.vectors)
        square = np.asarray(np.sum(vectors * vectors, -1), np.float64)
        counts = np.asarray(x.log_counts) > -math.inf
        return math.sqrt(float(square[counts].mean()) / self.manifold.dim)

    def whole_mixture(self) -> WrappedMixture:
        """``mixture``, compiled."""
        return quick_jit(CrossFit.mixture)(self)

    def mixture(self, without: Array | None = None) -> WrappedMixture:
        """The kernels with nothing left out, or ``without`` a fold: its kernels keep their rows
        with weight 0, and the neighbourhoods of the others are taken without its points."""
        fold = jnp.int32(self.folds) if without is None else without
        return as_mixture(
            self.manifold, self.centres, self._kernels(fold), self.fold != fold, self.shares,
            self.broad, self.family, self.log_weights,
        )  # fmt: skip

    # -- inside ------------------------------------------------------------------------------------
    def _kernels(self, fold: Array) -> LocalKernels:
        found = self.covariance(*self.statistics.without(fold))
        if self.log_weights is not None:
            found = found._replace(log_weights=found.log_weights + self.log_weights)
        return found.rounded() if self.family.round else found

    def _sites(self) -> KernelSites:
        sizes = np.asarray(self.statistics.features)[-1, :, self.covariance.middle]
        return KernelSites(self.manifold, self.centres, sizes, np.asarray(self.fold), self.folds)


def _logarithms(
    weights: np.ndarray | None, rows: np.ndarray | None, dtype: DTypeLike
) -> Array | None:
    """log w of the rows at which there are kernels."""
    if weights is None:
        return None
    return device(np.log(weights if rows is None else weights[rows]), dtype)


def looked_up(counts: tuple[int, ...], folds: int) -> int:
    """Neighbours to look up: enough that the largest count is left when a fold is taken out."""
    return math.ceil(_SPARE * counts[-1] * folds / max(folds - 1, 1)) + _SPARE_MORE


def drawn_landmarks(landmarks: int | None, n: int, key: Key) -> np.ndarray | None:
    """Rows of so many of n points, drawn at random; None where they are all."""
    if landmarks is None or landmarks >= n:
        return None
    order = jax.random.permutation(jax.random.fold_in(key, 2), n)
    return np.sort(np.asarray(order)[:landmarks])


def rows_by_fold(asked: np.ndarray, width: int | None = None) -> np.ndarray:
    """Rows of the points of each fold, repeated to equal length, or ``width`` of each. ``asked``:
    the fold of each point that is asked about."""
    rows = [np.flatnonzero(asked == f) for f in range(int(asked.max()) + 1)]
    # A fold of which no point is asked about: the points of another take its turn.
    rows = [r if len(r) else max(rows, key=len) for r in rows]
    return np.stack([np.resize(r, width or max(map(len, rows))) for r in rows])
