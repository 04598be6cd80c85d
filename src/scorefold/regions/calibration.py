"""Regions whose level is set by held-out points."""

from __future__ import annotations

import math

import jax
import numpy as np

from scorefold._blocks import listed
from scorefold._types import Key, Values
from scorefold._warnings import warn
from scorefold._weights import average, effective_number, quantiles
from scorefold.models import HeatKernelDensity, Model
from scorefold.regions.region import CredibleRegion, check_request, draws_of
from scorefold.regions.shares import Held

_LARGEST = 0.1
"""Share of the volume that one draw may be in silence."""
_TIED = 0.05
"""Share of held-out points at one log p, the level, from which on it is said."""
_FEWEST = 5
"""Held-out points on the rarer side of the level: they cannot be drawn at will, and the error of
few is stated."""


def calibrated_region(
    model: Model,
    held_out: Values,
    mass: float = 0.9,
    *,
    key: Key,
    n: int = 10_000,
    draws: Values | None = None,
    weights: Values | None = None,
    groups: Values | None = None,
) -> CredibleRegion:
    """The region {x : log p(x) ≥ c} that holds m of what the *data* are drawn from, however sure
    the model is: c is the (1 − m)-quantile of log p at points that the model was not fitted to.

    Of k independent held-out points, and one more of their law, the expected share inside is m
    within 1/k, whatever the model, if no two of them have one log p; its deviation is
    ``mass_error``, √(m(1 − m)/k). The area is E[1{p(X) ≥ e^c}/r(X)] over draws of r, half of the
    model and half of kernels at the held-out points.

    **Arguments:** ``held_out``: validation points, not those that ``coverage`` is asked of;
    ``weights``, ``groups``: theirs, as in ``CredibleRegion.coverage``; the rest as in
    ``credible_region``.
    **Raises:** ``ValueError`` for a mass that is no share, fewer than 5 points expected on either
    side of the level, and where log p is not finite at the points or the draws.

    Source: Lei, Robins & Wasserman 2013 (split conformal prediction by a density).
    """
    check_request(model, mass)
    at = np.asarray(model.log_prob(held_out), np.float64)
    needed = math.ceil(_FEWEST / min(mass, 1.0 - mass) - 1e-9)
    if at.ndim != 1 or at.size < needed:
        least = _FEWEST / max(at.size, 1)
        other = f"; they can set one from {least:.2g} to {1.0 - least:.2g}" if least <= 0.5 else ""
        raise ValueError(
            f"held_out: {needed} points are needed for a mass of {mass:g}, got {at.size}{other}."
        )
    bad = np.flatnonzero(np.isnan(at) | (at == np.inf))
    if bad.size:
        raise ValueError(
            f"held_out: log p has no number at {bad.size} of {at.size} points (rows {listed(bad)})."
        )
    known = Held.of(at, weights, groups)
    worth = known.values.size if known.weights is None else effective_number(known.weights)
    if worth < needed:
        raise ValueError(
            f"held_out: the points are worth {worth:.3g} by their weights; {needed} are needed for "
            f"a mass of {mass:g}."
        )
    level, level_error, error = level_of(known, mass)
    if level == -np.inf:
        raise ValueError(
            f"held_out: the model has no density at {100 * np.mean(at == -np.inf):.3g} % of the "
            f"points: no level of it holds {mass:g} of them."
        )
    _warn_of_few(mass, error, float(average(known.values == level, known.weights)))
    points, logs = draws_of(model, key, n, draws)
    log_area, spread = _volume(model, level, points, logs, held_out, weights, key)
    return CredibleRegion(
        model, mass, level, level_error, log_area,
        spread, points, error, known.values.size,
    )  # fmt: skip


def level_of(known: Held, mass: float) -> tuple[float, float, float]:
    """The (1 − m)-quantile of the log p of held-out points, its error, and that of the mass."""
    w = np.ones(known.values.size) if known.weights is None else known.weights
    level = float(quantiles(known.values, w, [1.0 - mass])[0])
    error = Held(known.values >= level, known.weights, known.groups).share_error(mass)
    shares = [min(1.0, 1.0 - mass + error), max(0.0, 1.0 - mass - error)]
    above, below = quantiles(known.values, w, shares)
    return level, float(above - below) / 2.0, error


def _volume(
    model: Model,
    level: float,
    points: np.ndarray,
    logs: np.ndarray,
    held_out: Values,
    weights: Values | None,
    key: Key,
) -> tuple[float, float]:
    """log of the volume of {log p ≥ level}, and its relative error: E[1{p ≥ e^c}/r] over draws of
    r = (N p + M q)/(N + M), half of them of the model and half of kernels q at the held-out points.
    A model that is too sure has a region that its own draws do not reach."""
    manifold, n = model.manifold, len(points)
    try:
        near = HeatKernelDensity.choose(manifold, held_out, weights=weights)
    except ValueError:  # all of them in one place: there is no bandwidth
        log_r, seen, sizes = math.log(n) + logs, logs, [n]
    else:
        own = np.asarray(near.sample(jax.random.fold_in(key, 1), n))
        every = [(points, logs), (own, np.asarray(model.log_prob(own), np.float64))]
        log_q = [np.asarray(near.log_prob(x), np.float64) for x, _ in every]
        seen, sizes = np.concatenate([log_p for _, log_p in every]), [n, n]
        log_r = math.log(n) + np.logaddexp(seen, np.concatenate(log_q))
    terms = np.where(seen >= level, np.exp(level - log_r), 0.0)
    total = float(terms.sum())
    if not total > 0.0:
        warn("calibrated_region: no draw is inside: the volume is not known; draw more of them.")
        return -math.inf, math.inf
    parts = np.split(terms, np.cumsum(sizes)[:-1])
    variance = sum(len(part) * float(part.var(ddof=1)) for part in parts)
    largest = float(terms.max()) / total
    if largest > _LARGEST:
        warn(
            f"calibrated_region: one of {len(terms)} draws is {100 * largest:.0f} % of the volume "
            f"{total * math.exp(-level):.3g}, which is too small if others were missed: draw more "
            "of them (n), or take a model that is nearer to the data."
        )
    return math.log(total) - level, math.sqrt(variance) / total


def _warn_of_few(mass: float, error: float, tied: float) -> None:
    if error > 0.5 * min(mass, 1.0 - mass):
        worth = mass * (1.0 - mass) / error**2
        warn(
            f"calibrated_region: the held-out points are worth {worth:.2g} independent ones: the "
            f"region holds {mass:g} ± {error:.2g} of the data."
        )
    if tied > _TIED:
        warn(
            f"calibrated_region: {100 * tied:.0f} % of the held-out points have the log p of the "
            f"level: the region may hold up to {min(1.0, mass + tied):.2f} in the place of "
            f"{mass:g}."
        )
