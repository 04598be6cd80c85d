"""Regions whose level is set by held-out points."""

from __future__ import annotations

import math

import numpy as np

from scorefold._blocks import listed
from scorefold._types import Key, Values
from scorefold._warnings import warn
from scorefold._weights import quantiles
from scorefold.models import Model
from scorefold.regions.region import CredibleRegion, check_request, draws_of
from scorefold.regions.shares import Shares

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
    within 1/k, whatever the model; its deviation is ``mass_error``, √(m(1 − m)/k). The area is
    E[1{p(X) ≥ e^c}/p(X)] over draws of the model.

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
        raise ValueError(
            f"held_out: {needed} points are needed for a mass of {mass:g}, got {at.size}."
        )
    bad = np.flatnonzero(np.isnan(at) | (at == np.inf))
    if bad.size:
        raise ValueError(
            f"held_out: log p has no number at {bad.size} of {at.size} points (rows {listed(bad)})."
        )
    known = Shares.of(at, weights, groups)
    w = np.ones(known.values.size) if known.weights is None else known.weights
    level = float(quantiles(known.values, w, [1.0 - mass])[0])
    if level == -np.inf:
        raise ValueError(
            f"held_out: the model has no density at {100 * np.mean(at == -np.inf):.3g} % of the "
            f"points: no level of it holds {mass:g} of them."
        )
    inside = Shares(known.values >= level, known.weights, known.groups)
    error = inside.share_error(mass)
    shares = [min(1.0, 1.0 - mass + error), max(0.0, 1.0 - mass - error)]
    above, below = quantiles(known.values, w, shares)
    points, logs = draws_of(model, key, n, draws)
    ratios = np.where(logs >= level, np.exp(np.minimum(level - logs, 0.0)), 0.0)
    share, spread = float(ratios.mean()), float(ratios.std(ddof=1)) / math.sqrt(logs.size)
    if share <= spread:
        warn(
            f"calibrated_region: the volume is lost in the scatter of {logs.size} draws, "
            f"{int((logs >= level).sum())} of which are inside: draw more of them, or take a model "
            "that is nearer to the data."
        )
    log_area = math.log(share) - level if share > 0 else -math.inf
    return CredibleRegion(
        model, mass, level, float(above - below) / 2.0, log_area,
        spread / share if share > 0 else math.inf, points, error, known.values.size,
    )  # fmt: skip
