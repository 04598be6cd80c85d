"""Kernels in the units of the data they were fitted to."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from scorefold.kernels import WrappedMixture
from scorefold.kernels.wrapped.background import MixedReference, ProductReference, TangentNormal
from scorefold.manifolds import Euclidean, Manifold, Product
from scorefold.models.standardise import Units
from scorefold.noising import Reference

__all__ = ["kernels_in_units"]


def kernels_in_units(mixture: WrappedMixture, units: Units) -> WrappedMixture:
    """The mixture of shift + scale·x for x of a mixture in inner coordinates: wrapped normal laws
    of covariances DΣD, D the scales of the coordinates of a frame (1 on curved factors). Numbers
    are in the dtype of the mixture, whatever the shift."""
    if units.shifts is None:
        return mixture
    m, dtype = mixture.manifold, mixture.centres.dtype
    scale = jnp.asarray(_along(m, units.scale), dtype)
    root = jnp.sqrt(mixture.variances)[:, :, None] * mixture.axes * scale[None, None, :]
    return WrappedMixture.from_covariances(
        m,
        jnp.asarray(units.outward(np.asarray(mixture.centres)), dtype),
        jnp.einsum("nki,nkj->nij", root, root),
        mixture.log_weights,
        _law(mixture.background, np.asarray(units.shift), np.asarray(units.scale)),
        mixture.log_share,
    )


def _along(manifold: Manifold, scale: np.ndarray) -> np.ndarray:
    """Scales of the vectors of a frame, shape ``(dim,)``."""
    if isinstance(manifold, Euclidean):
        return scale
    if isinstance(manifold, Product):
        parts = zip(manifold.factors, _split(manifold, scale), strict=True)
        return np.concatenate([_along(m, s) for m, s in parts])
    return np.ones(manifold.dim)


def _split(manifold: Product, a: np.ndarray) -> list[np.ndarray]:
    ends = np.cumsum([int(np.prod(m.shape)) for m in manifold.factors])[:-1]
    parts = np.split(a, ends)
    return [p.reshape(m.shape) for p, m in zip(parts, manifold.factors, strict=True)]


def _law(law: Reference, shift: np.ndarray, scale: np.ndarray) -> Reference:
    if isinstance(law, MixedReference):
        parts = tuple(_law(part, shift, scale) for part in law.parts)
        return MixedReference(law.manifold, parts, law.log_weights)
    if isinstance(law, ProductReference):
        each = zip(law.parts, _split(law.manifold, shift), _split(law.manifold, scale), strict=True)
        return ProductReference(law.manifold, tuple(_law(*part) for part in each))
    if isinstance(law, TangentNormal) and isinstance(law.manifold, Euclidean):
        root = np.sqrt(np.asarray(law.variances))[:, None] * np.asarray(law.axes) * scale
        variances, columns = np.linalg.eigh(root.T @ root)
        location = shift + scale * np.asarray(law.location)
        numbers = (location, columns.T, np.maximum(variances, np.finfo(np.float32).tiny))
        return TangentNormal(law.manifold, *(jnp.asarray(a, law.location.dtype) for a in numbers))
    return law
