"""Kernels of low rank in many dimensions, learned by the likelihood of held-out points."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blas import one_blas_thread
from scorefold._blocks import evenly
from scorefold._compile import quick_jit
from scorefold._fixed import fixed
from scorefold._matmul import einsum
from scorefold._types import Key, NumPyOrJax
from scorefold.kernels.local.best_start import best_start
from scorefold.kernels.local.covariance import ROUNDEST, LocalCovariance, size_of
from scorefold.kernels.local.crossfit import drawn_landmarks, looked_up, rows_by_fold
from scorefold.kernels.local.frames import Frames, Views
from scorefold.kernels.local.learner import KernelLearner
from scorefold.kernels.local.neighbourhood import folds_of, logs_in_frames, neighbours
from scorefold.kernels.local.queries import broad_densities
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.wrapped.background import MixedReference, NormalLaws, plain_law, widened
from scorefold.kernels.wrapped.families import KernelFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.kernels.wrapped.moved import moved_axes
from scorefold.kernels.wrapped.reach import reaches, widest_variances
from scorefold.manifolds import Manifold
from scorefold.noising import Reference

_NUMBERS = 1 << 27
"""Numbers that the views of the points that are asked about may take: of more, fewer are asked."""
_FIRST = 256
"""Points that are asked for a start."""
_FEWEST = 13
"""The smallest neighbourhood that may give the axes, where there are larger ones."""
_WIDTHS, _PULLS = (0.7, 1.4), (0.0, 0.9)
"""Starts: of one neighbourhood, so many times its covariance, so far towards its mean."""
_REST = 0.03
"""Starts: of all other neighbourhoods together."""
_BEYOND = 1e30
"""Bound on squared distances in standard deviations."""


class LowRankQueries(NamedTuple):
    """Points x that are asked about, a row a point, as all n kernels see them."""

    fold: Array
    """The fold that x is held out with (one past the last: none), ``(q,)``."""
    views: Views
    broad: Array
    """Log densities of the broad laws at x, ``(q, B)``."""

    @property
    def log_counts(self) -> Array:
        return jnp.zeros_like(self.views.rest)


class _Kernels(NamedTuple):
    """n kernels in their frames, each with wider ones around it: τ, ``(n,)``; ν, ``(n, r)``; e,
    ``(n, K)``; log w, ``(n,)``; factors of the covariance and logarithms of the shares, the narrow
    kernel first, ``(n, t + 1)``."""

    across: Array
    along: Array
    pulls: Array
    log_weights: Array
    widening: Array
    log_shares: Array


class LowRankCrossFit(KernelLearner[LowRankQueries]):
    """``CrossFit`` for many dimensions: covariances are

        Σ = τ D + D^½ U diag(ν) Uᵀ D^½,
        ν_j = e^{h_j} Σ_k a_k (g_kj − t_k)₊,
        τ = Σ_k a_k t_k + Σ_k c_k m_k + b m_3 + r (Σ_k a_k t_k + Σ_j ν_j/d) + floor²/min D,

    with the D and U of one neighbourhood (``Frames``), in which the k-th has variances g_kj along
    the axes, t_k across and m_k in the mean; means and the rest as in ``LocalCovariance``, with h
    learned too (``along``). No numbers of a step of training depend on d: points are seen along
    the axes once, before. There are few kernels, and every point sees all of them.

    ``fold``: of each centre; ``frames``: without each fold, and with all points in the last place.
    """

    centres: Array = fixed()
    fold: Array = fixed()
    frames: Frames = fixed()

    @classmethod
    @one_blas_thread()
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
        landmarks: int | None,
        rank: int = 16,
    ) -> LowRankCrossFit:
        """With the likeliest neighbourhood for axes, and the likeliest start, by points of the
        first fold."""
        shuffle, draw = jax.random.split(key)
        fold = folds_of(data, folds, shuffle, grouped=grouped)
        folds = int(fold.max()) + 1
        rows = drawn_landmarks(landmarks, len(data), key)
        sites = np.arange(len(data)) if rows is None else rows
        wanted = min(looked_up(counts, folds), len(data) - 1)
        index = neighbours(manifold, data, wanted, rows)
        centres, vectors = data[sites], logs_in_frames(manifold, data[sites], data[index])

        def without(f: int, reference: int) -> Frames:
            return quick_jit(Frames.of)(
                manifold, vectors, jnp.asarray(fold[index] != f), counts,
                jnp.int32(reference), rank, jnp.asarray(floor, data.dtype), family.round,
            )  # fmt: skip

        broad = _Broad.of(manifold, data).laws()
        asked = _asked(len(data), len(sites) * (rank + len(counts)), folds)
        found: list[tuple[float, int, LowRankCrossFit]] = []
        for reference in [i for i, k in enumerate(counts) if k >= _FEWEST] or [len(counts) - 1]:
            frames = without(0, reference)
            covariance = quick_jit(LocalCovariance.start, level=0)(
                frames.features, counts=len(counts), floor=floor, width=width, depth=depth,
                dim=manifold.dim, key=draw,
            )  # fmt: skip
            learner = cls(
                manifold=manifold,
                covariance=replace(covariance, along=jnp.zeros(rank, data.dtype)),
                shares=Shares.start(len(broad), data.dtype),
                family=family,
                broad=broad,
                fold_of_point=jnp.asarray(fold, jnp.int32),
                by_fold=jnp.asarray(rows_by_fold(fold[asked]), jnp.int32),
                centres=centres,
                fold=jnp.asarray(fold[sites], jnp.int32),
                frames=jax.tree.map(lambda a: a[None], frames),
            )
            learner, value = best_start(learner, learner.first(data, 0))
            found.append((float(value), reference, learner))
        _, reference, best = max(found, key=lambda one: one[0])
        every = [without(f, reference) for f in range(folds + 1)]
        return replace(
            best,
            covariance=replace(best.covariance, reference=reference),
            frames=jax.tree.map(lambda *a: jnp.stack(a), *every),
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
    ) -> LowRankCrossFit:
        """Learned coefficients with kernels at all points of ``data`` and no folds."""
        assert covariance.along is not None
        index = neighbours(manifold, data, counts[-1])
        vectors = logs_in_frames(manifold, data, data[index])
        frames = quick_jit(Frames.of)(
            manifold, vectors, jnp.ones(index.shape, bool), counts,
            jnp.int32(covariance.reference), len(covariance.along), covariance.floor, family.round,
        )  # fmt: skip
        none = jnp.full(len(data), -1, jnp.int32)
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=shares,
            family=family,
            broad=_Broad.of(manifold, data).laws(),
            fold_of_point=none,
            by_fold=jnp.zeros((0, 1), jnp.int32),
            centres=data,
            fold=none,
            frames=jax.tree.map(lambda a: a[None], frames),
        )

    def starts(self) -> tuple[LocalCovariance, float]:
        """Each neighbourhood by itself, of two widths, around the centre and near its mean."""
        cov, k = self.covariance, len(self.covariance.shares)
        chosen = [(i, w, e) for i in range(k) for w in _WIDTHS for e in _PULLS]
        one = np.eye(k)[[i for i, _, _ in chosen]]
        width, pull = (np.asarray([c[j] for c in chosen])[:, None] for j in (1, 2))
        every = jax.tree.map(
            lambda a: jnp.broadcast_to(a, (len(chosen), *a.shape)), eqx.filter(cov, eqx.is_array)
        )
        shares = jnp.asarray(np.log(np.maximum(one * width, _REST / k)), cov.shares.dtype)
        pulls = jnp.asarray(one * pull, cov.shares.dtype)
        return eqx.tree_at(lambda c: (c.shares, c.pulls), every, (shares, pulls)), 0.0

    # -- points that are asked about ---------------------------------------------------------------
    def first(self, data: Array, candidates: int) -> LowRankQueries:
        """At most 256 points of the first fold, as queries."""
        return self._left_out(data, self.first_rows(len(data)))

    def first_rows(self, n: int) -> np.ndarray:
        return self.asked_rows(n, held_out=False)[np.asarray(self.by_fold[0, :_FIRST])]

    def queries(self, data: Array, *, held_out: bool, candidates: int) -> LowRankQueries:
        """Points as queries: ``held_out`` ones see all kernels, training points those of other
        folds. Of many, some are taken evenly."""
        rows = self.asked_rows(len(data), held_out=held_out)
        if not held_out:
            return self._left_out(data, rows)
        views = quick_jit(_views)(self, jnp.int32(-1), data[rows])
        none = jnp.full(len(rows), self.folds, jnp.int32)
        return LowRankQueries(none, views, broad_densities(self.broad, data[rows]))

    def asked_rows(self, n: int, *, held_out: bool) -> np.ndarray:
        each = self.frames.axes.shape[2] + self.frames.means.shape[2]
        return _asked(n, len(self.centres) * each, self.folds)

    @one_blas_thread()
    def _left_out(self, data: Array, rows: np.ndarray) -> LowRankQueries:
        """These rows of the training points, fold by fold, as broad laws and kernels without it
        see them."""
        fold, parts, order = np.asarray(self.fold_of_point), [], []
        behind = _Broad.of(self.manifold, data)
        most = int(np.bincount(fold[rows]).max())
        for f in np.unique(fold[rows]):
            of = np.flatnonzero(fold[rows] == f)
            points = data[rows[np.resize(of, most)]]
            broad = behind.laws(np.flatnonzero(fold != f))
            seen = (quick_jit(_views)(self, jnp.int32(f), points), broad_densities(broad, points))
            parts.append([np.asarray(a)[: len(of)] for a in jax.tree.leaves(seen)])
            order.append(of)
        at = np.argsort(np.concatenate(order), kind="stable")
        leaves = [jnp.asarray(np.concatenate(a)[at]) for a in zip(*parts, strict=True)]
        views, broad = jax.tree.unflatten(jax.tree.structure(seen), leaves)
        return LowRankQueries(jnp.asarray(fold[rows], jnp.int32), views, broad)

    # -- density -----------------------------------------------------------------------------------
    def log_prob(self, x: LowRankQueries, fold: Array, key: Key | None = None) -> Array:
        """log p of queries, shape ``(q,)``, by kernels without the points of ``fold``. Nothing is
        drawn."""
        return jax.nn.logsumexp(self.parts(x, fold) + self.shares.logarithms()[None], axis=1)

    def parts(self, x: LowRankQueries, fold: Array) -> Array:
        """Log densities of the parts whose shares make p, shape ``(q, parts)``."""
        parts = [self._learned(x.views, fold)[:, None], x.broad]
        if self.shares.bandwidth is not None:
            parts.append(self._even(x.views, fold, self.shares.bandwidth[None]))
        return jnp.concatenate(parts, axis=1)

    def all_parts(self, x: LowRankQueries, fold: Array, bandwidths: Array) -> Array:
        """The learned kernels, the broad laws and kernels of each bandwidth."""
        return jnp.concatenate([self.parts(x, fold), self._even(x.views, fold, bandwidths)], axis=1)

    def squares(self, x: LowRankQueries) -> NumPyOrJax:
        return x.views.squares

    def spread(self, x: LowRankQueries) -> float:
        """Root mean square of the distances to the kernels, for one axis."""
        return math.sqrt(float(jnp.mean(x.views.squares)) / self.manifold.dim)

    def _learned(self, x: Views, fold: Array) -> Array:
        frames, d = self._frames(fold), self.manifold.dim
        kernels = self._kernels(frames)
        gap = x.along - einsum("nk,nkr->nr", kernels.pulls, frames.along)[None]
        variances = kernels.across[:, None] + kernels.along
        rest = x.rest - 2.0 * jnp.sum(x.pulls * kernels.pulls[None], axis=-1)
        rest = rest + einsum("nk,nkl,nl->n", kernels.pulls, frames.across, kernels.pulls)[None]
        square = jnp.sum(gap * gap / variances[None], -1)
        square = square + jnp.maximum(rest, 0.0) / kernels.across[None]
        square = jnp.minimum(square, _BEYOND)
        log_det = jnp.sum(jnp.log(variances), 1) + 2.0 * jnp.sum(jnp.log(frames.scale), 1)
        log_det = log_det + (d - variances.shape[1]) * jnp.log(kernels.across)
        kept = self.fold != fold
        log_w = kernels.log_weights - jax.nn.logsumexp(kernels.log_weights, where=kept)
        log_w = log_w - 0.5 * (log_det + d * math.log(2.0 * math.pi))
        levels = log_w[:, None] + kernels.log_shares - 0.5 * d * jnp.log(kernels.widening)
        each = levels[None, :, 0] - 0.5 * square / kernels.widening[None, :, 0]
        for i in range(1, levels.shape[1]):
            wider = levels[None, :, i] - 0.5 * square / kernels.widening[None, :, i]
            each = jnp.logaddexp(each, wider)
        return jax.nn.logsumexp(each - x.log_det, axis=1, where=kept[None])

    def _even(self, x: Views, fold: Array, bandwidths: Array) -> Array:
        kept = self.fold != fold
        log_w = jnp.where(kept, -jnp.log(jnp.sum(kept).astype(x.rest.dtype)), -jnp.inf)[None]

        def one(h: Array) -> Array:
            variance = self._even_variance(h)
            level = -0.5 * self.manifold.dim * jnp.log(2.0 * math.pi * variance)
            return level + jax.nn.logsumexp(log_w - x.log_det - 0.5 * x.squares / variance, axis=1)

        return jax.lax.map(one, bandwidths).T

    def _even_variance(self, h: Array) -> Array:
        """h² within what the cut locus allows."""
        least = float(np.max(1.0 / widest_variances(self.manifold)))
        return 1.0 / (1.0 / (h * h) + least)

    # -- inside ------------------------------------------------------------------------------------
    def _frames(self, fold: Array | int) -> Frames:
        return jax.tree.map(lambda a: a[fold], self.frames)

    def _kernels(self, frames: Frames) -> _Kernels:
        found, cov = self.covariance.coefficients(frames.features), self.covariance
        assert cov.along is not None
        k, d, rank = len(cov.shares), self.manifold.dim, len(cov.along)
        times = jnp.asarray([1.0] * rank + [float(d - rank)], frames.spread.dtype) / d
        means = jnp.sum(frames.spread * times[None, None], -1)
        above = jnp.maximum(frames.spread[..., :-1] - frames.spread[..., -1:], 0.0)
        along = einsum("nk,nkr->nr", found.shares, above) * size_of(cov.along)[None]
        across = jnp.sum(found.shares * frames.spread[..., -1], 1)
        mean = across + jnp.sum(along, axis=1) / d
        across = (
            across + jnp.sum(found.diagonals * means, 1) + found.isotropic * means[:, cov.middle]
        )
        across = across + (size_of(cov.roundness) + ROUNDEST) * mean
        across = across + (cov.floor / jnp.min(frames.scale, axis=1)) ** 2
        if self.family.round:
            across, along = across + jnp.sum(along, axis=1) / d, jnp.zeros_like(along)
        size = frames.sizes(self.manifold, along, across)[:, None]
        wider = jnp.pad(found.widening, ((0, 0), (1, 0)), constant_values=1.0)
        return _Kernels(
            across, along, found.pulls * k, found.log_weights,
            wider / jnp.maximum(wider * size, 1.0), found.log_shares,
        )  # fmt: skip

    def whole_mixture(self) -> WrappedMixture:
        """``mixture``, compiled."""
        return quick_jit(LowRankCrossFit.mixture)(self)

    def mixture(self) -> WrappedMixture:
        """(1 − ε)·(kernels) + ε·(broad laws), as ``as_mixture`` has them: n narrow kernels, then n
        for each widening, then n of one bandwidth where there are some."""
        m, frames = self.manifold, self._frames(-1)
        kernels, squares = self._kernels(frames), frames.scale * frames.scale
        shift = einsum("nk,nkd->nd", kernels.pulls, frames.means)
        log_w = kernels.log_weights - jax.nn.logsumexp(kernels.log_weights)
        log_w = (log_w[:, None] + kernels.log_shares).T.reshape(-1)
        centres, axes = moved_axes(m, self.centres, shift, frames.axes * frames.scale[:, None])
        parts = [
            (
                centres,
                axes,
                f[:, None] * kernels.along,
                f[:, None] * kernels.across[:, None] * squares,
            )
            for f in kernels.widening.T
        ]
        share = self.shares.logarithms()
        behind = share[1 : 1 + len(self.broad)]
        if self.shares.bandwidth is not None:
            even = jnp.full_like(squares, 1.0) * self._even_variance(self.shares.bandwidth)
            parts.append((self.centres, jnp.zeros_like(axes), jnp.zeros_like(kernels.along), even))
            alike = jnp.full(len(squares), -math.log(len(squares)), log_w.dtype)
            log_w = jnp.concatenate([log_w + share[0], alike + share[-1]])
            log_w = log_w - jnp.logaddexp(share[0], share[-1])
        centres, axes, variances, diagonal = (jnp.concatenate(p) for p in zip(*parts, strict=True))
        log_share = jax.nn.logsumexp(behind)
        background = self.broad[0]
        if len(self.broad) > 1:
            background = MixedReference(m, self.broad, behind - log_share)
        return WrappedMixture(
            m, background, centres, axes, variances, log_w, log_share, self.family, diagonal
        )


def _asked(n: int, numbers: int, folds: int) -> np.ndarray:
    """Which of n points are asked about, for so many numbers each."""
    return evenly(n, max(2 * folds, _NUMBERS // numbers))


def _views(learner: LowRankCrossFit, fold: Array, points: Array) -> Views:
    """Points as the kernels without ``fold`` see them."""
    return Views.of(learner.manifold, learner.centres, learner._frames(fold), points)


class _Broad(NamedTuple):
    """The laws behind the kernels: one normal law, on compact manifolds too, for what many
    coordinates have in common is lost in neighbourhoods of a few points; and what reaches
    farther, the uniform law where there is one, else a normal law of twice the spread."""

    normal: NormalLaws
    wide: Reference | None

    @classmethod
    def of(cls, manifold: Manifold, data: Array) -> _Broad:
        bounded = bool(reaches(manifold))
        return cls(
            NormalLaws.of(manifold, data),
            widened(plain_law(manifold, data)) if bounded else None,
        )

    def laws(self, rows: np.ndarray | slice = slice(None)) -> tuple[Reference, ...]:
        law = self.normal.law(rows)
        return (law, widened(law) if self.wide is None else self.wide)
