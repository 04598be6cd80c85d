"""Divergence of a tangent field on a manifold, exact or by probes, in forward mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold

__all__ = ["divergence", "hutchinson", "value_and_divergence"]


def value_and_divergence(
    field: Callable[[Point], Point], manifold: Manifold, x: Point
) -> tuple[Point, Scalar]:
    """(V(x), div V(x)) with div V = Σ_i ⟨∇_{E_i} V, E_i⟩ along an orthonormal frame.

    d Jacobian–vector products that share one primal pass (d the intrinsic, not the ambient
    dimension): for a submanifold ⟨∇_E V, E⟩ = ⟨DV[E], E⟩, the ambient derivative along E.
    """
    value, tangent_map = jax.linearize(field, x)
    frame = manifold.frame(x)
    terms = jax.vmap(lambda e: manifold.inner(x, tangent_map(e), e))(frame)
    return value, jnp.sum(terms)


def divergence(field: Callable[[Point], Point], manifold: Manifold, x: Point) -> Scalar:
    """div V(x), exact; see ``value_and_divergence``."""
    return value_and_divergence(field, manifold, x)[1]


def hutchinson(
    field: Callable[[Point], Point],
    manifold: Manifold,
    x: Point,
    key: Key,
    probe: Literal["rademacher", "gaussian"] = "rademacher",
) -> tuple[Point, Scalar]:
    """(V(x), ⟨DV[ε], ε⟩) with ε = Σ ε_i E_i(x) a tangent probe: unbiased for div V.

    Rademacher probes have the smaller variance (Hutchinson 1990).
    """
    draw = jax.random.rademacher if probe == "rademacher" else jax.random.normal
    c = draw(key, (manifold.dim,), x.dtype)
    e = manifold.from_components(x, c)
    value, along = jax.jvp(field, (x,), (e,))
    return value, manifold.inner(x, along, e)
