"""orix: orientations of crystals in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold._types import NumPyOrJax, Values
from scorefold._warnings import warn
from scorefold.interop._needed import needed
from scorefold.manifolds import SO3
from scorefold.manifolds.points import exact_points

if TYPE_CHECKING:
    from orix.quaternion import Orientation, Rotation


def to_orix(x: Values) -> Orientation:
    """Points of SO(3) as an ``Orientation`` without symmetry. Points take crystal to sample
    coordinates, R = R_z(φ₁) R_x(Φ) R_z(φ₂); orix holds g = Rᵀ, from sample to crystal, and both
    have the same Bunge angles.

        to_orix(model.sample(key, 100)).to_euler(degrees=True)

    **Raises:** ``PointsError`` for what is no rotation, naming the rows.
    """
    quaternion = needed("orix.quaternion", "orix")
    points = np.asarray(exact_points(SO3(), x, "x"), np.float64)
    return quaternion.Orientation.from_matrix(np.swapaxes(points, -1, -2))


def from_orix(orientations: Rotation) -> NumPyOrJax:
    """Matrices of an ``Orientation``, transposed as ``to_orix`` says, shape ``(n, 3, 3)``; of a
    plain ``Rotation`` as it acts on vectors, not transposed.

    A symmetry is not kept, and a warning says so: points of SO(3) tell equivalent orientations
    apart. ``Orientation.reduce`` (``map_into_symmetry_reduced_zone`` in older versions) chooses
    one of them.
    **Raises:** ``TypeError`` for a ``Misorientation`` and for something else; ``ValueError`` for
    improper rotations (reflections).
    """
    quaternion = needed("orix.quaternion", "orix")
    if not isinstance(orientations, quaternion.Rotation):
        raise TypeError(
            f"orientations: an Orientation or Rotation of orix, got {type(orientations).__name__}."
        )
    crystal = isinstance(orientations, quaternion.Orientation)
    if isinstance(orientations, quaternion.Misorientation) and not crystal:
        raise TypeError("orientations: a Misorientation goes from crystal to crystal: give "
                        "orix.quaternion.Rotation(orientations) if that is meant.")  # fmt: skip
    improper = np.flatnonzero(np.asarray(orientations.improper).ravel())
    if improper.size:
        raise ValueError(
            f"orientations: {improper.size} are improper (first: row {improper[0]}): reflections "
            "are no points of SO(3)."
        )
    if crystal and orientations.symmetry.size > 1:
        warn(
            f"from_orix: the symmetry {orientations.symmetry.name} is not kept: equivalent "
            "orientations are different points of SO(3)."
        )
    matrices = orientations.to_matrix().reshape(-1, 3, 3)
    matrices = np.swapaxes(matrices, -1, -2) if crystal else matrices
    return exact_points(SO3(), matrices, "orientations")
