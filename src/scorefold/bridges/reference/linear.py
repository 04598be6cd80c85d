"""Reference processes whose transition is a normal law around an affine map."""

import functools
from types import ModuleType
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._fixed import fixed
from scorefold._types import NumPyOrJax
from scorefold.noising import Noising, OrnsteinUhlenbeck, VarianceExploding

# In full precision on every device, where a matrix unit may round.
matmul = functools.partial(jnp.matmul, precision="highest")
einsum = functools.partial(jnp.einsum, precision="highest")
L = TypeVar("L", bound=NumPyOrJax | np.floating)


class LinearTransition(eqx.Module):
    """X_s | x₀ ~ N(a x₀ + b, v I) on R^d with

    a = e^{−κs/2},   b = (1 − a) μ,   v = (1 − e^{−κs})/κ,

    of dX = −½κ(X − μ) ds + dB; κ = 0 is Brownian motion, a = 1, b = 0, v = s.
    """

    rate: float = eqx.field(static=True)
    location: np.ndarray | Array = fixed()

    def moments(self, s: L, xp: ModuleType = jnp) -> tuple[L, L, L]:
        """(a, b, v) at variance-time s, in JAX or (``xp=np``) in NumPy and float64."""
        location = xp.asarray(self.location, s.dtype)
        if self.rate == 0.0:
            return xp.ones_like(s), xp.zeros_like(location), s
        a = xp.exp(-0.5 * self.rate * s)
        return a, -xp.expm1(-0.5 * self.rate * s) * location, -xp.expm1(-self.rate * s) / self.rate

    def pinned(self, x: Array, since: Array, y: Array, left: Array) -> tuple[Array, Array]:
        """Mean and variance of the process that was at ``x`` a time ``since`` ago and will be at
        ``y`` in a time ``left``, one of them positive:

            prior + (v a'/w)(y − a' prior − b'),   v v'/w,   prior = a x + b,  w = v' + a'² v,

        (a, b, v) over ``since``, (a', b', v') over ``left``."""
        a, b, v = self.moments(since)
        a2, b2, v2 = self.moments(left)
        prior, whole = a * x + b, v2 + a2 * a2 * v
        whole = jnp.where(whole > 0, whole, 1.0)
        return prior + (v * a2 / whole) * (y - a2 * prior - b2), v * v2 / whole


def is_linear(reference: Noising) -> bool:
    """Whether the reference is Brownian motion or an Ornstein–Uhlenbeck process on flat space."""
    return reference.manifold.euclidean and isinstance(
        reference, VarianceExploding | OrnsteinUhlenbeck
    )


def linear_transition(reference: Noising) -> LinearTransition:
    """The transition of Brownian motion or of an Ornstein–Uhlenbeck process on flat space.

    **Raises:** ``ValueError`` for any other process.
    """
    manifold = reference.manifold
    zero = np.zeros(manifold.shape)
    if isinstance(reference, VarianceExploding) and manifold.euclidean:
        return LinearTransition(0.0, zero)
    if isinstance(reference, OrnsteinUhlenbeck):
        location = reference.law.location
        held = zero if location is None else location
        if not isinstance(held, jax.core.Tracer):
            held = np.asarray(held, np.float64)
        return LinearTransition(1.0 / reference.std**2, held)
    raise ValueError(
        f"reference: {type(reference).__name__} on {manifold.name} is not linear with normal "
        "noise. Use brownian_reference(Euclidean(d), variance) or OrnsteinUhlenbeck(d, …)."
    )
