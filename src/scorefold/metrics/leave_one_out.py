"""How well a method fills in a snapshot that it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from scorefold._types import Key, NumPyOrJax
from scorefold.manifolds import Manifold, pairwise
from scorefold.manifolds.neighbours import rows_of
from scorefold.metrics._draws import generator

if TYPE_CHECKING:  # Anything with their times, points and ``without`` will do.
    from scorefold.data.snapshots import Snapshots


class LeftOut(NamedTuple):
    """One snapshot left out. ``w2``, ``w1``: W_p with geodesic cost between the law of the method
    at its time and the m test points there; ``w2_std``: standard deviation over draws;
    ``energy``: the energy distance, unbiased (``None`` where the distance of the manifold is not
    of negative type). ``floor_w2``, ``floor_w1``, ``floor_energy``: the same for the training
    points of the snapshot, which the method has not seen. ``n``: number of draws."""

    snapshot: int
    time: float
    w2: float
    w2_std: float
    w1: float
    energy: float | None
    floor_w2: float
    floor_w1: float
    floor_energy: float | None
    n: int
    m: int


@runtime_checkable
class SnapshotSampler(Protocol):
    """A law at any time between snapshots."""

    def sample_at(self, key: Key, t: float, n: int) -> NumPyOrJax: ...


def leave_one_out(
    train: Snapshots,
    test: Snapshots,
    fit: Callable[[Snapshots], SnapshotSampler],
    *,
    key: Key,
    which: Sequence[int] | None = None,
    at_most: int = 600,
    repeats: int = 4,
) -> tuple[LeftOut, ...]:
    """For each inner snapshot k: ``fit(train.without(k))``, draws of its law at t_k, and their
    distance to the test points of snapshot k beside that of the training points of snapshot k.

    Both distances are between n points and the same m test points, each of which counts n/m times
    (n a multiple of m, at most ``at_most`` and the number of training points): W_p is exact for
    the two discrete laws, and of m test points alone it is far from 0 for the true law too, which
    is what the floor tells. Draws that are smoother than a sample may be below the floor. Values
    are means over ``repeats`` draws.

    **Arguments:** ``train``, ``test``: ``Snapshots``, or anything with ``manifold``, ``times``,
    ``points`` and ``without(k)``, of the same times; ``fit``: any method, returning an object with
    ``sample_at(key, t, n)``; ``which``: the snapshots to leave out (default: all inner ones).
    **Raises:** ``ValueError`` for times that differ and for a snapshot that is not an inner one.
    """
    if tuple(train.times) != tuple(test.times):
        raise ValueError(f"test: has times {test.times}, the training snapshots {train.times}.")
    inner = range(1, len(train.times) - 1)
    chosen = list(inner if which is None else which)
    for k in chosen:
        if k not in inner:
            raise ValueError(f"which: {k} is not an inner snapshot, 1 to {len(train.times) - 2}.")
    manifold, known = train.manifold, train.manifold.negative_type is not None

    def left_out(k: int) -> LeftOut:
        time, method = float(train.times[k]), fit(train.without(k))
        key_k = jax.random.fold_in(key, k)
        trained = rows_of(manifold, f"train.points[{k}]", train.points[k])
        tested = rows_of(manifold, f"test.points[{k}]", test.points[k])
        most = min(at_most, len(trained))
        m = min(len(tested), most)
        n = m * (most // m)
        rng = generator(key_k)
        values = []
        for j in range(repeats):
            drawn = method.sample_at(jax.random.fold_in(key_k, j), time, n)
            rows = rows_of(manifold, "samples", drawn)
            some = tested[rng.permutation(len(tested))[:m]]
            fresh = trained[rng.permutation(len(trained))[:n]]
            values.append([*_distances(manifold, rows, some), *_distances(manifold, fresh, some)])
        mean, std = np.mean(values, axis=0), np.std(values, axis=0, ddof=1 if repeats > 1 else 0)
        w2, w1, energy, floor_w2, floor_w1, floor_energy = map(float, mean)
        return LeftOut(
            k, time, w2, float(std[0]), w1, energy if known else None,
            floor_w2, floor_w1, floor_energy if known else None, n, m,
        )  # fmt: skip

    return tuple(map(left_out, chosen))


def _distances(manifold: Manifold, x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """W₂, W₁ and the energy distance of n points and m points, n a multiple of m."""
    from scipy.optimize import linear_sum_assignment

    n, m = len(x), len(y)
    across = pairwise(manifold, x, y)
    wide = np.tile(across, (1, n // m))
    found = []
    for order in (2, 1):
        rows, columns = linear_sum_assignment(wide**order)
        found.append(float(np.mean(wide[rows, columns] ** order) ** (1.0 / order)))
    own = pairwise(manifold, x, x).sum() / (n * (n - 1)) if n > 1 else 0.0
    other = pairwise(manifold, y, y).sum() / (m * (m - 1)) if m > 1 else 0.0
    return found[0], found[1], float(2.0 * across.mean() - own - other)
