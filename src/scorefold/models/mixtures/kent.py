"""Kent's law on the sphere: density, exact draws, moment estimates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._matmul import matmul
from scorefold._types import Key, Point, Scalar
from scorefold.heat import sphere_dimension
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import (
    Component,
    ComponentFamily,
    MomentEstimate,
    WeightedMoments,
)
from scorefold.models.mixtures.kent_normaliser import log_kent_normaliser
from scorefold.models.mixtures.spherical import projected, resultant

_WIDEST = 1e6
_NEWTON = 10


class KentComponents(ComponentFamily):
    """Kent's law (Fisher–Bingham law of five parameters) on S²:

        p(x) = exp{κ⟨γ₁, x⟩ + β(⟨γ₂, x⟩² − ⟨γ₃, x⟩²)} / c(κ, β),   0 ≤ 2β ≤ κ,

    γ₁, γ₂, γ₃ orthonormal: mean, major and minor axis. γ₁ is the centre, γ₂ and γ₃ are the axes,
    with variances 1/(κ − 2β) and 1/(κ + 2β), which the law has where it is narrow. With
    t_k = ⟨x, E_k⟩ and c = ⟨x, z⟩ it is written without differences of large numbers,

        log p(x) = −½{Σ_k t_k²/λ_k + κ(1 − c)²} − log_kent_normaliser(1/λ₁, 1/λ₂).

    Source: Kent 1982.
    """

    def check(self, m: Manifold) -> None:
        if sphere_dimension(m.heat) != 2:
            raise ValueError(
                f"manifold: Kent's law is one on S^2, not on {m.name}. Use VonMisesFisherMixture "
                "on S^d, WrappedNormalMixture on T^d, R^d and H^d, HeatKernelMixture anywhere."
            )

    def widest(self, m: Manifold) -> float:
        return _WIDEST

    def local(self, m: Manifold, x: Point, z: Point) -> tuple[Array, Scalar]:
        t, short = projected(z, m.frame(z), x)
        return jnp.stack(t), short

    def estimate(self, moments: WeightedMoments) -> MomentEstimate:
        """The direction of the resultant, and variances (1 − r) ± ½(s₁ − s₂) along the axes of the
        scatter about it, s₁ and s₂ its eigenvalues, r the length of the resultant: exact for narrow
        laws, near for others.

        Source: Kent 1982, Section 4.
        """
        step, short = resultant(moments)
        scatter = moments.covariance
        return MomentEstimate(
            step, scatter + (short - 0.5 * jnp.trace(scatter)) * jnp.eye(2, dtype=scatter.dtype)
        )

    def log_density(self, m: Manifold, v: Array, distance: Scalar, law: Component) -> Scalar:
        precisions = 1.0 / law.variances
        t = [law.axes[k, 0] * v[0] + law.axes[k, 1] * v[1] for k in (0, 1)]
        kappa = 0.5 * jnp.sum(precisions)
        square = (
            precisions[0] * t[0] * t[0] + precisions[1] * t[1] * t[1] + kappa * distance * distance
        )
        return -0.5 * square - log_kent_normaliser(precisions[0], precisions[1])

    def sample(self, key: Key, m: Manifold, law: Component) -> Point:
        """By rejection from an angular central Gaussian law, see ``kent_draw``."""
        c, t = kent_draw(key, 1.0 / law.variances)
        return m.project(c * law.centre + m.from_components(law.centre, matmul(t, law.axes)))

    def named(self, m: Manifold, laws: Component) -> dict[str, Array]:
        """``mean``, ``major`` and ``minor`` (γ₁, γ₂, γ₃), shape ``(K, 3)``; ``kappa``, ``beta``."""
        order = jnp.argsort(-laws.variances, axis=1)
        axes = jnp.take_along_axis(laws.axes, order[:, :, None], axis=1)
        vectors = jax.vmap(lambda z, rows: jax.vmap(lambda e: m.from_components(z, e))(rows))
        across = vectors(laws.centre, axes)
        precisions = jnp.sort(1.0 / laws.variances, axis=1)
        return {
            "mean": laws.centre, "major": across[:, 0], "minor": across[:, 1],
            "kappa": 0.5 * jnp.sum(precisions, axis=1),
            "beta": 0.25 * (precisions[:, 1] - precisions[:, 0]),
        }  # fmt: skip


def kent_draw(key: Key, precisions: Array) -> tuple[Scalar, Array]:
    """One draw of (c, t) = (⟨x, γ₁⟩, ⟨x, E_k⟩) of Kent's law with precisions p = (κ − 2β, κ + 2β),
    in either order.

    The law is exp{−½(Σ p_k t_k² + κ(1 − c)²)}. Since t² = 1 − c² ≤ 2(1 − c), for every m ≥ 0

        (1 − c)² ≥ m|t|² − m² + (1 − |c| − m)²,

    so Bingham's law exp{−½ Σ (p_k + κm) t_k²} lies above it, and an angular central Gaussian law
    above that. m = 1/(a + √(a² + 2κ)), a = min p, makes the first bound tight: more than a quarter
    of the proposals are accepted for all κ and β.

    Source: Kent, Ganeiber & Mardia 2018, Sections 2 and 4, who have m = 0, which accepts
    a share κ^{−1/4} where 2β = κ.
    """
    dtype = precisions.dtype
    kappa, small = 0.5 * jnp.sum(precisions), jnp.min(precisions)
    m = jnp.minimum(1.0 / (small + jnp.sqrt(small * small + 2.0 * kappa)), 1.0)
    bound = precisions + kappa * m
    b = _balance(bound)
    spread = 1.0 + bound / b
    ahead = jnp.maximum(1.0 - m, 0.0)
    top = jnp.log1p(jnp.exp(-0.5 * kappa * ahead * ahead))
    constant = 1.5 * jnp.log(b / 3.0) + 0.5 * (3.0 - b) - top

    def propose(key: Key) -> tuple[Array, Scalar, Array]:
        normal, uniform, sign = jax.random.split(key, 3)
        z = jax.random.normal(normal, (3,), dtype) / jnp.sqrt(
            jnp.concatenate([jnp.ones((1,), dtype), spread])
        )
        y = z / jnp.linalg.norm(z)
        c, t = jnp.abs(y[0]), y[1:]
        across = jnp.sum(t * t)
        near = across / (1.0 + c)  # 1 − c
        gain = 0.5 * kappa * (m * across - m * m)
        here, there = (-0.5 * kappa * gap * gap + gain for gap in (near, 1.0 + c))
        log_ratio = (
            constant
            + 1.5 * jnp.log(c * c + jnp.sum(spread * t * t))
            - 0.5 * jnp.sum(bound * t * t)
            + jnp.logaddexp(here, there)
        )
        # What is no number is handed on: it would be proposed for ever.
        refused = jnp.log(jax.random.uniform(uniform, (), dtype)) >= log_ratio
        behind = jax.random.uniform(sign, (), dtype) < jax.nn.sigmoid(there - here)
        return ~refused, jnp.where(behind, -c, c), t

    def again(carry: tuple) -> tuple:
        key, _, _, _ = carry
        key, now = jax.random.split(key)
        return key, *propose(now)

    start = (key, jnp.array(False), jnp.ones((), dtype), jnp.zeros((2,), dtype))
    _, _, c, t = jax.lax.while_loop(lambda carry: ~carry[1], again, start)
    return c, t


def _balance(precisions: Array) -> Scalar:
    """b with 1/b + Σ_k 1/(b + p_k) = 1, in [1, 3], by Newton's method from the left."""
    b = jnp.ones((), precisions.dtype)
    for _ in range(_NEWTON):
        each = 1.0 / (b + precisions)
        value = 1.0 / b + jnp.sum(each) - 1.0
        b = b + value / (1.0 / (b * b) + jnp.sum(each * each))
    return b
