"""The laws that noising processes end in."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Key, Point, Scalar, ScalarLike, Values
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Manifold, check_points
from scorefold.noising._base import Reference
from scorefold.noising.schedules import check_positive


class UniformReference(Reference):
    """p_ref = 1 / vol(M) on a compact manifold."""

    manifold: Manifold

    def __check_init__(self) -> None:
        if not self.manifold.compact:
            raise ValueError(f"There is no uniform law on {self.manifold.name}: infinite volume.")

    def log_prob(self, x: Point) -> Scalar:
        return jnp.full((), -self.manifold.log_volume, x.dtype)

    def score(self, x: Point) -> Point:
        return jnp.zeros_like(x)

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        return self.manifold.uniform(key, dtype)


class WrappedNormal(Reference):
    """The law of exp_μ(σZ), Z standard normal in the tangent space at μ. With v = log_μ(x),

        log p(x) = −|v|²/2σ² − (d/2) log 2πσ² − log |det d(exp_μ)_v|.

    The normal law on flat space.

    **Arguments:** ``manifold``: one whose exponential map is one to one (R^d, H^d and their
    products); ``location``: μ, one point (default: the origin); ``std``: σ > 0.
    **Raises:** ``ValueError`` for a manifold that is compact or has a compact factor, where v is
    not unique (use ``HeatReference``), for a location off the manifold and for a bad ``std``.

    Source: De Bortoli et al. 2022, Section 3.1; Nagano et al. 2019, Section 3.
    """

    manifold: Manifold
    location: np.ndarray | Array | None = fixed(default=None)
    std: float = 1.0

    def __check_init__(self) -> None:
        check_positive("std", self.std)
        if has_compact_part(self.manifold):
            raise ValueError(
                f"The exponential map of {self.manifold.name} is not one to one, so the wrapped "
                "normal has no closed density there. Use HeatReference(manifold, s)."
            )
        if self.location is not None:
            _check("location", self.manifold, self.location)

    def log_prob(self, x: Point) -> Scalar:
        m = self.manifold
        mu = self._location(x.dtype)
        v = m.log(mu, x)
        normaliser = 0.5 * m.dim * math.log(2.0 * math.pi * self.std**2)
        return -0.5 * m.inner(mu, v, v) / self.std**2 - normaliser - m.exp_log_det(mu, v)

    def score(self, x: Point) -> Point:
        return self.manifold.gradient(x, jax.grad(self.log_prob)(x))

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        mu = self._location(dtype)
        return self.manifold.exp(mu, self.std * self.manifold.normal(key, mu))

    def _location(self, dtype: DTypeLike | None) -> Point:
        if self.location is None:
            return self.manifold.origin(dtype)
        return self.manifold.project(jnp.asarray(self.location, dtype or jnp.result_type(float)))


class HeatReference(Reference):
    """Brownian motion at variance-time s, started at one of K centres chosen evenly:

        p(x) = (1/K) Σ_k p_s(x | c_k),

    with the exact heat kernel. N(c, s·I) on flat space for K = 1.

    **Arguments:** ``manifold``: any; ``s``: variance-time > 0; ``centres``: K points, shape
    ``(K, *manifold.shape)`` (default: the origin).
    **Raises:** ``ValueError`` for s ≤ 0 and for centres off the manifold.
    """

    manifold: Manifold
    s: float
    centres: np.ndarray | Array | None = fixed(default=None)

    def __check_init__(self) -> None:
        check_positive("s", self.s)
        check_centres(self.manifold, self.centres)

    def log_prob(self, x: Point) -> Scalar:
        return heat_mixture(self.manifold, self.centres, self.s, x.dtype).log_prob(x)

    def score(self, x: Point) -> Point:
        return heat_mixture(self.manifold, self.centres, self.s, x.dtype).score(x)

    def sample(self, key: Key, dtype: DTypeLike | None = None) -> Point:
        pick, walk = jax.random.split(key)
        centres = _centres(self.manifold, self.centres, dtype)
        centre = centres[jax.random.randint(pick, (), 0, centres.shape[0])]
        return self.manifold.heat.sample(walk, centre, self.s)


def heat_mixture(
    manifold: Manifold, centres: Values | None, s: ScalarLike, dtype: DTypeLike | None
) -> TransitionMixture:
    """(1/K) Σ_k p_s(· | c_k); ``centres=None``: the origin alone."""
    return TransitionMixture(manifold.heat, _centres(manifold, centres, dtype), s)


def check_centres(manifold: Manifold, centres: Values | None) -> None:
    if centres is None:
        return
    if np.ndim(centres) != len(manifold.shape) + 1:
        form = ", ".join(str(n) for n in manifold.shape)
        raise ValueError(f"centres: shape must be (K, {form}), got {np.shape(centres)}.")
    _check("centres", manifold, centres)


def has_compact_part(manifold: Manifold) -> bool:
    """Whether the manifold or one of its factors is compact."""
    return any(factor.compact for factor in manifold.factors)


def _centres(manifold: Manifold, centres: Values | None, dtype: DTypeLike | None) -> Array:
    if centres is None:
        return manifold.origin(dtype)[None]
    return jax.vmap(manifold.project)(jnp.asarray(centres, dtype or jnp.result_type(float)))


def _check(name: str, manifold: Manifold, points: Values) -> None:
    # Inside a transformation the values are not known; they were checked outside it.
    if not isinstance(points, jax.core.Tracer):
        with jax.ensure_compile_time_eval():
            check_points(manifold, points, name)
