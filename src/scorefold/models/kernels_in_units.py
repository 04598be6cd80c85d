"""Kernels in the units of the data they were fitted to."""

import jax.numpy as jnp
import numpy as np

from scorefold._matmul import einsum
from scorefold.kernels import WrappedMixture
from scorefold.kernels.wrapped.background import MixedReference, ProductReference, TangentNormal
from scorefold.manifolds import Manifold
from scorefold.models.standardise import Units
from scorefold.noising import Reference


def kernels_in_units(mixture: WrappedMixture, units: Units) -> WrappedMixture:
    """The mixture of shift + scale·x for x of a mixture in inner coordinates: wrapped normal laws
    of covariances DΣD, D the scales of the coordinates of a frame (1 on curved factors). Numbers
    are in the dtype of the mixture, whatever the shift."""
    if units.shifts is None:
        return mixture
    m, dtype = mixture.manifold, mixture.centres.dtype
    scale = jnp.asarray(_along(m, np.asarray(units.scale)), dtype)
    centres = jnp.asarray(units.outward(np.asarray(mixture.centres)), dtype)
    law = _law(mixture.background, np.asarray(units.shift), np.asarray(units.scale))
    axes = mixture.axes * scale[None, None, :]
    if mixture.diagonal is not None:
        return WrappedMixture(
            m, law, centres, axes, mixture.variances, mixture.log_weights, mixture.log_share,
            diagonal=mixture.diagonal * (scale * scale)[None],
        )  # fmt: skip
    root = jnp.sqrt(mixture.variances)[:, :, None] * axes
    return WrappedMixture.from_covariances(
        m,
        centres,
        einsum("nki,nkj->nij", root, root),
        mixture.log_weights,
        law,
        mixture.log_share,
    )


def _along(manifold: Manifold, scale: np.ndarray) -> np.ndarray:
    """Scales of the vectors of a frame, shape ``(dim,)``."""
    parts = zip(manifold.factors, manifold.split(scale), strict=True)
    return np.concatenate([s if m.euclidean else np.ones(m.dim) for m, s in parts])


def _law(law: Reference, shift: np.ndarray, scale: np.ndarray) -> Reference:
    if isinstance(law, MixedReference):
        parts = tuple(_law(part, shift, scale) for part in law.parts)
        return MixedReference(law.manifold, parts, law.log_weights)
    if isinstance(law, ProductReference):
        each = zip(law.parts, law.manifold.split(shift), law.manifold.split(scale), strict=True)
        return ProductReference(law.manifold, tuple(_law(*part) for part in each))
    if isinstance(law, TangentNormal) and law.manifold.euclidean:
        root = np.sqrt(np.asarray(law.variances))[:, None] * np.asarray(law.axes) * scale
        variances, columns = np.linalg.eigh(root.T @ root)
        location = shift + scale * np.asarray(law.location)
        numbers = (location, columns.T, np.maximum(variances, np.finfo(np.float32).tiny))
        return TangentNormal(law.manifold, *(jnp.asarray(a, law.location.dtype) for a in numbers))
    return law
