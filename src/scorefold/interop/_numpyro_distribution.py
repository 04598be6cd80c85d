"""Models as classes of NumPyro: imported where NumPyro is."""

import math
from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array
from numpyro.distributions import Distribution, biject_to, constraints
from numpyro.distributions.transforms import Transform

from scorefold._types import Key, Values
from scorefold.data import Law
from scorefold.interop._law import log_prob_of
from scorefold.manifolds import Manifold
from scorefold.models import Model


class OnManifold(constraints.Constraint):
    """Arrays that are points of a manifold, to eight times the square root of rounding."""

    def __init__(self, manifold: Manifold) -> None:
        self.manifold = manifold
        self.event_dim = len(manifold.shape)

    def __call__(self, x: Values) -> Array:
        x = jnp.asarray(x)
        atol = 8.0 * math.sqrt(float(jnp.finfo(x.dtype).eps))
        return _over_points(self.manifold, lambda y: self.manifold.belongs(y, atol), x)

    def feasible_like(self, prototype: Array) -> Array:
        return jnp.broadcast_to(self.manifold.origin(prototype.dtype), prototype.shape)

    def __repr__(self) -> str:
        return f"OnManifold({self.manifold.name})"

    def tree_flatten(self) -> tuple[tuple, tuple]:
        return (), ((), {"manifold": self.manifold, "event_dim": self.event_dim})

    def eq(self, other: object, static: bool = False) -> bool:
        return isinstance(other, OnManifold) and bool(self.manifold == other.manifold)


class ModelDistribution(Distribution):
    """See ``scorefold.interop.numpyro.to_numpyro``."""

    arg_constraints: dict = {}  # noqa: RUF012
    # Sizes of a manifold are no numbers to be traced.
    pytree_data_fields = ("arrays",)
    pytree_aux_fields = ("rest",)

    def __init__(self, model: Model | Law, *, validate_args: bool | None = None) -> None:
        self.arrays, self.rest = eqx.partition(model, eqx.is_array)
        super().__init__((), model.manifold.shape, validate_args=validate_args)

    @property
    def model(self) -> Model | Law:
        return eqx.combine(self.arrays, self.rest)

    @property
    def support(self) -> constraints.Constraint:
        manifold = self.model.manifold
        if manifold.periods is not None and len(manifold.shape) == 1:
            if not manifold.periods.any():
                return constraints.real_vector
            if manifold.toral:
                return constraints.independent(constraints.circular, 1)
        return OnManifold(manifold)

    def sample(self, key: Key, sample_shape: tuple[int, ...] = ()) -> Array:
        shape = (*sample_shape, *self.event_shape)
        n = math.prod(sample_shape)
        if n == 0:
            return jnp.zeros(shape)
        return jnp.asarray(self.model.sample(key, n)).reshape(shape)

    def log_prob(self, value: Values) -> Array:
        return log_prob_of(self.model, value)


class ExponentialTransform(Transform):
    """u ↦ exp_o(Σ u_i E_i), one to one from R^d where nothing has a cut locus."""

    domain = constraints.real_vector

    def __init__(self, manifold: Manifold) -> None:
        self.manifold = manifold

    @property
    def codomain(self) -> OnManifold:
        return OnManifold(self.manifold)

    def __call__(self, u: Array) -> Array:
        m = self.manifold

        def point(v: Array) -> Array:
            origin = m.origin(v.dtype)
            return m.exp(origin, m.from_components(origin, v))

        return jnp.vectorize(point, signature=f"(d)->{_signature(m)}")(u)

    def _inverse(self, x: Array) -> Array:
        m = self.manifold

        def vector(y: Array) -> Array:
            origin = m.origin(y.dtype)
            return m.components(origin, m.log(origin, y))

        return jnp.vectorize(vector, signature=f"{_signature(m)}->(d)")(x)

    def log_abs_det_jacobian(self, x: Array, y: Array, intermediates: object = None) -> Array:
        m = self.manifold

        def volume(v: Array) -> Array:
            origin = m.origin(v.dtype)
            return m.exp_log_det(origin, m.from_components(origin, v))

        return jnp.vectorize(volume, signature="(d)->()")(x)

    def forward_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[:-1], *self.manifold.shape)

    def inverse_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*shape[: len(shape) - len(self.manifold.shape)], self.manifold.dim)

    def tree_flatten(self) -> tuple[tuple, tuple]:
        return (), ((), {"manifold": self.manifold})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ExponentialTransform) and bool(self.manifold == other.manifold)


@biject_to.register(OnManifold)
def _bijection(constraint: OnManifold) -> Transform:
    manifold = constraint.manifold
    try:
        everywhere = math.isinf(manifold.injectivity_radius)
    except TypeError:  # not stated
        everywhere = False
    if everywhere:
        return ExponentialTransform(manifold)
    raise NotImplementedError(
        f"support: no smooth map takes R^{manifold.dim} onto {manifold.name} one to one, so "
        "NumPyro has no HMC, NUTS or SVI for it: condition a model on R^d, or weight draws of "
        "scorefold (distribution.sample) by the likelihood."
    )


def _signature(manifold: Manifold) -> str:
    return "(" + ",".join(f"n{i}" for i in range(len(manifold.shape))) + ")"


def _over_points(manifold: Manifold, function: Callable[[Array], Array], x: Array) -> Array:
    return jnp.vectorize(function, signature=f"{_signature(manifold)}->()")(x)
