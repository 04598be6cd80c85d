"""What is to be learned of a bridge, and what comes out: the contracts of both."""

# No postponed annotations here: AbstractVar is recognised as an object only, not as a string.
import abc
import dataclasses
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import equinox as eqx

from scorefold._types import Key, Point, Scalar
from scorefold.bridges._base import Bridge
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.intake import Samples
from scorefold.bridges.units import BridgeUnits
from scorefold.fitting import Config, History
from scorefold.manifolds import Manifold
from scorefold.noising import Noising

F = TypeVar("F", bound="FittedBridge")
F_co = TypeVar("F_co", bound="FittedBridge", covariant=True)


class FittedBridge(Bridge):
    """A bridge that was learned in inner coordinates (``BridgeUnits``), and says what it knows in
    those of the data. ``units``: None where the two are the same."""

    if TYPE_CHECKING:

        @property
        def units(self) -> BridgeUnits | None:
            """A field."""

    else:
        units: eqx.AbstractVar[BridgeUnits | None]

    @property
    def placed(self) -> "tuple[BridgeUnits, FittedBridge] | None":
        if self.units is None:
            return None
        return self.units, self.outside(None, self.units.inside(self.reference))

    @abc.abstractmethod
    def inner_forward(self, x: Point, s: Scalar) -> Point:
        """∇ log ψ_s(x) where ``units`` is None."""

    @abc.abstractmethod
    def inner_backward(self, x: Point, s: Scalar) -> Point:
        """∇ log φ_s(x) where ``units`` is None."""

    def forward(self, x: Point, s: Scalar) -> Point:
        if self.units is None:
            return self.inner_forward(x, s)
        return self.units.forward(self.reference, self.inner.inner_forward, x, s)

    def backward(self, x: Point, s: Scalar) -> Point:
        if self.units is None:
            return self.inner_backward(x, s)
        return self.units.backward(self.reference, self.inner.inner_backward, x, s)

    def outside(self: F, units: BridgeUnits | None, reference: Noising) -> F:
        """The bridge over ``reference`` that is this one in the coordinates of ``units``."""
        return dataclasses.replace(self, reference=reference, **{"units": units})


class BridgeDescription(Config, Generic[F_co]):
    """What ``fit_bridge`` is given: a reference process and settings, no parameters. Descriptions
    can be compared, hashed and printed."""

    reference: eqx.AbstractVar[Noising]

    @property
    def manifold(self) -> Manifold:
        return self.reference.manifold

    @property
    def total(self) -> float:
        """S, the variance-time that the bridge lasts."""
        return self.reference.schedule.total

    @property
    def least(self) -> int:
        """Points that each end needs."""
        return 2

    @abc.abstractmethod
    def inside(self, units: BridgeUnits) -> "BridgeDescription[F_co]":
        """The description in inner coordinates: of Y in ``BridgeUnits``."""

    @abc.abstractmethod
    def train(
        self, samples: Samples, *, key: Key, **settings: Any
    ) -> tuple[F_co, History | AlternationHistory]:
        """The bridge learned from ``samples``, in the coordinates that it is trained in, and what
        happened in those of the data."""
