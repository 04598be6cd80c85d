"""Local covariances judged by points that had no part in them."""

from __future__ import annotations

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._compile import quick
from scorefold._fixed import fixed
from scorefold._types import Key
from scorefold.kernels.local.covariance import Kernels, LocalCovariance
from scorefold.kernels.local.neighbourhood import Neighbourhoods, folds_of, shape_features
from scorefold.kernels.local.precision import (
    cap_precision,
    diagonal_of,
    invert,
    precision,
    quadratic,
    unpack,
)
from scorefold.kernels.local.shares import Shares
from scorefold.kernels.wrapped.background import MixedReference, broad_laws
from scorefold.kernels.wrapped.families import KernelFamily, WrappedKernel
from scorefold.kernels.wrapped.mixture import WrappedMixture, moved_kernels
from scorefold.manifolds import Manifold, nearest
from scorefold.noising import Reference

__all__ = ["CrossFit", "Judged"]

_WIDEST = 32
"""Of the widest kernels, every point sees this many besides those of its neighbours."""
_OTHERS = 96
"""Of all other kernels, every point sees this many, which stand for the rest."""
_SHARE = -4.0
"""Start of the log odds of a broad law."""
_ASKED = 1024
"""Points asked about the coefficients to start from."""
_MARGIN = 0.2
"""Nats a point by which another start must beat the even one."""
_FAR = 1e30
"""Bound on squared distances in standard deviations."""
_PAIRS = 1 << 20
_JUDGED = 1 << 15
"""Training points that kernels are judged by; of more, so many are taken evenly."""


class Judged(NamedTuple):
    """Points on which kernels are judged, and what they see of the kernels: a row a point."""

    fold: Array
    """The fold whose points have no part in the kernels (one past the last: none), ``(n,)``."""
    rows: Array
    """Rows of the kernels seen, ``(n, c)``."""
    log_weights: Array
    """For how many kernels each stands, in logarithms (−inf: it does not count), ``(n, c)``."""
    vectors: Array
    """The point from each kernel's centre, in the frame there, ``(n, c, d)``."""
    log_det: Array
    """Of the exponential map there, ``(n, c)``."""
    broad: Array
    """Log densities of the broad laws, ``(n, B)``."""


class CrossFit(eqx.Module):
    """Kernels at n of the data points, with the moments of their neighbourhoods taken once without
    each fold and, in the last place, with all points.

    Points are judged by wrapped normal laws whatever the ``family`` of the mixture that is built:
    laws of one covariance Σ differ by the order of curvature · Σ.

    ``moments``: packed, shape ``(folds + 1, n, K, d(d+1)/2)``; ``means``: ``(folds + 1, n, K, d)``;
    ``features``: ``(folds + 1, n, f)``; ``fold``: of each centre; ``own``: of each data point;
    ``by_fold``: rows of each fold, repeated to equal length; ``broad``: laws behind the kernels.
    """

    manifold: Manifold
    covariance: LocalCovariance
    shares: Shares
    broad: tuple[Reference, ...] = fixed()
    centres: Array = fixed()
    fold: Array = fixed()
    own: Array = fixed()
    by_fold: Array = fixed()
    moments: Array = fixed()
    means: Array = fixed()
    features: Array = fixed()
    family: KernelFamily = WrappedKernel()

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
    ) -> CrossFit:
        shuffle, draw = jax.random.split(key)
        fold = folds_of(data, folds, shuffle, grouped=grouped)
        folds = int(fold.max()) + 1
        # Enough neighbours that the largest count is left when a fold is taken out.
        wanted = math.ceil(1.15 * counts[-1] * folds / max(folds - 1, 1)) + 8
        carry = None
        if landmarks is not None and landmarks < len(data):
            chosen = jax.random.permutation(jax.random.fold_in(key, 2), len(data))
            carry = np.sort(np.asarray(chosen)[:landmarks])
        centres = data if carry is None else data[carry]
        around = Neighbourhoods.of(manifold, data, min(wanted, len(data) - 1), carry)
        moments, means, features = quick(_statistics)(
            manifold, centres, around, counts, jnp.asarray(fold), folds, floor
        )
        covariance = quick(LocalCovariance.start, level=0)(
            features[-1], len(counts), floor, width, depth, draw, dim=manifold.dim
        )
        rows = [np.flatnonzero(fold[_evenly(len(data))] == f) for f in range(folds)]
        # A fold of which no point is judged: the points of another take its turn.
        rows = [r if len(r) else max(rows, key=len) for r in rows]
        by_fold = np.stack([np.resize(r, max(map(len, rows))) for r in rows])
        broad = broad_laws(manifold, data)
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=Shares.of(jnp.pad(jnp.full((len(broad),), _SHARE, data.dtype), (1, 0))),
            broad=broad,
            centres=centres,
            fold=jnp.asarray(fold if carry is None else fold[carry], jnp.int32),
            own=jnp.asarray(fold, jnp.int32),
            by_fold=jnp.asarray(by_fold, jnp.int32),
            moments=moments,
            means=means,
            features=features,
            family=WrappedKernel() if family is None else family,
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
    ) -> CrossFit:
        """Learned coefficients with kernels at all points of ``data`` and no folds."""
        around = Neighbourhoods.of(manifold, data, counts[-1])
        none = np.full(len(data), -1)
        moments, means, features = quick(_statistics)(
            manifold, data, around, counts, jnp.asarray(none), 0, float(covariance.floor)
        )
        return cls(
            manifold=manifold,
            covariance=covariance,
            shares=shares,
            broad=broad_laws(manifold, data),
            centres=data,
            fold=jnp.asarray(none, jnp.int32),
            own=jnp.asarray(none, jnp.int32),
            by_fold=jnp.zeros((0, 1), jnp.int32),
            moments=moments,
            means=means,
            features=features,
            family=family,
        )

    @property
    def folds(self) -> int:
        return self.by_fold.shape[0]

    def judged(self, data: Array, *, held_out: bool, candidates: int) -> Judged:
        """What points see: the training points, 32768 of them at most, the kernels of other
        folds, held-out ones all."""
        if held_out:
            return self._seen(data, np.full(len(data), self.folds), candidates)
        return self._left_out(data, _evenly(len(data)), candidates)

    def _left_out(self, data: Array, rows: np.ndarray, candidates: int) -> Judged:
        """What these rows of the training points see without their fold, broad laws included."""
        own = np.asarray(self.own)
        seen = self._seen(data[rows], own[rows], candidates)
        if self.manifold.compact:
            return seen
        broad = seen.broad
        for f in range(self.folds):
            laws = broad_laws(self.manifold, data[np.flatnonzero(own != f)])
            there = _densities(laws, data[rows])
            broad = jnp.where((seen.fold == f)[:, None], there, broad)
        return seen._replace(broad=broad)

    def _seen(self, data: Array, own: np.ndarray, candidates: int) -> Judged:
        """What points see of the kernels of folds other than their ``own``."""
        n, folds, fold = len(self.centres), self.folds, np.asarray(self.fold)
        spare = 1.0 if own.min() == folds else 1.15 * folds / max(folds - 1, 1)
        rows, _ = nearest(self.manifold, self.centres, data, min(n, math.ceil(candidates * spare)))
        order = np.argsort(fold[rows] == own[:, None], axis=1, kind="stable")
        rows = np.take_along_axis(rows, order[:, :candidates], axis=1)
        size = np.asarray(self.features[-1][:, self.covariance.middle])
        rows, weights = _strata(rows, np.argsort(-size, kind="stable")[:_WIDEST], fold, own)
        step = max(1, _PAIRS // rows.shape[1])
        at = jnp.asarray(rows, jnp.int32)
        parts = [
            quick(_view)(self.manifold, self.centres[at[i : i + step]], data[i : i + step])
            for i in range(0, len(data), step)
        ]
        vectors, log_det = (jnp.concatenate(p) for p in zip(*parts, strict=True))
        return Judged(
            jnp.asarray(own, jnp.int32), at, jnp.asarray(weights, data.dtype), vectors, log_det,
            _densities(self.broad, data),
        )  # fmt: skip

    def from_best_start(self, data: Array, candidates: int) -> CrossFit:
        """With the coefficients of ``LocalCovariance.starts`` that make the points of the first
        fold most likely, by kernels without that fold; the even ones unless others are far
        better."""
        rows = _evenly(len(data))[np.asarray(self.by_fold[0, :_ASKED])]
        seen = self._left_out(data, rows, candidates)
        best: CrossFit = quick(_best_start)(self, seen)
        return best

    def log_prob(self, x: Judged, fold: Array) -> Array:
        """log p of judged points, shape ``(n,)``, by kernels without the points of ``fold``."""
        return jax.nn.logsumexp(self.parts(x, fold) + self.shares.logarithms()[None], axis=1)

    def parts(self, x: Judged, fold: Array) -> Array:
        """Log densities of the parts whose shares make p: the learned kernels, the broad laws, the
        kernels of one bandwidth where there are some; shape ``(n, parts)``."""
        near = [self._learned(x, fold)[:, None], x.broad]
        if self.shares.bandwidth is not None:
            near.append(self.even(x, fold, self.shares.bandwidth[None]))
        return jnp.concatenate(near, axis=1)

    def even(self, x: Judged, fold: Array, bandwidths: Array) -> Array:
        """Log densities of kernels of one bandwidth (a standard deviation, within the cap), for
        each of g, shape ``(n, g)``."""
        cap = jnp.asarray(cap_precision(self.manifold), x.vectors.dtype)
        weights = x.log_weights - x.log_det
        weights = weights - jnp.log(jnp.sum(self.fold != fold).astype(weights.dtype))

        def one(h: Array) -> Array:
            narrow = cap + 1.0 / (h * h)
            square = jnp.sum(x.vectors * x.vectors * narrow[None, None], axis=-1)
            level = 0.5 * jnp.sum(jnp.log(narrow / (2.0 * math.pi)))
            return level + jax.nn.logsumexp(weights - 0.5 * square, axis=1)

        return jax.vmap(one, out_axes=1)(bandwidths)

    def _learned(self, x: Judged, fold: Array) -> Array:
        d, cap = self.manifold.dim, cap_precision(self.manifold)
        kernels = self._kernels(fold)
        packed, roots = precision(kernels.covariance, kernels.widening, cap)
        kept = self.fold != fold
        log_w = jnp.where(kept, kernels.log_weights, -jnp.inf)
        log_w = log_w - jax.nn.logsumexp(log_w) - 0.5 * d * math.log(2.0 * math.pi)
        levels = jnp.where(kept[:, None], log_w[:, None] + roots + kernels.log_shares, 0.0)
        # One table, so that one gather serves.
        parts = [kernels.shift, packed, levels, 1.0 / kernels.widening]
        table = jnp.concatenate(parts, axis=1)[x.rows]
        ends = np.cumsum([p.shape[1] for p in parts[:-1]]).tolist()
        shift, inverse, level, narrower = jnp.split(table, ends, axis=-1)
        away = x.vectors - shift
        square = jnp.minimum(quadratic(inverse, away), _FAR)
        near = level[..., 0] - 0.5 * square
        for i in range(narrower.shape[-1]):
            near = jnp.logaddexp(near, level[..., i + 1] - 0.5 * narrower[..., i] * square)
        capped = jnp.sum(away * away * jnp.asarray(cap, away.dtype)[None, None], -1)
        each = near - 0.5 * capped - x.log_det
        return jax.nn.logsumexp(x.log_weights + each, axis=1)

    def mixture(self, without: Array | None = None) -> WrappedMixture:
        """The kernels with nothing left out, or ``without`` a fold: its kernels keep their rows
        with weight 0, and the neighbourhoods of the others are taken without its points."""
        fold = jnp.int32(self.folds) if without is None else without
        kernels = self._kernels(fold)
        packed, _ = precision(kernels.covariance, kernels.widening, cap_precision(self.manifold))
        inverse = unpack(packed)
        cap = jnp.diag(jnp.asarray(cap_precision(self.manifold), inverse.dtype))[None]
        widening = jnp.pad(kernels.widening, ((0, 0), (1, 0)), constant_values=1.0).T
        kept = self.fold != fold
        log_w = jnp.where(kept, kernels.log_weights, -jnp.inf)
        log_w = log_w - jax.nn.logsumexp(log_w)
        log_w = (log_w[:, None] + kernels.log_shares).T.reshape(-1)
        parts = [
            moved_kernels(self.manifold, self.centres, kernels.shift, invert(inverse / f + cap)[0])
            for f in widening[..., None, None]
        ]
        shares = self.shares.logarithms()
        behind = shares[1 : 1 + len(self.broad)]
        if self.shares.bandwidth is not None:
            eye = jnp.eye(self.manifold.dim, dtype=inverse.dtype)[None]
            even = invert(eye / self.shares.bandwidth**2 + cap)[0]
            parts.append((self.centres, jnp.broadcast_to(even, parts[0][1].shape)))
            alike = jnp.where(kept, -jnp.log(jnp.sum(kept).astype(log_w.dtype)), -jnp.inf)
            log_w = jnp.concatenate([log_w + shares[0], alike + shares[-1]])
            log_w = log_w - jnp.logaddexp(shares[0], shares[-1])
        centres, covariances = (jnp.concatenate(p) for p in zip(*parts, strict=True))
        share = jax.nn.logsumexp(behind)
        broad = self.broad[0]
        if len(self.broad) > 1:
            broad = MixedReference(self.manifold, self.broad, behind - share)
        return WrappedMixture.from_covariances(
            self.manifold, centres, covariances, log_w, broad, share, self.family
        )

    def _kernels(self, fold: Array) -> Kernels:
        found = self.covariance(self.features[fold], self.moments[fold], self.means[fold])
        if not self.family.round:
            return found
        on = diagonal_of(self.manifold.dim)
        even = jnp.mean(found.covariance[:, on], axis=1, keepdims=True)
        return found._replace(covariance=jnp.zeros_like(found.covariance).at[:, on].set(even))


def _best_start(learner: CrossFit, seen: Judged) -> CrossFit:
    rest = eqx.filter(learner.covariance, eqx.is_array, inverse=True)

    def value(start: LocalCovariance) -> Array:
        trial = eqx.tree_at(lambda k: k.covariance, learner, eqx.combine(start, rest))
        return jnp.mean(trial.log_prob(seen, seen.fold[0]))

    starts = learner.covariance.starts()
    values = jax.lax.map(value, starts)
    # The first start is the even one, from which training ends best unless it is far off.
    values = jnp.where(jnp.isfinite(values), values, -jnp.inf).at[0].add(_MARGIN)
    best = jnp.argmax(values)
    chosen = eqx.combine(jax.tree.map(lambda a: a[best], starts), rest)
    return eqx.tree_at(lambda k: k.covariance, learner, chosen)


def _evenly(n: int) -> np.ndarray:
    """Rows of the training points that kernels are judged by."""
    return np.unique(np.linspace(0, n - 1, min(n, _JUDGED)).round().astype(int))


def _strata(
    near: np.ndarray, wide: np.ndarray, fold: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the kernels that each point sees, and the logarithm of how many each stands for:
    the nearest and the widest for themselves, as many random others for all the rest. Kernels of
    the point's own fold do not count."""
    m, n = len(near), len(fold)
    draw = np.random.default_rng(0).integers(n, size=(m, _OTHERS))
    rows = np.concatenate([near, np.broadcast_to(wide, (m, len(wide))), draw], axis=1)
    # A kernel that is seen twice counts the first time.
    order = np.argsort(rows, axis=1, kind="stable")
    ordered = np.take_along_axis(rows, order, axis=1)
    first = np.ones(rows.shape, bool)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    seen = np.empty_like(first)
    np.put_along_axis(seen, order, first, axis=1)
    seen &= fold[rows] != own[:, None]
    sure = near.shape[1] + len(wide)
    drawn = seen[:, sure:].sum(1)
    rest = n - np.bincount(fold, minlength=own.max() + 1)[own] - seen[:, :sure].sum(1)
    weights = np.where(seen, 0.0, -np.inf)
    share = np.log(np.maximum(rest, 1) / np.maximum(drawn, 1))
    weights[:, sure:] += share[:, None]
    return rows, weights


def _statistics(manifold, centres, around, counts, fold, folds, floor):
    """Moments, means and features of centres without each fold and with all."""
    place = jax.vmap(manifold.embed)(centres)

    def one(f: Array) -> tuple[Array, Array, Array]:
        moments, means = around.moments(counts, fold != f)
        shape = shape_features(moments, floor, manifold.dim)
        return moments, means, jnp.concatenate([shape, place], -1)

    return jax.lax.map(one, jnp.arange(folds + 1))


def _densities(laws: tuple[Reference, ...], x: Array) -> Array:
    """Log densities, a column a law."""
    return quick(_broad)(laws, x)


def _broad(laws: tuple[Reference, ...], x: Array) -> Array:
    return jnp.stack([jax.vmap(law.log_prob)(x) for law in laws], axis=1)


def _view(manifold: Manifold, centres: Array, points: Array) -> tuple[Array, Array]:
    def one(z: Array, x: Array) -> tuple[Array, Array]:
        v = manifold.log(z, x)
        return manifold.components(z, v), manifold.exp_log_det(z, v)

    return jax.vmap(lambda z, x: jax.vmap(lambda c: one(c, x))(z))(centres, points)
