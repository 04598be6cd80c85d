"""Protocols: which rows train, validate and test.

Every protocol gives about 80/10/10 and is a pure function of the rows and the seed. Random
numbers come from ``numpy.random.Generator(PCG64(seed))``, except for the published splits, which
use the generators of their authors.

=========================  =====================================================================
``grouped`` (default)      rows with equal coordinates, or of one group, stay together
``random``                 rows in random order: repeated rows leak from training to test
``dedup``                  repeated rows dropped first, then random
``blocks``                 cells of space stay together: test regions are apart from training
``published``              the split of Riemannian score-based generative modelling
``published-partitionable``  the same program under JAX's newer generator flag
``published-rfm``          the split of Riemannian flow matching
=========================  =====================================================================
"""

from typing import NamedTuple

import numpy as np

from scorefold.data._errors import DataError, nearest
from scorefold.data.splits.published import (
    rfm_sizes,
    rsgm_permutation,
    rsgm_sizes,
    torch_permutation,
)

GENERAL = ("grouped", "random", "dedup", "blocks")
"""Protocols for any table."""
_PUBLISHED = ("published", "published-partitionable", "published-rfm")
PROTOCOLS = (*GENERAL, *_PUBLISHED)
LEAKING = ("random", *_PUBLISHED)
"""Protocols that let rows with equal coordinates into both training and test set."""
_CELLS = 100
_SHARES = np.array([0.8, 0.1, 0.1])
_ROUNDING = 1e-9
_MOST_PARTS = 64
_FINE = 2.0**40


class Split(NamedTuple):
    """Row numbers (of the table as read) of the three parts, in the order of the draw."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


def split(
    protocol: str,
    positions: np.ndarray,
    seed: int,
    *,
    labels: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    blocks: np.ndarray | None = None,
    weights: np.ndarray | None = None,
) -> Split:
    """The rows of each part.

    **Arguments:** ``positions``: one row per point (shape (n, k)); ``labels``: n numbers, the same
    for rows of one point (default: those of equal ``positions``); ``groups``: n labels that
    ``grouped`` keeps together as well; ``blocks``: coordinates (n, m) in which ``blocks`` cuts
    space, default ``positions``; ``weights``: positive, of the rows: the shares 80/10/10 are of
    weight then, so that a row of weight 2 counts as the row twice.
    **Raises:** ``DataError`` for an unknown protocol, a negative seed, or fewer rows (groups,
    cells) than three; for weights under a protocol that has none: ``dedup`` counts each point
    once, and published splits are of rows.
    """
    if protocol not in PROTOCOLS:
        raise nearest("protocol", protocol, PROTOCOLS)
    if not 0 <= seed < 2**31:
        raise DataError(f"The seed of a split must be in [0, 2^31), got {seed}.")
    n = len(positions)
    if n < 3:
        raise DataError(f"{n} rows cannot be split into training, validation and test: need 3.")
    if weights is not None and protocol not in ("grouped", "random", "blocks"):
        raise DataError(
            f"weights= (--weights): the protocol {protocol!r} counts all rows alike; take "
            "'grouped', 'random' or 'blocks' (--protocol), or no weights."
        )
    if protocol == "published-rfm":
        return _cut(torch_permutation(n, seed), rfm_sizes(n))
    if protocol in _PUBLISHED:
        newer = protocol == "published-partitionable"
        return _cut(rsgm_permutation(n, seed, partitionable=newer), rsgm_sizes(n))
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = equal_rows(positions) if labels is None else labels
    if protocol == "random":
        return _random(rng, np.arange(n)) if weights is None else _by_weight(rng, weights)
    if protocol == "dedup":
        first = np.unique(labels, return_index=True)[1]
        return _random(rng, np.sort(first))
    if protocol == "grouped":
        together = labels if groups is None else joined(labels, groups)
        return _whole(rng, together, "groups", weights)
    if blocks is None:
        return _whole(rng, joined(_cells(rng, positions), labels), "cells", weights)
    return _whole(rng, _cells(rng, blocks), "cells", weights)


def equal_rows(positions: np.ndarray) -> np.ndarray:
    """A label 0, 1, … for each row; equal rows have equal labels."""
    return np.unique(positions, axis=0, return_inverse=True)[1].reshape(-1)


def joined(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The finest labels 0, 1, … that tell apart neither rows of one label of ``labels`` (whole
    numbers from 0) nor rows of one of ``others`` (of any kind); ``labels`` themselves where that
    joins nothing."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    named = np.unique(others, return_inverse=True)[1].reshape(-1)
    shape = (labels.max() + 1, named.max() + 1)
    ones = np.ones(len(labels), dtype=np.int8)
    links = coo_matrix((ones, (labels, named + shape[0])), shape=(sum(shape), sum(shape)))
    return np.unique(connected_components(links, directed=False)[1][labels], return_inverse=True)[1]


def _cut(order: np.ndarray, sizes: tuple[int, int, int]) -> Split:
    train, val, _ = sizes
    return Split(order[:train], order[train : train + val], order[train + val :])


def _random(rng: np.random.Generator, keep: np.ndarray) -> Split:
    n = len(keep)
    if n < 3:
        raise DataError(f"{n} different rows cannot be split into three parts.")
    # At least one row each, where ten per cent would be none.
    val, test = max(1, n // 10), max(1, n - int(0.8 * n) - n // 10)
    return _cut(rng.permutation(keep), (n - val - test, val, test))


def _whole_numbers(weights: np.ndarray) -> np.ndarray:
    """Weights in proportion as whole numbers, where 64 times the smallest suffice, else in 2^−40 of
    their sum: so ties are those of repeated rows, and do not hang on a factor of all weights."""
    ratio = weights / weights.min()
    for parts in range(1, _MOST_PARTS + 1):
        whole = np.round(ratio * parts)
        if np.all(np.abs(ratio * parts - whole) <= _ROUNDING * whole):
            return whole
    return np.round(weights / weights.sum() * _FINE)


def _by_weight(rng: np.random.Generator, weights: np.ndarray) -> Split:
    """Rows in random order, cut where the shares of weight are reached, one row each at least."""
    n, weights = len(weights), _whole_numbers(weights)
    order = rng.permutation(n)
    reached = np.cumsum(weights[order])
    middles = (reached - 0.5 * weights[order]) / reached[-1]
    ends = np.cumsum(_SHARES)[:2] - _ROUNDING  # ties do not hang on a factor of all weights
    train, rest = (int(k) for k in np.searchsorted(middles, ends))
    train = min(max(train, 1), n - 2)
    return _cut(order, (train, min(max(rest - train, 1), n - train - 1), 0))


def _whole(
    rng: np.random.Generator, labels: np.ndarray, what: str, weights: np.ndarray | None = None
) -> Split:
    """Whole groups, in random order, each to the part that lacks the largest share of its rows
    (their weight) and can still hold it; groups too large for validation and test go to
    training."""
    size = np.bincount(labels, None if weights is None else _whole_numbers(weights))
    if len(size) < 3:
        raise DataError(
            f"The rows form {len(size)} {what}: three parts need at least 3. "
            "The protocol 'random' splits row by row."
        )
    target = _SHARES * (len(labels) if weights is None else size.sum())
    limit = np.maximum(target, size.min())
    have = np.zeros(3)
    part = np.empty(len(size), dtype=np.int64)
    for group in rng.permutation(len(size)).tolist():
        lack = 1.0 - have / target
        lack[1:][have[1:] + size[group] > limit[1:]] = -np.inf
        part[group] = chosen = int(np.argmax(lack))
        have[chosen] += size[group]
    for k in (1, 2):
        if have[k] == 0:
            in_train = np.flatnonzero(part == 0)
            part[in_train[np.argmin(size[in_train])]] = k
    order = rng.permutation(len(labels))
    return Split(*(order[part[labels[order]] == k] for k in range(3)))


def _cells(rng: np.random.Generator, positions: np.ndarray) -> np.ndarray:
    """Voronoi cells of rows drawn as centres: about a hundred, fewer for small tables."""
    from scipy.spatial import cKDTree

    different = np.unique(positions, axis=0)
    count = min(_CELLS, max(3, len(different) // 10))
    if len(different) < 3:
        raise DataError(f"{len(different)} different positions cannot be cut into three regions.")
    centres = different[rng.choice(len(different), count, replace=False)]
    labels = cKDTree(centres).query(positions)[1]
    return np.unique(labels, return_inverse=True)[1]
