"""Laws whose density is known exactly: targets to measure every method against."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._foreign import plain
from scorefold._types import Key, Point, Scalar, ScalarLike, Values
from scorefold.data._errors import DataError
from scorefold.manifolds import Manifold

_CHUNK = 4096


class Law(eqx.Module):
    """A probability law with exact samples and an exact density with respect to Riemannian
    volume; the same two methods as a model."""

    manifold: eqx.AbstractVar[Manifold]

    def log_prob(self, x: Values) -> Array:
        """log density in nats of one point or any batch; shape = the batch shape of ``x``."""
        return batched(self, "_log_prob", x)

    @abc.abstractmethod
    def _log_prob(self, x: Point) -> Scalar:
        """log density at ONE point."""

    @abc.abstractmethod
    def sample(self, key: Key, n: int) -> Array:
        """n independent draws, shape ``(n, *manifold.shape)``, in JAX's default float type."""


def batched(law: Law, method: str, x: Values, *args: ScalarLike) -> Array:
    """A method of one point over any leading axes of ``x``, in chunks: memory stays flat."""
    x = jnp.asarray(plain("x", x))
    if not jnp.issubdtype(x.dtype, jnp.floating):
        x = x.astype(jnp.result_type(float))
    shape = law.manifold.shape
    batch = x.shape[: x.ndim - len(shape)]
    if x.shape != (*batch, *shape):
        raise DataError(f"x: has shape {x.shape}; points of {law.manifold.name} end in {shape}.")
    scalars = tuple(jnp.asarray(a, x.dtype) for a in args)
    out = _map(law, method, x.reshape(-1, *shape), scalars)
    return out.reshape(*batch, *out.shape[1:])


@eqx.filter_jit
def _map(law: Law, method: str, flat: Array, args: tuple[Array, ...]) -> Array:
    one = getattr(law, method)
    return jax.lax.map(lambda y: one(y, *args), flat, batch_size=_CHUNK)
