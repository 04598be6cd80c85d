"""Kernels at very many centres, learned by the likelihood of some held-out points."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import evenly
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._types import Key
from scorefold.kernels.local.as_mixture import as_mixture
from scorefold.kernels.local.covariance import LocalCovariance, LocalKernels
from scorefold.kernels.local.crossfit import drawn_landmarks, looked_up, rows_by_fold
from scorefold.kernels.local.densities import Normals, even_sums, normals
from scorefold.kernels.local.learner import KernelLearner
from scorefold.kernels.local.levels import MOST_SEEN, seen_by
from scorefold.kernels.local.neighbourhood import (
    Neighbourhoods,
    folds_of,
    logs_of_neighbours,
    moments_of_rows,
    neighbours,
    shape_features,
)
from scorefold.kernels.local.queries import broad_densities
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.local.statistics import FoldStatistics
from scorefold.kernels.wrapped.background import broad_laws
from scorefold.kernels.wrapped.coordinates import seen_from
from scorefold.kernels.wrapped.families import KernelFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Manifold

_POOL = 1 << 14
"""Kernels, taken at random, that stand for those far away."""
_FAR = 256
"""Kernels of the pool that points see, drawn anew at every step."""
_SCORED, _HELD_OUT = 1 << 14, 1 << 12
"""Training points that are judged, and held-out ones; of more, so many are taken evenly."""
_NUMBERS = 3 << 26
"""Numbers that the neighbourhoods seen by judged points may take: of more, fewer are judged."""
_HELD = 1 << 28
"""Coordinates of neighbours that are kept."""
_FEWEST = 1 << 11
_FIRST = 2048
"""Points that are asked for a start."""
_ROWS, _QUERIES = 1 << 13, 256
"""Kernels, and points, at a time."""


class ManyQueries(NamedTuple):
    """Points x that are asked about, a row a point, each with c kernels that stand for all within a
    radius of it."""

    fold: Array
    """The fold that x is held out with (one past the last: none), ``(n,)``."""
    points: Array
    """x, ``(n, *manifold.shape)``."""
    log_counts: Array
    """For how many kernels each stands, in logarithms (−∞: it does not count), ``(n, c)``."""
    vectors: Array
    """x as each kernel's centre sees it, ``(n, c, d)``."""
    log_det: Array
    """Of the exponential map there, ``(n, c)``."""
    around: tuple[Array, Array, Array]
    """Features, moments and means of each kernel's neighbourhoods without the fold:
    ``(n, c, f)``, ``(n, c, K, p)``, ``(n, c, K, d)``."""
    radius: Array
    """Kernels farther away than this are far, ``(n,)``."""
    far: Array
    """How many kernels are far, ``(n,)``."""
    broad: Array
    """Log densities of the broad laws at x, ``(n, B)``."""


class KernelPool(NamedTuple):
    """Kernels, taken at random, that stand for all."""

    centres: Array
    fold: Array
    statistics: FoldStatistics

    @property
    def judged(self) -> int:
        """How many points there is room to judge by the neighbourhoods of the kernels they see."""
        each = sum(math.prod(a.shape[2:]) for a in jax.tree.leaves(self.statistics))
        return int(np.clip(_NUMBERS // (MOST_SEEN * each), _FEWEST, _SCORED))


class _Far(NamedTuple):
    """Far kernels as each of n points sees them: vectors, log |det d exp|, for how many each
    stands."""

    vectors: Array
    log_det: Array
    log_counts: Array


class ManyCrossFit(KernelLearner[ManyQueries]):
    """``CrossFit`` for so many kernels that not all can be looked at in every step. A point is
    judged by the kernels of other folds, of which it sees some near ones (``seen_by``) and 256 of
    all others, drawn anew at every step; each stands for those that were not drawn. Kernels
    have equal weights. So the cost of a step does not depend on how many kernels there are.

    ``counts``: sizes of the neighbourhoods; ``index``: rows of the neighbours of each centre among
    all points, ``data``; ``vectors``: as the centre sees them, where there is room for all;
    ``rows``: those of the centres, where they are not all points; other fields are those of
    ``CrossFit``.
    """

    data: Array = fixed()
    rows: Array | None = fixed()
    index: Array = fixed()
    vectors: Array | None = fixed()
    pool: KernelPool = fixed()
    counts: tuple[int, ...] = eqx.field(static=True, default=())

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
        family: KernelFamily,
        landmarks: int | None = None,
    ) -> ManyCrossFit:
        """Before training: kernels at all points of ``data``, or at so many ``landmarks``."""
        shuffle, draw = jax.random.split(key)
        fold = folds_of(data, folds, shuffle, grouped=grouped)
        folds = int(fold.max()) + 1
        rows = drawn_landmarks(landmarks, len(data), key)
        wanted = min(looked_up(counts, folds), len(data) - 1)
        index = jnp.asarray(neighbours(manifold, data, wanted, rows).astype(np.int32))
        sites = np.arange(len(data)) if rows is None else rows
        some = np.sort(np.random.default_rng(0).permutation(len(sites))[:_POOL])
        centres = data if rows is None else data[rows]
        vectors = None
        if index.size * manifold.dim <= _HELD:
            vectors = logs_of_neighbours(manifold, centres, data, index)
        near = logs_of_neighbours(manifold, centres[some], data, index[some])
        around = Neighbourhoods(index[some], near)
        pool = KernelPool(
            centres[some],
            jnp.asarray(fold[sites[some]], jnp.int32),
            FoldStatistics.of(manifold, centres[some], around, counts, fold, floor),
        )
        covariance = quick_jit(LocalCovariance.start, level=0)(
            pool.statistics.features[-1], counts=len(counts), floor=floor, width=width,
            depth=depth, dim=manifold.dim, key=draw,
        )  # fmt: skip
        broad = broad_laws(manifold, data)
        judged = evenly(len(data), pool.judged)
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=Shares.start(len(broad), data.dtype),
            family=family,
            counts=counts,
            broad=broad,
            data=data,
            rows=None if rows is None else jnp.asarray(rows, jnp.int32),
            index=index,
            vectors=vectors,
            fold_of_point=jnp.asarray(fold, jnp.int32),
            by_fold=jnp.asarray(rows_by_fold(fold[judged], -(-len(judged) // folds)), jnp.int32),
            pool=pool,
        )

    def starts(self) -> tuple[LocalCovariance, float]:
        """Coefficients to start from, along a leading axis: kernels of different widths, between
        which a batch of so many points can hardly tell. The likeliest is taken."""
        return self.covariance.wider(), 0.0

    @property
    def centres(self) -> Array:
        return self.data if self.rows is None else self.data[self.rows]

    # -- points that are asked about ---------------------------------------------------------------
    def first(self, data: Array, candidates: int) -> ManyQueries:
        """Points of the first fold, as queries."""
        return self.left_out(data, self.first_rows(len(data)))

    def first_rows(self, n: int) -> np.ndarray:
        return evenly(n, self.pool.judged)[np.asarray(self.by_fold[0, :_FIRST])]

    def asked_rows(self, n: int, *, held_out: bool) -> np.ndarray:
        most = self.pool.judged
        return evenly(n, min(_HELD_OUT, most) if held_out else most)

    def queries(self, data: Array, *, held_out: bool, candidates: int) -> ManyQueries:
        """Points as queries: ``held_out`` ones see all kernels, training points those of other
        folds. Of many, some are taken evenly."""
        some = self.asked_rows(len(data), held_out=held_out)
        if held_out:
            return self._seen(data[some], np.full(len(some), self.folds))
        return self.left_out(data, some)

    def left_out(self, data: Array, rows: np.ndarray) -> ManyQueries:
        """These rows of the training points as queries."""
        return self._seen(data[rows], np.asarray(self.fold_of_point)[rows])

    def _seen(self, points: Array, held_out: np.ndarray) -> ManyQueries:
        fold = np.asarray(self.fold_of_point)
        fold, n = fold if self.rows is None else fold[np.asarray(self.rows)], len(points)
        kernels, log_counts, radius, far = seen_by(
            self.manifold, self.centres, fold, points, held_out
        )
        at = np.minimum(np.arange(n + -n % _QUERIES), n - 1).reshape(-1, _QUERIES)
        views = quick_jit(_views_of)(
            self,
            points,
            jnp.asarray(kernels, jnp.int32),
            jnp.asarray(held_out, jnp.int32),
            jnp.asarray(at, jnp.int32),
        )
        vectors, log_det, features, moments, means = (a[:n] for a in views)
        dtype = points.dtype
        return ManyQueries(
            fold=jnp.asarray(held_out, jnp.int32),
            points=points,
            log_counts=jnp.asarray(log_counts, dtype),
            vectors=vectors,
            log_det=log_det,
            around=(features, moments, means),
            radius=jnp.asarray(radius, dtype),
            far=jnp.asarray(far, dtype),
            broad=broad_densities(self.broad, points),
        )

    # -- density -----------------------------------------------------------------------------------
    def log_prob(self, x: ManyQueries, fold: Array, key: Key) -> Array:
        """log p of queries, shape ``(n,)``, by kernels without the points of ``fold``; ``key``
        draws the far ones."""
        shares, n = self.shares.logarithms()[None], len(x.fold)
        one = lambda some: jax.nn.logsumexp(self.parts(some, fold, key) + shares, axis=1)  # noqa: E731
        if n <= _QUERIES:
            return one(x)
        at = jnp.minimum(jnp.arange(n + -n % _QUERIES), n - 1).reshape(-1, _QUERIES)
        found = jax.lax.map(lambda rows: one(jax.tree.map(lambda a: a[rows], x)), at)
        return found.reshape(-1)[:n]

    def parts(self, x: ManyQueries, fold: Array, key: Key) -> Array:
        """Log densities of the parts whose shares make p, shape ``(n, parts)``."""
        learned, log_counts, far = self._sums(x, fold, key)
        parts = [learned[:, None], x.broad]
        if self.shares.bandwidth is not None:
            parts.append(self._even(x, log_counts, far, self.shares.bandwidth[None]))
        return jnp.concatenate(parts, axis=1)

    def all_parts(self, x: ManyQueries, fold: Array, bandwidths: Array) -> Array:
        """The learned kernels, the broad laws and kernels of each bandwidth."""
        learned, log_counts, far = self._sums(x, fold, jax.random.key(0))
        even = self._even(x, log_counts, far, bandwidths)
        return jnp.concatenate([learned[:, None], x.broad, even], axis=1)

    def _sums(self, x: ManyQueries, fold: Array, key: Key) -> tuple[Array, Array, _Far]:
        """log of the learned kernels' sum; the log of how many kernels there are; the far ones."""
        pool = self.pool
        drawn = jax.random.permutation(key, len(pool.fold))[:_FAR]
        log_all = jnp.log(self._count(fold))

        def laws(around: tuple[Array, ...]) -> Normals:
            kernels = self._kernels(around)
            even = kernels._replace(log_weights=kernels.log_weights - log_all)
            return normals(self.manifold, even, jnp.ones(len(even.log_weights), bool))

        n, c = x.log_counts.shape
        near = laws(tuple(a.reshape(n * c, *a.shape[2:]) for a in x.around))
        near = jax.tree.map(lambda a: a.reshape(n, c, *a.shape[1:]), near)
        inside = x.log_counts + near.log_prob(self.manifold, x.vectors, x.log_det)

        vectors, log_det = _views(self.manifold, pool.centres[drawn], x.points)
        away = jnp.sqrt(jnp.sum(vectors**2, -1)) > x.radius[:, None]
        counted = away & (pool.fold[drawn] != fold)[None]
        drawn_far = jnp.maximum(jnp.sum(counted.astype(x.far.dtype), axis=1), 1.0)
        stands = jnp.log(jnp.maximum(x.far, 1e-30) / drawn_far)
        log_counts = jnp.where(counted, stands[:, None], -jnp.inf)
        beyond = laws(tuple(a[drawn] for a in pool.statistics.without(fold)))
        beyond = jax.tree.map(lambda a: a[None], beyond)
        outside = log_counts + beyond.log_prob(self.manifold, vectors, log_det)
        total = jax.nn.logsumexp(jnp.concatenate([inside, outside], axis=1), axis=1)
        return total, log_all, _Far(vectors, log_det, log_counts)

    def _even(self, x: ManyQueries, log_all: Array, far: _Far, widths: Array) -> Array:
        vectors = jnp.concatenate([x.vectors, far.vectors], axis=1)
        near, beyond = x.log_counts - x.log_det, far.log_counts - far.log_det
        log_w = jnp.concatenate([near, beyond], axis=1) - log_all
        return even_sums(self.manifold, vectors, log_w, widths)

    def _kernels(self, around: tuple[Array, ...]) -> LocalKernels:
        """Of equal weight: a learned one could only be measured by some of the kernels, and
        training finds weights that these do not see."""
        found = self.covariance(*around)
        found = found._replace(log_weights=jnp.zeros_like(found.log_weights))
        return found.rounded() if self.family.round else found

    def _count(self, fold: Array) -> Array:
        """How many kernels count without ``fold``."""
        of = self.fold_of_point if self.rows is None else self.fold_of_point[self.rows]
        return jnp.sum(of != fold).astype(self.data.dtype)

    def spread(self, x: ManyQueries) -> float:
        """Root mean square of the distances between points and kernels, for one axis."""
        centres = self.pool.centres[evenly(len(self.pool.centres), _FAR)]
        square = jnp.sum(quick_jit(_views)(self.manifold, centres, centres)[0] ** 2, -1)
        return math.sqrt(float(jnp.mean(square)) / self.manifold.dim)

    def whole_mixture(self) -> WrappedMixture:
        """All kernels, with nothing left out: some at a time, and none of their neighbourhoods is
        kept."""
        n, parts = len(self.index), []
        for i in range(0, n, _ROWS):
            at = np.minimum(np.arange(i, i + _ROWS), n - 1)
            parts.append(jax.tree.map(np.asarray, quick_jit(_kernels)(self, jnp.asarray(at))))
        kernels = jax.tree.map(lambda *a: jnp.asarray(np.concatenate(a)[:n]), *parts)
        return quick_jit(as_mixture)(
            self.manifold, self.centres, kernels, jnp.ones(n, bool), self.shares, self.broad,
            self.family,
        )  # fmt: skip


def _views(manifold: Manifold, centres: Array, points: Array) -> tuple[Array, Array]:
    """Each point from all of ``centres``: ``(n, c, d)``, and log |det d exp| there, ``(n, c)``."""
    one = lambda x: lambda z: seen_from(manifold, z, x)  # noqa: E731
    return jax.vmap(lambda x: jax.vmap(one(x))(centres))(points)


def _views_of(
    learner: ManyCrossFit, points: Array, kernels: Array, held_out: Array, at: Array
) -> tuple[Array, ...]:
    """``_view`` of the rows ``at``, some at a time."""
    one = lambda rows: _view(learner, points[rows], kernels[rows], held_out[rows])  # noqa: E731
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), jax.lax.map(one, at))


def _view(
    learner: ManyCrossFit, points: Array, kernels: Array, held_out: Array
) -> tuple[Array, ...]:
    """Points from each of their kernels, log |det d exp| there, and the kernels' neighbourhoods
    without the fold that each point is held out with."""
    centres = learner.centres[kernels]
    each = jax.vmap(lambda z, x: _views(learner.manifold, z, x[None]))(centres, points)
    vectors, log_det = (a[:, 0] for a in each)
    folds = jnp.broadcast_to(held_out[:, None], kernels.shape)
    around = _around(learner, kernels.reshape(-1), folds.reshape(-1))
    shaped = (a.reshape(*kernels.shape, *a.shape[1:]) for a in around)
    return vectors, log_det, *shaped


def _around(learner: ManyCrossFit, kernels: Array, fold: Array) -> tuple[Array, Array, Array]:
    """Features, moments and means of the neighbourhoods of these kernels, each without a fold."""
    manifold, index = learner.manifold, learner.index[kernels]
    centres = learner.centres[kernels]
    if learner.vectors is not None:
        vectors = learner.vectors[kernels]
    else:
        vectors = logs_of_neighbours(manifold, centres, learner.data, index)
    kept = learner.fold_of_point[index] != fold[:, None]
    moments, means = moments_of_rows(vectors, kept, learner.counts)
    shape = shape_features(moments, learner.covariance.floor, manifold.dim)
    return jnp.concatenate([shape, jax.vmap(manifold.embed)(centres)], -1), moments, means


def _kernels(learner: ManyCrossFit, rows: Array) -> LocalKernels:
    none = jnp.full(rows.shape, learner.folds, jnp.int32)
    return learner._kernels(_around(learner, rows, none))
