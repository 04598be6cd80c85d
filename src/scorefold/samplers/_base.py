"""What a step of a sampler is."""

import abc
from collections.abc import Callable

import equinox as eqx

from scorefold._types import Key, Point, Scalar

ScoreFunction = Callable[[Point, Scalar], Point]
"""(x, s) ↦ ∇ log p_s(x), or a model of it: a ``TangentField`` or any function of that form. Pass
an ``equinox.Module`` (or one of its methods) rather than a fresh lambda: compiled samplers are
cached by it."""


class Step(eqx.Module):
    """One step of a sampler: (key, x, s, ds) ↦ the point at variance-time s + ds.

    ``ds`` is signed: positive from data to noise, negative from noise to data. The noise of a
    stochastic step has variance |ds|. Takes ONE point; ``walk`` drives it.
    """

    @abc.abstractmethod
    def __call__(self, key: Key, x: Point, s: Scalar, ds: Scalar) -> Point: ...
