"""What everyone asks of a network and of the description that it is built from."""

# No postponed annotations here: abstract methods are recognised on the class itself.
import abc
from collections.abc import Callable
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._types import DTypeLike, Key, Scalar


class Network(eqx.Module):
    """(features h of a point, noise level s) ↦ a plain vector, in the dtype of h."""

    @abc.abstractmethod
    def __call__(self, h: Array, s: Scalar) -> Array: ...

    @abc.abstractmethod
    def with_zero_output(self) -> "Network":
        """The same network with its last layer at zero: it answers 0 everywhere, and learns."""


class Architecture(eqx.Module):
    """The description of a ``Network``: what models and bridges are given, and saved with."""

    learning_rate: ClassVar[float] = 2e-3
    """The peak that score models and flow matching train it with where none is stated."""

    @abc.abstractmethod
    def build(
        self, in_size: int, out_size: int, *, dtype: DTypeLike | None = None, key: Key
    ) -> Network:
        """The network from ``in_size`` features to ``out_size`` numbers, with parameters drawn
        from ``key``.

        **Raises:** ``ValueError`` for sizes that this kind of network cannot have.
        """

    @property
    def alike(self) -> bool:
        """Whether all flat coordinates have one unit, as pixels, or each its own (False)."""
        return False

    def at_resolution(self, length: Callable[[], float], dim: int) -> "Architecture":
        """The same for data of dimension ``dim`` whose finest structure has the length that
        ``length()`` measures: what is left to the data is set by it."""
        return self

    def in_training(self, network: Network) -> Network:
        """The network as it is trained, which may be coarser than the one that is used."""
        return network


def zero_network(
    spec: Architecture, in_size: int, out_size: int, dtype: DTypeLike, key: Key
) -> Network:
    """A new network that answers 0."""
    return spec.build(in_size, out_size, dtype=dtype, key=key).with_zero_output()


def level_features(s: Scalar, times: Array) -> Array:
    """[u, cos(ku), sin(ku)] for u = (log s + 3)/4 and the frequencies k in ``times``.

    Noise levels s ∈ [1e-4, 10] give u ∈ (−1.6, 1.4).
    """
    u = (jnp.log(s) + 3.0) / 4.0
    waves = jax.lax.stop_gradient(times).astype(s.dtype) * u
    return jnp.concatenate([u[None], jnp.cos(waves), jnp.sin(waves)])
