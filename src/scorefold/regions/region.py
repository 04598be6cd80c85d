"""The smallest region that holds a given share of a model's mass, or of what it was fitted to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Array

from scorefold._hash import structural_hash
from scorefold._types import Document, Key, Values
from scorefold._warnings import warn
from scorefold._weights import average
from scorefold.manifolds import Manifold
from scorefold.models import Model
from scorefold.regions.contours import Contours, level_contours
from scorefold.regions.geojson import multi_polygon
from scorefold.regions.shares import Held

_FEWEST = 20
"""Draws on the rarer side of the level, below which a quantile has no error to speak of."""
_MISSED = 0.02
"""Share of the area that contours may miss in silence."""
_TIED = 0.05
"""Share of draws at one density from which on it is said that p has a plateau."""


class Coverage(NamedTuple):
    """``value``: the share of n points in the region. Of points of the law that set the level it
    has the mean ``mass`` and the deviation ``standard_error``, which counts the n points and the
    region's ``mass_error``: √(m(1 − m)(1/n + 1/N)) where both are independent; ``z`` = (value −
    mass) / standard_error."""

    value: float
    standard_error: float
    mass: float
    n: int

    @property
    def z(self) -> float:
        return (self.value - self.mass) / self.standard_error


class CredibleRegion(eqx.Module):
    """{x : log p(x) ≥ c}, which has the least volume of all sets of its mass (Neyman & Pearson).

    **Fields:** ``model``; ``mass``: the share m that is to be inside; ``level``: c in nats with
    respect to Riemannian volume, with its sampling error ``level_error``; ``log_area``: log of the
    volume, with the relative error ``area_spread``; ``draws``: N draws of the model;
    ``mass_error``: one standard error of the mass that {log p ≥ c} has, √(m(1 − m)/N) of the draws
    or held-out points that set c; ``held_out``: how many held-out points did, None where draws of
    the model did.

    Source: Hyndman 1996 (highest density regions).
    """

    model: Model
    mass: float
    level: float
    level_error: float
    log_area: float
    area_spread: float
    draws: np.ndarray
    mass_error: float
    held_out: int | None = None

    @property
    def manifold(self) -> Manifold:
        return self.model.manifold

    @property
    def area(self) -> float:
        """The Riemannian volume: of a surface in square radians, steradians on S²."""
        return math.exp(self.log_area) if self.log_area < 709.0 else math.inf

    @property
    def area_error(self) -> float:
        """One standard error of ``area``: as the least volume that holds m, or, of a level that
        held-out points set, as the volume of {log p ≥ level}."""
        return self.area * self.area_spread

    @property
    def set_error(self) -> float:
        """One standard error of ``area`` as the volume of {log p ≥ level}, whose mass is m up to
        ``mass_error``: that times e^{−c}, and ``area_error``."""
        if self.held_out is not None:
            return self.area_error
        return math.hypot(self.area_error, self.mass_error * math.exp(min(-self.level, 700.0)))

    def __hash__(self) -> int:
        return structural_hash(self)

    def contains(self, x: Values) -> Array:
        """Whether log p(x) ≥ c, shape = the batch shape of ``x``."""
        return self.model.log_prob(x) >= self.level

    def coverage(
        self, x: Values, *, weights: Values | None = None, groups: Values | None = None
    ) -> Coverage:
        """How many points are inside: of held-out points, whether a model is as sure as it should
        be.

        **Arguments:** ``weights``: of the points, ≥ 0: shares of weight, with the error of as many
        points as they are worth; ``groups``: a label for each point, where those of one group
        depend on each other (one cluster, one structure, copies): the error is that of sums over
        groups, √(G/(G − 1) Σ_g (Σ_{i∈g} w_i(1_i − m))²)/Σw. Without them points count as
        independent.
        **Raises:** ``ValueError`` for no points, weights that are none, and fewer than two groups.
        """
        inside = np.asarray(self.contains(x)).ravel()
        if not inside.size:
            raise ValueError("x: is empty; give at least one point.")
        points = Held.of(inside, weights, groups)
        error = math.hypot(points.share_error(self.mass), self.mass_error)
        return Coverage(
            float(average(points.values, points.weights)), error, self.mass, points.values.size
        )

    def contours(self, resolution: int = 128) -> Contours:
        """The boundary on S², T² or R²: see ``contours`` of several regions."""
        return contours([self], resolution)[0]

    def to_geojson(self, resolution: int = 128) -> Document:
        """On S² a GeoJSON ``Feature``: see ``feature_collection``."""
        (feature,) = feature_collection([self], resolution)["features"]
        return feature


def credible_region(
    model: Model, mass: float = 0.9, *, key: Key, n: int = 10_000, draws: Values | None = None
) -> CredibleRegion:
    """The region {x : log p(x) ≥ c} with P(log p(X) ≥ c) = m: on every geometry, for every model.

    c is the (1 − m)-quantile of log p at N draws X_i of the model. Its error is half the distance
    of the order statistics one binomial deviation √(N m(1 − m)) above and below. The volume is

        V(m) = E[1 / max(p(X), e^c)] − (1 − m) e^{−c} = E[1{p(X) ≥ e^c} / p(X)],

    estimated by the first form over the same draws: it is largest at the true c, so that an error
    of c is of second order in it, its terms are at most e^{−c}, so that it has a standard error on
    every space, and where p is constant on a set of positive mass (a uniform law) it is the least
    volume that holds m, though {p ≥ e^c} holds more. That is warned of.

    Draws and ``log_prob`` must be of one law (``metrics.draws_against_density`` tests it), and the
    mass of exp(log_prob) must be 1 (``metrics.total_mass``).

    **Arguments:** ``mass``: m, between 0 and 1; ``n``: N, at least 20 on either side of the level;
    ``draws``: draws of the model, which several masses can share (default: n are drawn).
    **Raises:** ``ValueError`` for a mass that is no share, for too few draws, and where log p is
    not finite at one.
    """
    check_request(model, mass)
    points, logs = draws_of(model, key, n, draws)
    count = logs.size
    needed = math.ceil(_FEWEST / min(mass, 1.0 - mass) - 1e-9)
    if logs.ndim != 1 or count < needed:
        where = "n" if draws is None else "draws"
        raise ValueError(f"{where}: {needed} draws are needed for a mass of {mass:g}, got {count}.")
    ordered = np.sort(logs)
    rank, step = _rank(count, 1.0 - mass), math.sqrt(count * mass * (1.0 - mass))
    level = ordered[rank]
    above, below = (ordered[_rank(count, 1.0 - mass + way * step / count)] for way in (1, -1))
    # e^c / max(p, e^c): at most 1, whatever the unit of volume.
    ratios = np.exp(np.minimum(level - logs, 0.0))
    share = float(ratios.mean()) - (1.0 - mass)
    spread = float(ratios.std(ddof=1)) / math.sqrt(count)
    _warn_of_plateau(ordered, float(level), mass)
    if share <= spread:
        warn(
            f"credible_region: the volume is lost in the scatter of {count} draws (relative error "
            f"{spread / share if share > 0 else math.inf:.1g}): draw more of them."
        )
    log_area = math.log(share) - float(level) if share > 0 else -math.inf
    return CredibleRegion(
        model, mass, float(level), float(above - below) / 2.0, log_area,
        spread / share if share > 0 else math.inf, points, step / count,
    )  # fmt: skip


def contours(regions: Sequence[CredibleRegion], resolution: int = 128) -> list[Contours]:
    """The boundary of each of several regions of one model on S², T² or R²: closed curves on a net
    of triangles, on which log p is computed once. Where the area between them differs from that of
    the draws by more than 2 % and three of ``set_error``, a warning says by how much.

    **Arguments:** ``resolution``: edges on a quarter of a great circle of S² (128: .5 to .9
    degrees), on a turn of T², on a side of R²; 2 to 4096.
    **Raises:** ``ValueError`` for other spaces and for regions of several models.
    """
    if not regions:
        raise ValueError("regions: is empty; give at least one.")
    first = regions[0]
    if any(region.model is not first.model for region in regions):
        raise ValueError("regions: must be regions of one model.")
    found = level_contours(first.model, [r.level for r in regions], first.draws, resolution)
    for region, own in zip(regions, found, strict=True):
        if abs(own.area - region.area) > max(_MISSED * region.area, 3.0 * region.set_error):
            warn(
                f"contours: they hold an area of {own.area:.4g}, the region {region.area:.4g} ± "
                f"{region.set_error:.2g}: what is smaller than a triangle is missed. Raise "
                f"resolution (now {resolution})."
            )
    return found


def feature_collection(
    regions: Sequence[CredibleRegion], resolution: int = 128, properties: Sequence[Document] = ()
) -> Document:
    """A GeoJSON ``FeatureCollection`` of regions of one model on S², each a ``MultiPolygon`` with
    its ``mass``, ``level`` (nats, with respect to steradians), ``area`` (steradians), their
    ``level_error`` and ``area_error``, and further ``properties``. See ``multi_polygon``.

    **Raises:** ``ValueError`` as ``contours``, and for other spaces than S².
    """
    for region in regions:
        if region.manifold.picture != "sphere":
            raise ValueError(
                f"model: GeoJSON is written on S^2, not on {region.manifold.name}; contours(…) "
                "gives curves on T^2 and R^2."
            )
    more = properties or [{}] * len(regions)
    if len(more) != len(regions):
        raise ValueError(f"properties: {len(more)} of them for {len(regions)} regions.")
    names = ("mass", "mass_error", "level", "level_error", "area", "area_error", "held_out")
    return {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {**{name: getattr(region, name) for name in names}, **own},
                "geometry": multi_polygon(found),
            }
            for region, found, own in zip(regions, contours(regions, resolution), more, strict=True)
        ],
    }


def check_request(model: Model, mass: float) -> None:
    if not isinstance(model, Model):
        raise TypeError(f"model: a fitted Model, got {type(model).__name__}.")
    if not isinstance(mass, int | float | np.number) or not 0.0 < mass < 1.0:
        raise ValueError(f"mass: one share between 0 and 1, such as 0.9, got {mass!r:.60}.")


def draws_of(model: Model, key: Key, n: int, draws: Values | None) -> tuple[np.ndarray, np.ndarray]:
    """Draws of the model, and log p of them."""
    points = np.asarray(model.sample(key, n) if draws is None else draws)
    logs = np.asarray(model.log_prob(points), np.float64)
    bad = np.flatnonzero(~np.isfinite(logs))
    if bad.size:
        raise ValueError(
            f"model: log p is not finite at {bad.size} of its {logs.size} draws (first: row "
            f"{bad[0]}); draws and log_prob are not of one law."
        )
    return points, logs


def _rank(n: int, share: float) -> int:
    """The place of the quantile among n ordered values: ⌈share · n⌉, counted from 1."""
    return min(max(math.ceil(share * n - 1e-9) - 1, 0), n - 1)


def _warn_of_plateau(ordered: np.ndarray, level: float, mass: float) -> None:
    """Say so where p is constant, to rounding, on a share of the draws at the level."""
    near = 2e-6 * max(1.0, abs(level))
    low, high = np.searchsorted(ordered, [level - near, level + near], side="left")
    tied = (high - low) / len(ordered)
    if tied > _TIED:
        warn(
            f"credible_region: log p is {level:.6g} at {100 * tied:.0f} % of the draws: the region "
            f"log p ≥ {level:.6g} may hold up to {1 - low / len(ordered):.3f} of the mass in the "
            f"place of {mass:g}; area is the least volume that holds {mass:g}."
        )
