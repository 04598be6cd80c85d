"""What is measured of every bridge between two tables: a new number is an entry of
``END_MEASURES``."""

from functools import cached_property
from typing import Literal

import jax
import numpy as np

from scorefold._types import Document, Key
from scorefold._warnings import warn
from scorefold.bridges import Bridge, arrival
from scorefold.data import Dataset
from scorefold.metrics import end_distance, path_energy
from scorefold.runs.bridges.arrivals import distance_numbers, gap_numbers, missed_line
from scorefold.runs.bridges.weighted import worth as worth_of
from scorefold.runs.measures import Measure

_WALK = 60
_FEW = 200
_ENERGY = 128


class MeasuredBridge:
    """A bridge beside its two ends, with the points that it carried from each to the other: where
    few are held out, points of training too say whether a bridge arrives."""

    def __init__(self, bridge: Bridge, a: Dataset, b: Dataset, seed: int):
        self.bridge, self.a, self.b = bridge, a, b
        self.keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), 7), 5)

    @cached_property
    def carried(self) -> dict[str, np.ndarray]:
        """Points that came to lie at "a" and at "b"."""
        there = self.bridge.sample_forward(self.keys[0], many(self.a), steps=_WALK)
        back = self.bridge.sample_backward(self.keys[1], many(self.b), steps=_WALK)
        return {"a": np.asarray(back), "b": np.asarray(there)}

    @property
    def held(self) -> dict[str, np.ndarray]:
        """Those of them that began in a test point."""
        return {"a": self.carried["a"][: len(self.b.test)],
                "b": self.carried["b"][: len(self.a.test)]}  # fmt: skip


def many(dataset: Dataset) -> np.ndarray:
    """The test points; and others after them where they are few."""
    if len(dataset.test) >= _FEW:
        return np.asarray(dataset.test)
    return np.concatenate([dataset.test, dataset.val, dataset.train])[: 2 * _FEW]


def _ends(fitted: MeasuredBridge) -> Document:
    a, b, keys = fitted.a, fitted.b, fitted.keys
    return {"ends": {"a": _end(fitted, a, b, keys[3], "a"), "b": _end(fitted, b, a, keys[4], "b")}}


def _end(
    fitted: MeasuredBridge, end: Dataset, other: Dataset, key: Key, name: Literal["a", "b"]
) -> Document:
    """W₁ of bridged draws to held-out points of an end, its floor, and that of the other end; how
    far draws are from real points along the worst line, and whether that is a miss."""
    manifold = fitted.bridge.manifold
    found = end_distance(manifold, fitted.held[name], end.test, end.train, key=key)
    apart = end_distance(manifold, other.test, end.test, end.train, key=key)
    few = min(len(end.test), len(other.test)) < _FEW
    worth = np.inf if few else 1.0 / (1.0 / worth_of(end) + 1.0 / worth_of(other))
    gap = arrival(fitted.bridge, name, fitted.carried[name], many(end), key=key, learned_from=worth)
    if gap.missed:
        warn(missed_line(end.name, gap))
    return {**distance_numbers(found), "unbridged": apart.value, **gap_numbers(gap)}


def _energy(fitted: MeasuredBridge) -> Document:
    found = path_energy(fitted.bridge, fitted.a.test[:_ENERGY], key=fitted.keys[2], steps=_WALK)
    error = "path_energy_standard_error"
    return {
        "path_energy": found.value,
        error: found.standard_error,
        **({f"{error}_reason": "one test point"} if found.n < 2 else {}),
    }


END_MEASURES: dict[str, Measure[MeasuredBridge]] = {
    "ends": Measure("how near the bridge comes to its ends", ("ends",), _ends),
    "energy": Measure(
        "the energy of the paths", ("path_energy", "path_energy_standard_error"), _energy
    ),
}
