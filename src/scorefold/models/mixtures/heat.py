"""Heat kernels as laws of a mixture, on every geometry."""

from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import Key, Point, Scalar
from scorefold.kernels import HeatFamily
from scorefold.manifolds import Manifold
from scorefold.models.mixtures.component import Component, ComponentFamily
from scorefold.models.mixtures.heat_table import has_table, tabulated_log_prob

_LARGEST = 1e6
_LARGEST_CURVED = 10.0
"""Variance-time up to which heat kernels of curved spaces without an end are exact."""
_FORGOTTEN = 20.0
"""λ₁s at which a heat kernel on a compact space is uniform to e^{−10}."""


class HeatComponents(ComponentFamily):
    """The heat kernel p_s(x | c) of the geometry (generator ½Δ), exact: the law at time s of
    Brownian motion that starts at the centre c. All variances are s.

    ``tabulated``: the density by ``tabulated_log_prob``, for fitting."""

    tabulated: bool = False
    round: ClassVar[bool] = True

    @property
    def fitting(self) -> "HeatComponents":
        return HeatComponents(tabulated=True)

    def check(self, m: Manifold) -> None:
        """Every geometry has one."""

    def widest(self, m: Manifold) -> float:
        if m.compact:
            return _FORGOTTEN / m.spectral_gap
        return _LARGEST if all(f.euclidean for f in m.factors) else _LARGEST_CURVED

    def log_density(self, m: Manifold, v: Array, distance: Scalar, law: Component) -> Scalar:
        if has_table(m.heat):
            return tabulated_log_prob(m.heat, v, law.variances[0])
        x = m.exp(law.centre, m.from_components(law.centre, v))
        return HeatComponents().log_prob(m, x, law)

    def log_prob(self, m: Manifold, x: Point, law: Component) -> Scalar:
        """Exact, unless ``tabulated``."""
        if self.tabulated:
            return super().log_prob(m, x, law)
        return HeatFamily().log_prob(m, x, law.centre, law.axes, law.variances, None)

    def sample(self, key: Key, m: Manifold, law: Component) -> Point:
        return HeatFamily().sample(key, m, law.centre, law.axes, law.variances)

    def named(self, m: Manifold, laws: Component) -> dict[str, Array]:
        """``centre``, shape ``(K, *manifold.shape)``; ``s``, the variance-time."""
        return {"centre": laws.centre, "s": jnp.mean(laws.variances, axis=1)}
