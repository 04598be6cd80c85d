"""Densities of mixtures of very many wrapped kernels, from those that matter at each point."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import by_blocks, device, evenly
from scorefold._compile import quick_jit
from scorefold._types import NumPyOrJax, Values
from scorefold.kernels.wrapped.cells import KernelCells, cells_of
from scorefold.kernels.wrapped.coordinates import MOST_NUMBERS
from scorefold.kernels.wrapped.families import WrappedFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.kernels.wrapped.tails import Beyond, curved
from scorefold.kernels.wrapped.tiles import side_by_side, tile_sums
from scorefold.manifolds import Manifold, check_points
from scorefold.noising import Reference

_SIZE, _MANY = 128, 1 << 20
"""Kernels in a cell; of so many kernels twice as many are."""
_LIKELY = 3.0
"""The density is bounded from below by the cells that seem to add e⁻³ of the most, or more."""
_BOUNDED, _FEWEST, _MOST = 1 << 18, 32, 128
"""Pairs of a point and a cell bounded at a time, so that they stay in the cache, as far as these
are so many points."""
_HELD = 1 << 26
"""Pairs of a point and a cell of which it is held whether they matter."""
_CUTS = (1.0, 0.25, 0.0625, 0.016, 0.004)
"""Shares of what may be left out: cells of less are, by the largest of these that will do."""
_LARGEST, _ROUNDED = 60.0, 0.999
"""Bound on logarithms of shares, and the sum that leaves room for rounding."""
_PROBES, _WHOLE = 64, 0.4
"""Points at which cells are counted, and the share of all above which the full sum is cheaper: in
more dimensions than ``MOST_NUMBERS``, where a pair takes twice as long in cells."""
_SETUP, _KERNEL = 4e6, 4.0
"""Cost in pairs of a full sum: of compiling, and of a kernel that is put into a cell
(``benchmarks/edge_speed.py``)."""


def truncated_log_prob(
    mixture: WrappedMixture, x: Values, *, rtol: float = 1e-3
) -> tuple[Array, Array]:
    """(log p̂(x), e) with p̂ ≤ p ≤ p̂/(1 − e) and e ≤ rtol: the density of a wrapped mixture
    from the kernels that matter at each point, in nats, and a bound on the relative error.

    Kernels are put into cells of 128 (256 of more than 2²⁰; 1 in more than 12 dimensions) that
    are near one another and about as wide. A cell with the sum S of weighted peak densities and
    the largest standard deviation σ, whose kernels are at least R away from x, adds at most

        S · sup_{r ≥ R} e^{−r²/2σ²} |det d exp|⁻¹,

    R the distance from the middle of the cell less its radius. Cells whose bounds together are at
    most rtol · L are left out, L the background and the likeliest cells, and all others are summed
    in full. p̂ is p but for the sum left out and for rounding. The bound is proved; it supposes that
    a point is not within the resolution of its numbers of the cut locus −z of a kernel on a sphere.

    A pair of a point and a kernel takes 2 to 25 ns (``Manifold.normal_coordinates``); memory is
    O(n) for n kernels, and some 10⁸ bytes. On a ``Manifold`` whose
    ``sine_volumes`` are not known all kernels are summed. Not for use inside ``jax.jit``.

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
    log_prob, left_out = _sum(mixture, _sums(mixture, rows), rows, rtol)
    shape = lambda a: device(a.astype(rows.dtype).reshape(batch))  # noqa: E731
    return shape(log_prob), shape(left_out)


def cheaper_log_prob(mixture: WrappedMixture, x: NumPyOrJax, *, rtol: float) -> Array | None:
    """``truncated_log_prob`` where it takes less time than the sum over all kernels, else None.

    The choice follows from the numbers of points and kernels, and in more dimensions than pairs are
    cheap in from how many cells matter at 64 of the points: the same points have the same density
    every time. ``x``: shape ``(n, *manifold.shape)``.
    """
    count = len(mixture.centres)
    full = float(len(x)) * count
    wrapped = isinstance(mixture.family, WrappedFamily) and mixture.diagonal is None
    if not wrapped or full < _SETUP + _KERNEL * count:
        return None
    rows = np.asarray(x)
    sums = _sums(mixture, rows)
    if mixture.manifold.dim > MOST_NUMBERS:
        probes = rows[evenly(len(rows), _PROBES)]
        _sum(mixture, sums, probes, rtol)
        if sums.summed > _WHOLE * len(probes) * sums.count:
            return None
    return device(_sum(mixture, sums, rows, rtol)[0].astype(rows.dtype))


def _sums(mixture: WrappedMixture, rows: np.ndarray) -> CellSums:
    size = _SIZE if len(mixture.centres) <= _MANY else 2 * _SIZE
    if mixture.manifold.dim > MOST_NUMBERS:
        size = 1  # balls are as large as all there, and a bound costs less than a pair
    return CellSums(mixture.manifold, cells_of(mixture, size, rows.dtype))


def _sum(
    mixture: WrappedMixture, sums: CellSums, rows: np.ndarray, rtol: float
) -> tuple[np.ndarray, np.ndarray]:
    """log p̂ and e in 64 bits, shape ``(n,)``."""
    law = lambda some: quick_jit(_background)(mixture.background, some)  # noqa: E731
    background = float(mixture.log_share) + np.asarray(by_blocks(law, rows), np.float64)
    inside = float(np.log1p(-np.exp(np.float64(mixture.log_share))))
    kernels, left_out = (np.empty(len(rows)) for _ in range(2))
    step = max(_MOST, _HELD // sums.count)
    for start in range(0, len(rows), step):
        some = slice(start, start + step)
        kernels[some], left_out[some] = sums.at(rows[some], background[some] - inside, rtol)
    log_prob = np.logaddexp(background, inside + kernels)
    ratio = np.exp(np.minimum(inside + left_out - log_prob, 0.0))
    return log_prob, ratio / (1.0 + ratio)


class CellSums:
    """log Σ w_i · kernel_i at many points, of the cells that matter there. ``summed``: how many
    pairs of a point and a cell were summed so far."""

    def __init__(self, manifold: Manifold, cells: KernelCells) -> None:
        self.manifold, self.cells, self.count = manifold, cells, len(cells.std)
        self.summed = 0
        self.block = int(np.clip(_BOUNDED // self.count, _FEWEST, _MOST))
        known = curved(manifold) is not None
        self.bounds = _Bounds.of(manifold, cells) if known else None

    def at(self, x: np.ndarray, besides: np.ndarray, rtol: float) -> tuple[np.ndarray, np.ndarray]:
        """The sum, and a bound on what is left out of it, which is at most rtol of the sum and
        ``besides`` together: all in logarithms, shape ``(n,)``."""
        n = len(x)
        if self.bounds is None:
            every = [np.ones((self.count, self.block), bool)] * -(-n // self.block)
            return self._sum(x, every), np.full(n, -np.inf)
        law = self.manifold, self.bounds
        points = list(self._blocks(x))
        first = side_by_side(lambda p: np.asarray(_likely(*law, p)), points)
        known = self._sum(x, first)
        room = np.logaddexp(known, besides) + math.log(rtol)

        def besides_known(p: Array, mask: np.ndarray, r: Array) -> tuple[np.ndarray, np.ndarray]:
            found, left = _mattering(*law, p, device(mask), r)
            return np.asarray(found), np.asarray(left, np.float64)

        rooms = self._blocks(room.astype(x.dtype))
        more, left_out = zip(*side_by_side(besides_known, points, first, rooms), strict=True)
        return np.logaddexp(known, self._sum(x, list(more))), np.concatenate(left_out)[:n]

    def _blocks(self, a: np.ndarray) -> Iterator[Array]:
        """Rows of a, some at a time, along the last axis."""
        for start in range(0, len(a), self.block):
            at = np.minimum(np.arange(start, start + self.block), len(a) - 1)
            yield device(np.moveaxis(a[at], 0, -1))

    def _sum(self, x: np.ndarray, masks: list[np.ndarray]) -> np.ndarray:
        """log of the sums over the cells that each block of points takes, float64."""
        pairs = []
        for block, mask in enumerate(masks):
            start = block * self.block
            of, point = np.nonzero(mask[: self.count, : len(x) - start])
            pairs.append((point + start, of.astype(np.min_scalar_type(self.count))))
        points, of = (np.concatenate(part) for part in zip(*pairs, strict=True))
        self.summed += len(points)
        order = np.argsort(of, kind="stable")
        points = points[order]
        each = tile_sums(self.manifold, self.cells, x, points, of[order])
        top = np.full(len(x), -np.inf)
        np.maximum.at(top, points, each)
        level = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            return level + np.log(np.bincount(points, np.exp(each - level[points]), len(x)))


class _Bounds(NamedTuple):
    """What bounds cells at a point, filled up to 4, 5, 6, 7, 8, 10, 12, 14, … of them, so that few
    programs serve all mixtures."""

    middle: Array
    """``(C, *shape)``."""
    radius: Array
    level: Array
    rate: Array
    """level − rate · r²: about log of what a cell adds at a distance r from the middle."""
    log_mass: Array
    beyond: tuple[Array, ...]
    """The parts of ``Beyond``."""

    @classmethod
    def of(cls, manifold: Manifold, cells: KernelCells) -> _Bounds:
        count, dtype = len(cells.std), cells.levels.dtype
        quarter = max(1, 1 << (count - 1).bit_length() >> 3)
        fill = -count % quarter
        beyond = Beyond.of(manifold, cells.std, float(jnp.finfo(dtype).eps))

        def filled(a: np.ndarray, mode: Literal["edge", "constant"] = "edge") -> Array:
            more = [(0, fill)] + [(0, 0)] * (a.ndim - 1)
            return device(np.pad(a, more, mode=mode).astype(dtype))

        d, square = manifold.dim, cells.std**2
        spread = square + cells.radius**2 / (d + 2)  # of points evenly in a ball
        level = cells.log_mass + 0.5 * d * np.log(square / spread)
        none = np.full(fill, -np.inf)
        return cls(
            middle=filled(cells.middle),
            radius=filled(cells.radius),
            level=device(np.concatenate([level, none]).astype(dtype)),
            rate=filled(0.5 / spread),
            log_mass=device(np.concatenate([cells.log_mass, none]).astype(dtype)),
            beyond=tuple(filled(a) for a in beyond),
        )

    def distances(self, manifold: Manifold, x: Array) -> Array:
        """From the middles to points ``(*shape, n)``: ``(C, n)``. Points come last everywhere here:
        sums over the other axis are then loops without a carry."""

        def one(z: Array, p: Array) -> Array:
            v, _ = manifold.normal_coordinates(z, p)
            return jnp.sqrt(functools.reduce(jnp.add, [a * a for a in v]))

        return jax.vmap(lambda z: jax.vmap(lambda p: one(z, p), -1)(x))(self.middle)

    def largest(self, distance: Array) -> Array:
        """Logarithms of what the kernels of each cell can add from this distance on."""
        top, slope, least = (a[:, None] for a in self.beyond)
        beyond = jnp.maximum(top - slope * jnp.maximum(distance, 0.0) ** 2, least)
        return self.log_mass[:, None] + beyond


@eqx.filter_jit
def _likely(manifold: Manifold, bounds: _Bounds, x: Array) -> Array:
    """The cells that would add most, or e⁻³ of that, if each were one normal law around its middle:
    ``(C, n)``."""
    away = bounds.distances(manifold, x)
    each = bounds.level[:, None] - bounds.rate[:, None] * away * away
    return (each >= jnp.max(each, axis=0)[None] - _LIKELY) & (each > -jnp.inf)


@eqx.filter_jit
def _mattering(
    manifold: Manifold, bounds: _Bounds, x: Array, known: Array, room: Array
) -> tuple[Array, Array]:
    """Which cells besides those ``known`` matter where cells of a sum of e^{room} may be left out,
    ``(C, n)``, and a bound on the sum of those that do not, in logarithms, ``(n,)``."""
    eps = float(jnp.finfo(x.dtype).eps)
    away = bounds.distances(manifold, x)
    # Distances have been rounded.
    near = away * (1.0 - 1e-6) - bounds.radius[:, None] * (1.0 + 1e-6) - 8.0 * eps
    share = jnp.exp(jnp.minimum(bounds.largest(near) - room[None], _LARGEST))
    share = jnp.where(known, 0.0, share)
    cuts = (*_CUTS, 0.5 / len(share))
    sums = jnp.stack([jnp.sum(jnp.where(share <= c, share, 0.0), axis=0) for c in cuts])
    first = jnp.argmax(sums <= _ROUNDED, axis=0)
    cut = jnp.asarray(cuts, x.dtype)[first]
    left = jnp.take_along_axis(sums, first[None], axis=0)[0]
    # What is not a number is summed.
    return ~(share <= cut[None]), room + jnp.log(left)


def _background(law: Reference, x: Array) -> Array:
    return jax.vmap(law.log_prob)(x)
