"""``fit_intervals``: a bridge of each two consecutive snapshots, end to end."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold._types import Key, NumPyOrJax, Values
from scorefold._warnings import warn
from scorefold.bridges._base import brownian_reference
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.description import BridgeDescription, FittedBridge
from scorefold.bridges.fit_bridge import fit_bridge
from scorefold.bridges.intake import exact_rows
from scorefold.bridges.light.bridge import LightBridge
from scorefold.bridges.reference.integrated import check_times
from scorefold.bridges.snapshots.multi_marginal import MultiMarginalBridge
from scorefold.bridges.snapshots.rate import snapshot_rate
from scorefold.fitting import History
from scorefold.manifolds import Manifold
from scorefold.noising import Noising


def fit_intervals(
    manifold: Manifold,
    times: Values,
    points: Sequence[Values],
    *,
    key: Key,
    rate: float | None = None,
    val: Sequence[Values] | None = None,
    weights: Sequence[Values | None] | None = None,
    ids: Sequence[Values] | None = None,
    val_ids: Sequence[Values] | None = None,
    survivors: bool = False,
    bridge: Callable[[Noising], BridgeDescription[FittedBridge]] = LightBridge,
    out: str | Path | None = None,
    **settings: Any,
) -> tuple[MultiMarginalBridge, tuple[History | AlternationHistory, ...]]:
    """The bridge through snapshots with Brownian motion as reference, fitted interval by interval
    by ``fit_bridge``; returns it and the history of each interval.

    **Arguments:**

    - ``times``: t_0 < … < t_K; ``points``: K + 1 arrays, lists or frames, shape
      ``(n_k, *manifold.shape)``. ``val``: the same of held-out points, by which parameters are
      chosen; an interval with fewer than 2 at an end is trained without, which is said.
    - ``rate``: variance of the Brownian motion per unit of time; it lasts rate·(t_{k+1} − t_k)
      in interval k. Default: ``snapshot_rate``.
    - ``weights``: K + 1 arrays of weights ≥ 0 of the rows (None: equal). Rows of weight 0 are
      dropped, others are repeated in proportion, n_k rows in all.
    - ``ids``, ``val_ids`` and ``survivors``: labels of the rows of ``points`` and ``val``. With
      ``survivors`` the bridge of an interval joins the members seen at both its ends. A path
      arrives at a snapshot as one of those that lived through the interval before, and goes on as
      one of those that live through the next: it is continuous, and its law is that of a member
      that survives; the law at a snapshot time differs from the left and from the right by those
      who are lost there. Without, the bridge joins all that are seen: where snapshots lose
      members, others move into their place.
    - ``bridge``: makes the bridge of one interval from its reference.
    - ``key`` and ``settings``: those of ``fit_bridge``; ``out``: a folder, with one for each
      interval inside.

    The numbers of members are kept as ``mass`` of the result: laws are normalised, mass is not.

    **Raises:** ``ValueError`` naming the argument for times that do not increase, arrays that do
    not fit, a rate that is not positive and an interval that nobody survives; and what
    ``fit_bridge`` raises.
    """
    at = check_times(times)
    rows = _snapshots(manifold, points, len(at), "points")
    held = None if val is None else _snapshots(manifold, val, len(at), "val")
    mass = [len(r) for r in rows]
    if rate is None:
        rate = snapshot_rate(manifold, at, rows)
    if not (math.isfinite(rate) and rate > 0):
        raise ValueError(f"rate must be a positive variance per unit of time, got {rate}.")
    labels = held_labels = None
    if survivors:
        if ids is None or (held is not None and val_ids is None):
            raise ValueError(
                "survivors: needs the labels of the members, ids (and val_ids with val)."
            )
        if weights is not None:
            raise ValueError("weights, survivors: give one of the two.")
        labels = _labels("ids", ids, rows)
        if held is not None and val_ids is not None:
            held_labels = _labels("val_ids", val_ids, held)
    elif weights is not None:
        rows = _weighted(rows, weights)
    bridges, starts, histories = [], [], []
    for k, gap in enumerate(np.diff(at)):
        a, b = _ends("ids", rows, labels, k)
        more = settings if out is None else {**settings, "out": Path(out) / f"interval-{k}"}
        pair = None if held is None else _ends("val_ids", held, held_labels, k)
        if pair is not None and min(map(len, pair)) < 2:
            warn(
                f"val: {min(map(len, pair))} of a snapshot are too few to choose parameters by; "
                f"the bridge from t = {at[k]:g} to {at[k + 1]:g} is trained without."
            )
            pair = None
        fitted, history = fit_bridge(
            bridge(brownian_reference(manifold, rate * float(gap))), a, b,
            key=jax.random.fold_in(key, k), val=pair, **more,
        )  # fmt: skip
        bridges.append(fitted)
        histories.append(history)
        starts.append(a)
    return MultiMarginalBridge(at, bridges, starts, mass), tuple(histories)


def _snapshots(
    manifold: Manifold, points: Sequence[Values], count: int, name: str
) -> list[NumPyOrJax]:
    if len(points) != count:
        raise ValueError(f"{name}: {count} times need as many snapshots, got {len(points)}.")
    return [exact_rows(manifold, rows, f"{name}[{k}]") for k, rows in enumerate(points)]


def _ends(
    name: str, rows: Sequence[NumPyOrJax], labels: Sequence[np.ndarray] | None, k: int
) -> tuple[NumPyOrJax, NumPyOrJax]:
    """Snapshots k and k + 1: all rows, or with labels those of members seen in both."""
    if labels is None:
        return rows[k], rows[k + 1]
    first, last = labels[k], labels[k + 1]
    kept = np.isin(first, last)
    if kept.sum() < 2 and name == "ids":
        raise ValueError(f"{name}: fewer than 2 members are in both snapshots {k} and {k + 1}.")
    return rows[k][kept], rows[k + 1][np.isin(last, first)]


def _labels(name: str, ids: Sequence[Values], rows: Sequence[NumPyOrJax]) -> list[np.ndarray]:
    if len(ids) != len(rows):
        raise ValueError(f"{name}: needs {len(rows)} arrays, got {len(ids)}.")
    found = [np.asarray(labels) for labels in ids]
    for k, (labels, points) in enumerate(zip(found, rows, strict=True)):
        if labels.shape != (len(points),):
            raise ValueError(f"{name}[{k}]: needs {len(points)} labels, got shape {labels.shape}.")
    return found


def _weighted(rows: Sequence[NumPyOrJax], weights: Sequence[Values | None]) -> list[NumPyOrJax]:
    """Rows repeated in proportion to their weights (systematic resampling with offset ½)."""
    if len(weights) != len(rows):
        raise ValueError(f"weights: needs {len(rows)} arrays, got {len(weights)}.")
    found = []
    for k, (points, given) in enumerate(zip(rows, weights, strict=True)):
        if given is None:
            found.append(points)
            continue
        w = np.asarray(given, np.float64)
        if w.shape != (len(points),) or not ((w >= 0) & np.isfinite(w)).all() or not w.sum() > 0:
            raise ValueError(
                f"weights[{k}]: needs {len(points)} finite numbers ≥ 0 that are not all 0."
            )
        kept = np.flatnonzero(w)
        if np.ptp(w[kept]) > 1e-12 * w.max():
            levels = (np.arange(len(w)) + 0.5) / len(w)
            kept = np.minimum(np.searchsorted(np.cumsum(w) / w.sum(), levels), len(w) - 1)
        found.append(points[kept])
    return found
