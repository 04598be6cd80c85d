"""Brownian motion on a compact manifold, with a mixture of heat kernels as its baseline."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._blocks import is_traced
from scorefold._fixed import fixed
from scorefold._types import DTypeLike, Scalar
from scorefold.heat import TransitionMixture
from scorefold.manifolds import Manifold
from scorefold.noising._base import CarryingNoising, Reference
from scorefold.noising.brownian import Brownian
from scorefold.noising.references import check_centres
from scorefold.noising.schedules import Linear, Schedule


class MixtureBrownian(CarryingNoising):
    """dX_t = √β(t) dB_t on a compact manifold, as ``Brownian``; ``baseline`` is the score at s of a
    mixture of heat kernels,

        ∇ log Σ_k w_k p_{v_k + s}(x | c_k),

    which Brownian motion makes of the mixture at s = 0, exactly. A network on it starts as the
    mixture and learns what the data have beyond it: worth it where the data are in narrow clusters,
    which a network takes long to find.

    **Arguments:** ``manifold``: compact; ``centres``: c, shape ``(K, *manifold.shape)``;
    ``variances``: variance-times v > 0, shape ``(K,)``; ``weights``: w > 0, shape ``(K,)``,
    normalised here; ``schedule``: the clock. Those of a fitted ``HeatKernelMixture`` stand in its
    ``parameters`` (``started_noising``).
    **Raises:** ``ValueError`` for a manifold that is not compact, other shapes, centres that are no
    points and numbers that are not positive.
    """

    manifold: Manifold
    schedule: Schedule = Linear()
    centres: np.ndarray | Array = fixed(kw_only=True)
    variances: np.ndarray | Array = fixed(kw_only=True)
    weights: np.ndarray | Array = fixed(kw_only=True)

    def __check_init__(self) -> None:
        Brownian(self.manifold, self.schedule)  # refuses what is not compact
        count = np.shape(self.centres)[:1]
        if np.shape(self.centres) != (*count, *self.manifold.shape) or count in ((), (0,)):
            raise ValueError(
                f"centres: shape (K, {', '.join(map(str, self.manifold.shape))}), got "
                f"{np.shape(self.centres)}."
            )
        check_centres(self.manifold, self.centres)
        for name in ("variances", "weights"):
            value = getattr(self, name)
            if np.shape(value) != count:
                raise ValueError(f"{name}: shape {count}, got {np.shape(value)}.")
            known = not is_traced(value)
            if known and not (np.isfinite(value) & (np.asarray(value) > 0.0)).all():
                raise ValueError(f"{name}: positive numbers, one for each centre.")

    @property
    def starts_at_data(self) -> bool:
        return True

    @property
    def reference(self) -> Reference:
        return Brownian(self.manifold, self.schedule).reference

    def scale(self, s: Scalar) -> Scalar:
        """As ``Brownian``."""
        return Brownian(self.manifold, self.schedule).scale(s)

    def carried(self, s: Scalar, dtype: DTypeLike) -> TransitionMixture:
        centres, variances, weights = (
            jnp.asarray(a, dtype) for a in (self.centres, self.variances, self.weights)
        )
        log_weights = jnp.log(weights / jnp.sum(weights))
        return TransitionMixture(self.kernel, centres, variances + s, log_weights)
