"""The total mass of a density: does exp(log_prob) integrate to one?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key
from scorefold.manifolds import Manifold, Sphere

__all__ = ["Mass", "normalisation"]


class Mass(NamedTuple):
    """∫ exp(log_prob) dvol and an estimate of its error (one standard error where drawn)."""

    value: float
    error: float


def normalisation(
    log_prob: Callable[[Array], Array],
    manifold: Manifold,
    key: Key | None = None,
    n: int = 20_000,
    *,
    proposal: Any = None,
    dtype=None,
) -> Mass:
    """∫_M exp(log_prob(x)) dvol(x).

    - S², S¹: a product rule of about n nodes (Gauss–Legendre in the height x trapezoid in
      longitude; trapezoid); ``error`` is the difference to the rule with half the nodes per axis.
    - other compact manifolds: n uniform draws, ``error`` one standard error.
    - with ``proposal`` (anything with ``sample(key, n)`` and ``log_prob(x)``; required on
      manifolds of infinite volume): importance sampling, E_q[p/q], one standard error. The error
      is only honest if the proposal's tails are no lighter than the density's.

    **Arguments:** ``log_prob``: a batch of points (n, *shape) ↦ nats (n,); ``key``: for draws.
    **Raises:** ``ValueError`` when draws are needed and ``key`` or ``proposal`` is missing.
    """
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    if proposal is None and isinstance(manifold, Sphere) and manifold.d <= 2:
        fine = _quadrature(log_prob, manifold.d, n, dtype)
        coarse = _quadrature(log_prob, manifold.d, n // (2 * manifold.d), dtype)
        return Mass(fine, abs(fine - coarse))
    if key is None:
        raise ValueError(f"normalisation on {manifold.name} draws points: pass key=.")
    if proposal is not None:
        x = proposal.sample(key, n)
        log_ratio = log_prob(x) - proposal.log_prob(x)
    elif manifold.compact:
        x = jax.vmap(lambda k: manifold.uniform(k, dtype))(jax.random.split(key, n))
        log_ratio = log_prob(x) + manifold.log_volume
    else:
        raise ValueError(
            f"{manifold.name} has infinite volume: pass proposal=, a model with "
            "sample and log_prob."
        )
    ratio = np.exp(np.asarray(log_ratio, np.float64))
    return Mass(float(ratio.mean()), float(ratio.std(ddof=1) / math.sqrt(n)))


def _quadrature(log_prob: Callable[[Array], Array], d: int, n: int, dtype) -> float:
    if d == 1:
        height, weight, turns = np.zeros(1), np.ones(1), max(n, 4)
    else:
        rings = max(2, round(math.sqrt(n / 2)))
        height, weight = np.polynomial.legendre.leggauss(rings)
        turns = 2 * rings
    angle = 2.0 * math.pi * np.arange(turns) / turns
    radius = np.sqrt(1.0 - height**2)
    x = np.stack(
        [np.outer(radius, np.cos(angle)), np.outer(radius, np.sin(angle))]
        + ([np.outer(height, np.ones(turns))] if d == 2 else []),
        axis=-1,
    ).reshape(-1, d + 1)
    p = np.exp(np.asarray(log_prob(jnp.asarray(x, dtype)), np.float64))
    return float(weight @ p.reshape(len(height), turns).sum(axis=1) * 2.0 * math.pi / turns)
