"""All measures of memorisation and generalisation of a set of samples at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from scorefold._types import Document, Key, Values
from scorefold._weights import average
from scorefold.manifolds import Manifold
from scorefold.metrics._draws import generator, independent, limit, points_of
from scorefold.metrics._exchange import Groups
from scorefold.metrics.copying import Copying, copying
from scorefold.metrics.likelihood_gap import LikelihoodGap, likelihood_gap
from scorefold.metrics.nearest_ratio import NearestRatio, nearest_ratio
from scorefold.metrics.sliced_wasserstein import sliced_wasserstein
from scorefold.metrics.thinned import kept_rows
from scorefold.metrics.two_sample import TwoSample, energy_distance, mmd
from scorefold.metrics.wasserstein import Wasserstein, wasserstein
from scorefold.models import Model

Result = TypeVar("Result")
_MEASURES = (
    "nearest_ratio",
    "copying",
    "likelihood_gap",
    "mmd",
    "energy_distance",
    "sliced_wasserstein",
    "wasserstein",
)


class PartWeights(NamedTuple):
    """Weights of the rows of each part, positive; None: all alike."""

    train: np.ndarray | None = None
    test: np.ndarray | None = None
    val: np.ndarray | None = None


@dataclass(frozen=True)
class Generalisation:
    """What ``generalisation`` found. A measure that does not apply is None and ``left_out`` says
    why. ``leak``: share of test points equal to a training point; with leaks the measures that
    compare with test points see copying less well. ``of_rows``: of how many rows with weights the
    training and test points were drawn, None without weights."""

    manifold: str
    n_samples: int
    n_train: int
    n_test: int
    leak: float
    nearest_ratio: NearestRatio | None
    copying: Copying | None
    likelihood_gap: LikelihoodGap | None
    mmd: TwoSample | None
    energy_distance: TwoSample | None
    sliced_wasserstein: TwoSample | None
    wasserstein: Wasserstein | None
    left_out: dict[str, str]
    of_rows: tuple[int, int] | None = None

    @property
    def verdicts(self) -> dict[str, str]:
        """A few plain words for each measure that applies."""
        found = {name: getattr(self, name) for name in _MEASURES}
        return {name: result.verdict for name, result in found.items() if result is not None}

    def to_dict(self) -> Document:
        """Plain types that ``json.dumps(…, allow_nan=False)`` writes; numbers that are not finite
        become None."""
        out: Document = {
            name: _plain(getattr(self, name))
            for name in ("manifold", "n_samples", "n_train", "n_test", "leak", "left_out")
        }
        if self.of_rows is not None:
            out["of_rows"] = _plain(self.of_rows)
        for name in _MEASURES:
            result = getattr(self, name)
            if result is not None:
                out[name] = {k: _plain(v) for k, v in result._asdict().items()}
                out[name]["verdict"] = result.verdict
        return out


def generalisation(
    manifold: Manifold,
    samples: Values,
    train: Values,
    test: Values,
    *,
    val: Values | None = None,
    groups: Groups | None = None,
    apart: bool = False,
    model: Model | None = None,
    key: Key,
    likelihoods: int = 500,
    weights: PartWeights | None = None,
) -> Generalisation:
    """Do samples copy the training points, and is their law that of fresh data?

    ``nearest_ratio`` and ``copying`` look for copies; ``likelihood_gap`` (with ``model``, on at
    most ``likelihoods`` points of each part, drawn with ``key``) for overfitting; ``mmd``,
    ``energy_distance``, ``sliced_wasserstein`` and ``wasserstein`` compare samples with the test
    points. Of test points recorded m times those four see one, with a probability in proportion
    to m: repeats are not independent, as their null supposes. A model that copies can pass the
    last four, and one that smooths can pass the first two: they are read together. Every measure
    comes with its value for perfect samples.

    **Arguments:** arrays of points, shape ``(n, *manifold.shape)``; ``test`` must be of the law
    of ``train`` and without its rows. ``val``: more points that the model was not fitted to, for
    the measures of copying; ``groups``: as for ``copying``. ``apart``: training and test points
    lie in different regions (a split by blocks): nearness to the former is no memory then, and
    ``nearest_ratio`` and ``copying`` are left out. ``weights``: of the rows of ``train``, ``test``
    and ``val``. All measures see different rows that are drawn in proportion to them (rejection,
    with ``key``), which are as independent and as alike as their nulls suppose.
    **Raises:** ``ValueError`` for arrays that are not points. A measure that cannot be had is
    listed in ``left_out`` instead.
    """
    x, t, p = points_of(manifold, samples=samples, train=train, test=test)
    leak, of_rows = _leak(t, p, None if weights is None else weights.test), None
    if weights is not None:
        of_rows = (len(t), len(p))
        draws = generator(jax.random.fold_in(key, 2))
        kept = [_kept(rows, w, draws) for rows, w in ((t, weights.train), (p, weights.test))]
        train, test = (np.asarray(rows)[k] for rows, k in zip((train, test), kept, strict=True))
        t, p = t[kept[0]], p[kept[1]]
        if val is not None:
            (v,) = points_of(manifold, val=val)
            kept.append(_kept(v, weights.val, draws))
            val = v[kept[2]]
            kept[1] = np.concatenate([kept[1], of_rows[1] + kept[2]])
        if groups is not None:
            groups = (np.asarray(groups[0])[kept[0]], np.asarray(groups[1])[kept[1]])
    alone = independent(p, generator(jax.random.fold_in(key, 1)))
    cells = max(1, min(5, len(p) // 100))
    seeds = dict(zip(_MEASURES, jax.random.split(key, len(_MEASURES)), strict=True))
    left_out: dict[str, str] = {}

    def tried(name: str, measure: Callable[[Key], Result]) -> Result | None:
        try:
            return measure(seeds[name])
        except ValueError as error:
            left_out[name] = str(error)
            return None

    def near() -> None:
        if apart:
            raise ValueError("train: lies in other regions than test: being nearer is no memory.")

    def ratio(key: Key) -> NearestRatio:
        near()
        return nearest_ratio(manifold, x, t, p, val=val, groups=groups)

    def copies(key: Key) -> Copying:
        near()
        return copying(manifold, x, t, p, key=key, val=val, groups=groups, cells=cells)

    def gap(key: Key) -> LikelihoodGap:
        if model is None:
            raise ValueError("model: none given.")
        rng = generator(key)
        some = [limit(np.asarray(rows), likelihoods, rng) for rows in (train, test)]
        return likelihood_gap(*some, model=model)

    return Generalisation(
        manifold.name,
        len(x),
        len(t),
        len(p),
        leak,
        tried("nearest_ratio", ratio),
        tried("copying", copies),
        tried("likelihood_gap", gap),
        tried("mmd", lambda key: mmd(manifold, x, alone, key=key)),
        tried("energy_distance", lambda key: energy_distance(manifold, x, alone, key=key)),
        tried("sliced_wasserstein", lambda key: sliced_wasserstein(manifold, x, alone, key=key)),
        tried("wasserstein", lambda key: wasserstein(manifold, x, alone, key=key)),
        left_out,
        of_rows,
    )


def _kept(rows: np.ndarray, weights: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    return np.arange(len(rows)) if weights is None else kept_rows(rows, weights, rng)


def _leak(train: np.ndarray, test: np.ndarray, weights: np.ndarray | None) -> float:
    seen = {row.tobytes() for row in train + 0.0}
    return float(average(np.asarray([row.tobytes() in seen for row in test + 0.0]), weights))


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
