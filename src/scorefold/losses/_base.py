"""What a score-matching loss is."""

import abc

import equinox as eqx

from scorefold._types import Key, Point, Scalar
from scorefold.fields import TangentField
from scorefold.noising import Noising


class Loss(eqx.Module):
    """One example's score-matching loss at one noise level, without its weight in s.

    Its mean over x₀, the noise and the key is ½ E‖s_θ(X_s, s) − ∇ log p_s(X_s)‖² plus a number
    that does not depend on s_θ, so the score of the noised data is the minimiser.
    """

    @abc.abstractmethod
    def __call__(
        self, field: TangentField, noising: Noising, x0: Point, s: Scalar, key: Key
    ) -> Scalar: ...
