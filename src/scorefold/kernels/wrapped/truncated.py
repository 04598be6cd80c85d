"""Densities of mixtures of very many wrapped kernels, from those that matter at each point."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, device, evenly
from scorefold._compile import quick_jit
from scorefold._types import NumPyOrJax, Point, Scalar, Values
from scorefold.kernels.wrapped.families import WrappedFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.kernels.wrapped.tails import curved, log_beyond, radius_beyond
from scorefold.manifolds import Manifold, check_points
from scorefold.manifolds.neighbours import rows_of
from scorefold.noising import Reference

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_BLOCKS = (1 << 17, 1 << 14)
"""Pairs of a point and a kernel at a time: a program each, for the bulk and for what is left."""
_FOUND = 1 << 21
"""Pairs found at a time."""
_SMALL = 512
"""Groups of up to this many kernels are summed in full."""
_SEEDS = 4
"""Nearest kernels of each group, from which the density is bounded from below."""
_WHOLE = 0.5
"""A group is summed in full where more than this share of it lies within the radius."""
_PROBES = 64
"""Points whose kernels are counted before the way to sum is chosen."""
_SETUP, _KERNEL, _QUERY, _PAIR = 4e6, 4.0, 120.0, 2.0
"""Cost of a truncated sum in pairs of a full one: of compiling, of a kernel in a tree, of a point
asked in a tree, of a pair (``benchmarks/edge_speed.py``)."""


class _Group(NamedTuple):
    rows: np.ndarray
    std: float
    """The largest standard deviation of a kernel."""
    log_mass: float
    """log Σ w_i · (peak density of kernel i)."""
    tree: cKDTree


_Groups = tuple[np.ndarray, list[_Group], float]
"""Rows of the kernels that are summed in full, the groups, and log (1 − ε)."""


def truncated_log_prob(
    mixture: WrappedMixture, x: Values, *, rtol: float = 1e-3
) -> tuple[Array, Array]:
    """(log p̂(x), e) with p̂ ≤ p ≤ p̂/(1 − e) and e ≤ rtol: the density of a wrapped mixture
    from the kernels that matter at each point, in nats, and a bound on the relative error.

    Kernels are put into groups by their largest standard deviation, an octave each. In a group
    with the sum S of weighted peak densities and the largest standard deviation σ, what lies
    farther away than R adds at most

        S · sup_{r ≥ R} e^{−r²/2σ²} |det d exp|⁻¹,

    and R is chosen for each point and group such that all groups together leave out at most
    rtol · L, L the background and the nearest 4 kernels of each group. A k-d tree finds the
    kernels within R, which are evaluated as in ``WrappedMixture.log_prob``. A group is summed in
    full where it is small, or where R is as large as the manifold. p̂ is p but for the sum left
    out and for rounding. The bound is proved; it supposes that a point is not within the
    resolution of its numbers of the cut locus −z of a kernel on a sphere.

    Time is that of the tree plus that of the kernels that matter, 10²…10³ a point where widths
    follow the distances of neighbours; memory is O(n) for n kernels, besides 2²¹ pairs. On a
    ``Manifold`` unknown to ``nearest`` all kernels are summed. Not for use inside ``jax.jit``.

    **Arguments:** ``x``: points, shape ``(n, *manifold.shape)`` or one point; ``rtol``: in (0, 1).
    **Returns:** log p̂ and e, shapes ``(n,)`` or ``()``, in the dtype of x.
    **Raises:** ``ValueError`` for points that are not points, rtol outside (0, 1) and kernels that
    are not wrapped normal laws.
    """
    if not isinstance(mixture.family, WrappedFamily):
        raise ValueError(
            f"mixture: the bound holds for wrapped normal kernels, these are "
            f"{type(mixture.family).__name__}; sum them all by mixture.log_prob."
        )
    if mixture.diagonal is not None:
        raise ValueError(
            "mixture: the bound holds for kernels with as many axes as dimensions, these are of "
            "low rank; sum them all by mixture.log_prob, or take mixture.full()."
        )
    if not 0 < rtol < 1:
        raise ValueError(f"rtol: a relative error, in (0, 1); got {rtol}.")
    m = mixture.manifold
    points = check_points(m, x, "x")
    batch = points.shape[: points.ndim - len(m.shape)]
    rows = np.asarray(points).reshape(-1, *m.shape)
    log_prob, left_out = _sum(mixture, rows, _groups(mixture), rtol)
    shape = lambda a: device(a.astype(rows.dtype).reshape(batch))  # noqa: E731
    return shape(log_prob), shape(left_out)


def cheaper_log_prob(mixture: WrappedMixture, x: NumPyOrJax, *, rtol: float) -> Array | None:
    """``truncated_log_prob`` where it takes less time than the sum over all kernels, else None.

    What it takes is counted before: the trees are built, and at 64 of the points the kernels within
    the radius are counted. The choice follows from the numbers alone, not from a clock: the same
    points have the same density every time. ``x``: shape ``(n, *manifold.shape)``.
    """
    m, count = mixture.manifold, len(mixture.centres)
    full = float(len(x)) * count
    wrapped = isinstance(mixture.family, WrappedFamily) and mixture.diagonal is None
    if not wrapped or full < _SETUP + _KERNEL * count:
        return None
    groups = _groups(mixture)
    whole, trees, _ = groups
    if not trees:
        return None
    rows = np.asarray(x)
    probes = rows[evenly(len(rows), _PROBES)]
    flat, room = _room(_Sums(mixture, probes, whole), groups, rtol)
    eps, pairs = float(jnp.finfo(rows.dtype).eps), float(len(whole))
    for group in trees:
        _, known, inside = _counted(m, group, flat, room - group.log_mass, eps)
        size = np.full(len(flat), float(len(group.rows)))
        size[known] = np.where(inside <= _WHOLE * size[known], inside, size[known])
        pairs += size.mean()
    each = _QUERY * len(trees) + _PAIR * (pairs + _SEEDS * len(trees))
    if _SETUP + _KERNEL * count + len(rows) * each >= full:
        return None
    log_prob, _ = _sum(mixture, rows, groups, rtol)
    return device(log_prob.astype(rows.dtype))


def _sum(
    mixture: WrappedMixture, rows: np.ndarray, groups: _Groups, rtol: float
) -> tuple[np.ndarray, np.ndarray]:
    """log p̂ and e in 64 bits, shape ``(n,)``."""
    m, (whole, trees, inside) = mixture.manifold, groups
    sums = _Sums(mixture, rows, whole)
    left_out = np.full(len(rows), -np.inf)
    if trees:
        flat, room = _room(sums, groups, rtol)
        eps = float(jnp.finfo(rows.dtype).eps)
        for group in trees:
            beyond = _near(m, group, flat, room - group.log_mass, eps, sums)
            left_out = np.logaddexp(left_out, group.log_mass + beyond)
    log_prob = np.logaddexp(sums.background, inside + sums.total())
    ratio = np.exp(np.minimum(inside + left_out - log_prob, 0.0))
    return log_prob, ratio / (1.0 + ratio)


def _room(sums: _Sums, groups: _Groups, rtol: float) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the points of ``sums`` for the trees, and how much of the kernels' sum every
    group may leave out at each, in logarithms."""
    rows, (_, trees, inside) = sums.x, groups
    m = sums.mixture.manifold
    chords = m.chords(rows_of(m, "x", rows))
    assert chords is not None
    flat = chords.coordinates
    seeds = _Sums(sums.mixture, rows)
    for group in trees:
        _, near = group.tree.query(flat, k=_SEEDS, workers=-1)
        each = np.repeat(np.arange(len(rows)), _SEEDS)
        seeds.add(iter([(each, group.rows[near.ravel()])]))
    lower = np.logaddexp(sums.background, inside + np.logaddexp(sums.total(), seeds.total()))
    # The background is in the sum with its share; every group gets as much of the rest.
    return flat, lower - inside + math.log(rtol / len(trees))


def _groups(mixture: WrappedMixture) -> _Groups:
    host = lambda a: np.asarray(a, np.float64)  # noqa: E731
    variances, log_w = host(mixture.variances), host(mixture.log_weights)
    inside = float(np.log1p(-np.exp(host(mixture.log_share))))
    rows = np.flatnonzero(log_w > -np.inf)
    m = mixture.manifold
    if len(rows) <= _SMALL or curved(m) is None:
        return rows, [], inside
    chords = m.chords(rows_of(m, "centres", np.asarray(mixture.centres)))
    if chords is None:
        return rows, [], inside
    from scipy.spatial import cKDTree

    std = np.sqrt(variances.max(1))
    log_peak = log_w - 0.5 * np.sum(np.log(2.0 * math.pi * variances), axis=1)
    octave = np.floor(np.log2(std)).astype(int)
    whole, groups = [], []
    for k in np.unique(octave[rows]):
        of = rows[octave[rows] == k]
        if len(of) <= _SMALL:
            whole.append(of)
            continue
        top = float(log_peak[of].max())
        mass = top + math.log(float(np.exp(log_peak[of] - top).sum()))
        places = chords.coordinates[of]
        tree = cKDTree(places, boxsize=chords.periods, balanced_tree=False, compact_nodes=False)
        groups.append(_Group(of, float(std[of].max()), mass, tree))
    return np.concatenate([*whole, np.empty(0, int)]), groups, inside


def _near(
    manifold: Manifold, group: _Group, flat: np.ndarray, room: np.ndarray, eps: float, sums: _Sums
) -> np.ndarray:
    """Add the kernels of a group within the radius that ``room`` asks for; what they are bounded
    by beyond, relative to their peaks, in logarithms."""
    flat_radius, known, count = _counted(manifold, group, flat, room, eps)
    beyond = np.full(len(flat), -np.inf)
    radius = radius_beyond(manifold, room, group.std, eps)[known]
    bound = log_beyond(manifold, radius, group.std, eps)
    assert bound is not None
    part = count <= _WHOLE * len(group.rows)
    beyond[known[part]] = bound[part]
    every = np.setdiff1d(np.arange(len(flat)), known[part], assume_unique=True)
    sums.add(_full(every, group.rows))
    part &= count > 0
    sums.add(_found(group, flat, known[part], flat_radius[part], count[part]))
    return beyond


def _counted(
    manifold: Manifold, group: _Group, flat: np.ndarray, room: np.ndarray, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Radii in the tree's coordinates, the points where they are finite, the kernels within."""
    radius = radius_beyond(manifold, room, group.std, eps)
    known = np.flatnonzero(np.isfinite(radius))
    # The tree's coordinates and the kernels' differ by rounding.
    flat_radius = manifold.chord(radius[known]) * (1.0 + 1e-6) + 8.0 * eps
    count = group.tree.query_ball_point(flat[known], flat_radius, return_length=True, workers=-1)
    return flat_radius, known, count


def _full(points: np.ndarray, kernels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs, point by point."""
    if len(points) and len(kernels):
        step = max(1, _FOUND // len(kernels))
        for start in range(0, len(points), step):
            some = points[start : start + step]
            yield np.repeat(some, len(kernels)), np.tile(kernels, len(some))


def _found(
    group: _Group, flat: np.ndarray, points: np.ndarray, radius: np.ndarray, count: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of points and the kernels of a group within the radius, point by point."""
    ends = np.cumsum(count)
    start = 0
    while start < len(points):
        before = ends[start] - count[start]
        stop = max(start + 1, int(np.searchsorted(ends, before + _FOUND, side="right")))
        some = slice(start, stop)
        lists = group.tree.query_ball_point(
            flat[points[some]], radius[some], return_sorted=False, workers=-1
        )
        sizes = count[some]
        index = np.fromiter(itertools.chain.from_iterable(lists), np.int64, int(sizes.sum()))
        yield np.repeat(points[some], sizes), group.rows[index]
        start = stop


class _Sums:
    """log Σ w_i · kernel_i at every point, over the pairs that are added."""

    def __init__(
        self, mixture: WrappedMixture, x: np.ndarray, whole: np.ndarray | None = None
    ) -> None:
        """``whole``: kernels that are added at all points."""
        parts = (mixture.centres, mixture.axes, mixture.variances, mixture.log_weights)
        self.mixture, self.x = mixture, x
        self.parts = tuple(a.astype(x.dtype) for a in parts)
        law = lambda rows: quick_jit(_background)(mixture.background, rows)  # noqa: E731
        background = np.asarray(by_blocks(law, x), np.float64)
        self.background = float(mixture.log_share) + background
        self.log_sum = np.full(len(x), -np.inf)
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.count = 0
        if whole is not None:
            self.add(_full(np.arange(len(x)), whole))

    def add(self, pairs: Iterator[tuple[np.ndarray, np.ndarray]]) -> None:
        for points, kernels in pairs:
            self.waiting.append((points, kernels))
            self.count += len(points)
            if self.count >= _BLOCKS[0]:
                self._evaluate(_BLOCKS[0])

    def total(self) -> np.ndarray:
        """The sums in logarithms, shape ``(n,)``."""
        self._evaluate(_BLOCKS[-1], rest=True)
        return self.log_sum

    def _evaluate(self, block: int, rest: bool = False) -> None:
        if not self.count:
            return
        points, kernels = (np.concatenate(p) for p in zip(*self.waiting, strict=True))
        end = self.count if rest else self.count - self.count % block
        for start in range(0, end, block):
            some = slice(start, min(start + block, end))
            self._block(points[some], kernels[some], block)
        self.waiting, self.count = [(points[end:], kernels[end:])], self.count - end

    def _block(self, points: np.ndarray, kernels: np.ndarray, block: int) -> None:
        """Add pairs, at most ``block`` of them, in a program for so many."""
        count = len(points)
        pad = (0, block - count)
        at = device(self.x[np.pad(points, pad)])
        rows = device(np.pad(kernels, pad), np.int32)
        found = quick_jit(_terms)(self.mixture.manifold, self.parts, at, rows)
        terms = np.asarray(found, np.float64)[:count]
        starts = np.flatnonzero(np.diff(points, prepend=-1))
        top = np.maximum.reduceat(terms, starts)
        top = np.where(np.isfinite(top), top, 0.0)
        sizes = np.diff(starts, append=count)
        sums = np.add.reduceat(np.exp(terms - np.repeat(top, sizes)), starts)
        with np.errstate(divide="ignore"):
            np.logaddexp.at(self.log_sum, points[starts], top + np.log(sums))


def _background(law: Reference, x: Array) -> Array:
    return jax.vmap(law.log_prob)(x)


def _terms(manifold: Manifold, parts: tuple[Array, ...], x: Array, kernels: Array) -> Array:
    """log (w · kernel) at x, pair by pair."""
    z, axes, variances, log_w = (p[kernels] for p in parts)

    def one(x: Point, z: Point, axes: Array, variances: Array) -> Scalar:
        return WrappedFamily().log_prob(manifold, x, z, axes, variances, None)

    return log_w + jax.vmap(one)(x, z, axes, variances)
