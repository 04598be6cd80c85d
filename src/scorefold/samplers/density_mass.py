"""The total mass of a density: does exp(log_prob) integrate to one?"""

import math
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import DTypeLike, Key
from scorefold.heat import sphere_dimension
from scorefold.manifolds import Manifold
from scorefold.samplers.importance import Mass, weighted_mass

_NODES = 30.0


@runtime_checkable
class Proposal(Protocol):
    """A law that draws can be made from, such as a model."""

    def log_prob(self, x: Array) -> Array: ...

    def sample(self, key: Key, n: int) -> Array: ...


def density_mass(
    log_prob: Callable[[Array], Array],
    manifold: Manifold,
    key: Key | None = None,
    n: int = 20_000,
    *,
    proposal: Proposal | None = None,
    dtype: DTypeLike | None = None,
) -> Mass:
    """∫_M exp(log_prob(x)) dvol(x).

    - S², S¹: a product rule of about n nodes (Gauss–Legendre in the height x trapezoid in
      longitude; trapezoid); ``error`` is the difference to the rule with half the nodes per axis.
    - other compact manifolds: n uniform draws, ``error`` one standard error.
    - with ``proposal`` (anything with ``sample(key, n)`` and ``log_prob(x)``; required on
      manifolds of infinite volume): importance sampling, E_q[p/q], one standard error. The error
      is only honest if the proposal has draws wherever the density has mass.

    ``value`` and ``error`` are None, and ``reason`` says why, where the points show that they do
    not suffice: a rule of which fewer than 30 nodes carry the mass, draws of which fewer than 100
    do, weights with too heavy a tail (``weighted_mass``), a density that is not finite.

    **Arguments:** ``log_prob``: a batch of points (n, *shape) ↦ nats (n,); ``key``: for draws.
    **Raises:** ``ValueError`` when draws are needed and ``key`` or ``proposal`` is missing.
    """
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    if proposal is None and sphere_dimension(manifold.heat) in (1, 2):
        return _by_rule(log_prob, manifold.dim, n, dtype)
    if key is None:
        raise ValueError(f"density_mass on {manifold.name} draws points: pass key=.")
    if proposal is not None:
        x = proposal.sample(key, n)
        log_ratio = log_prob(x) - proposal.log_prob(x)
        how = "importance sampling"
    elif manifold.compact:
        x = jax.vmap(lambda k: manifold.uniform(k, dtype))(jax.random.split(key, n))
        log_ratio = log_prob(x) + manifold.log_volume
        how = "uniform draws"
    else:
        raise ValueError(
            f"{manifold.name} has infinite volume: pass proposal=, a model with "
            "sample and log_prob."
        )
    return weighted_mass(np.asarray(log_ratio, np.float64), how)


def _by_rule(log_prob: Callable[[Array], Array], d: int, n: int, dtype: DTypeLike) -> Mass:
    """By two product rules on S^d."""
    how = f"product rule of about {n} nodes"
    masses = _quadrature(log_prob, d, n, dtype)
    coarse = _quadrature(log_prob, d, n // (2 * d), dtype)
    if not np.isfinite(masses).all() or not np.isfinite(coarse).all():
        bad = int(np.sum(~np.isfinite(masses)))
        return Mass(None, None, how, f"the density is not finite at {bad} of {masses.size} nodes")
    value = float(masses.sum())
    square = float(np.sum(masses * masses))
    if not square > 0:
        return Mass(None, None, how, f"the density is 0 at all {masses.size} nodes")
    carrying = value**2 / square
    if carrying < min(_NODES, 0.1 * masses.size):
        reason = f"{carrying:.0f} of {masses.size} nodes carry the mass: peaks lie between nodes"
        return Mass(None, None, how, reason)
    return Mass(value, abs(value - float(coarse.sum())), how)


def _quadrature(log_prob: Callable[[Array], Array], d: int, n: int, dtype: DTypeLike) -> np.ndarray:
    """The share of each node of a product rule in the integral, shape (rings, turns)."""
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
    return weight[:, None] * p.reshape(len(height), turns) * (2.0 * math.pi / turns)
