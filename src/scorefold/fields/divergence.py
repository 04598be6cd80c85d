"""Divergence of a tangent field on a manifold, exact or by probes, in forward mode."""

from collections.abc import Callable
from typing import Literal, get_args

import jax
import jax.numpy as jnp

from scorefold._types import Key, Point, Scalar
from scorefold.manifolds import Manifold

Probe = Literal["rademacher", "gaussian"]


def value_and_divergence(
    field: Callable[[Point], Point], manifold: Manifold, x: Point
) -> tuple[Point, Scalar]:
    """(V(x), div V(x)) with div V = Σ_i ⟨∇_{E_i} V, E_i⟩ along an orthonormal frame.

    d Jacobian–vector products that share one primal pass (d the intrinsic, not the ambient
    dimension), each ``manifold.covariant``: for a submanifold ⟨∇_E V, E⟩ = ⟨DV[E], E⟩, the ambient
    derivative along E.
    """
    value, tangent_map = jax.linearize(field, x)
    frame = manifold.frame(x)
    terms = jax.vmap(lambda e: manifold.covariant(x, value, e, tangent_map(e), e))(frame)
    return value, jnp.sum(terms)


def divergence(field: Callable[[Point], Point], manifold: Manifold, x: Point) -> Scalar:
    """div V(x), exact; see ``value_and_divergence``."""
    return value_and_divergence(field, manifold, x)[1]


def hutchinson(
    field: Callable[[Point], Point],
    manifold: Manifold,
    x: Point,
    key: Key,
    kind: Probe = "rademacher",
) -> tuple[Point, Scalar]:
    """(V(x), ⟨∇_ε V, ε⟩) with a tangent probe ε: unbiased for div V, one Jacobian–vector product.

    The variance is Σ_{i≠j} A_ij² + A_ij A_ji with Rademacher components, A the matrix of ∇V in
    the frame, and larger by 2 Σ A_ii² with normal ones (Hutchinson 1990).
    """
    e = probe(manifold, x, key, kind)
    value, along = jax.jvp(field, (x,), (e,))
    return value, manifold.covariant(x, value, e, along, e)


def probe(manifold: Manifold, x: Point, key: Key, kind: Probe = "rademacher") -> Point:
    """ε = Σ ε_i E_i(x), a random tangent vector with E ⟨ε, u⟩⟨ε, v⟩ = ⟨u, v⟩: the components are
    ±1 evenly ("rademacher") or standard normal ("gaussian")."""
    draw = jax.random.rademacher if kind == "rademacher" else jax.random.normal
    return manifold.from_components(x, draw(key, (manifold.dim,), x.dtype))


def check_probe(kind: str) -> None:
    """Raise ``ValueError`` unless ``kind`` is the name of a probe."""
    if kind not in get_args(Probe):
        raise ValueError(f'probe must be "rademacher" or "gaussian", got {kind!r}.')
