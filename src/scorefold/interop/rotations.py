"""Rotations of SciPy in and out, and Euler angles in Bunge's convention.

Every function of scorefold that takes points of SO(3) takes a ``Rotation`` as it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold._blocks import listed
from scorefold._types import NumPyOrJax, Values
from scorefold.manifolds import SO3, PointsError
from scorefold.manifolds._check import as_numbers
from scorefold.manifolds.points import exact_points

if TYPE_CHECKING:
    from scipy.spatial.transform import Rotation


def to_scipy(x: Values) -> Rotation:
    """Points of SO(3), matrices ``(n, 3, 3)`` or one ``(3, 3)``, as a ``Rotation`` in float64.

        to_scipy(model.sample(key, 100)).as_rotvec()

    **Raises:** ``PointsError`` for what is no rotation, naming the rows.
    """
    from scipy.spatial.transform import Rotation

    return Rotation.from_matrix(np.asarray(exact_points(SO3(), x, "x"), np.float64))


def from_scipy(rotation: Rotation) -> NumPyOrJax:
    """Matrices of a ``Rotation``, ``(n, 3, 3)`` or ``(3, 3)``, with all of their digits: a NumPy
    array where JAX has 32 bits.

    **Raises:** ``TypeError`` for something else.
    """
    from scipy.spatial.transform import Rotation

    if not isinstance(rotation, Rotation):
        raise TypeError(f"rotation: a Rotation of SciPy, got {type(rotation).__name__}.")
    return exact_points(SO3(), rotation, "rotation")


def from_bunge(angles: Values, *, degrees: bool, sense: str) -> NumPyOrJax:
    """Rotations of Bunge's Euler angles (φ₁, Φ, φ₂), with all of their digits, as ``from_scipy``:
    turns about z, the new x, the new z,

        R = R_z(φ₁) R_x(Φ) R_z(φ₂),   g = Rᵀ.

        from_bunge([[30.0, 45.0, 60.0]], degrees=True, sense="active")

    **Arguments:** ``angles``: shape ``(n, 3)`` or ``(3,)``; ``degrees``: no default; ``sense``, no
    default: what the matrix does with coordinates. ``"active"``: R, from crystal to sample, which
    is how orientations of MTEX act; it turns the axes of the sample onto those of the crystal.
    ``"passive"``: Bunge's g, from sample to crystal, which is what orix holds.
    **Raises:** ``PointsError`` naming the rows, for Φ outside of [0, π] as well.

    Source: Bunge, Texture Analysis in Materials Science (1982), ch. 2.
    """
    from scipy.spatial.transform import Rotation

    SO3().from_euler(angles, convention="ZXZ", degrees=degrees)  # refuses what are no angles
    given = np.asarray(as_numbers("angles", angles), np.float64)
    half = 180.0 if degrees else np.pi
    if given.shape[-1:] == (3,):
        tilt = given.reshape(-1, 3)[:, 1]
        bad = np.flatnonzero(~((tilt >= 0.0) & (tilt <= half * (1.0 + 1e-12))))
        if bad.size:
            raise PointsError(
                f"angles: Φ of rows {listed(bad)} is not between 0 and {half:g}: columns are "
                "(φ₁, Φ, φ₂)."
            )
    matrices = Rotation.from_euler("ZXZ", given, degrees=degrees).as_matrix()
    return exact_points(SO3(), np.swapaxes(matrices, -1, -2) if _passive(sense) else matrices)


def to_bunge(x: Values, *, degrees: bool, sense: str) -> np.ndarray:
    """(φ₁, Φ, φ₂), float64, with φ₁ and φ₂ in [0, 2π) and Φ in [0, π]; φ₂ = 0 where Φ is 0 or π,
    and only φ₁ ± φ₂ is known. ``sense``: what the matrices are; see ``from_bunge``."""
    points = np.asarray(exact_points(SO3(), x, "x"), np.float64)
    points = np.swapaxes(points, -1, -2) if _passive(sense) else points
    angles = SO3().to_euler(points, convention="ZXZ", degrees=False)
    turn = 2.0 * np.pi
    first, last = (np.where(a < 0.0, a + turn, a) for a in (angles[..., 0], angles[..., 2]))
    # A tiny negative angle may round up to a whole turn.
    first, last = (np.where(a >= turn, 0.0, a) for a in (first, last))
    found = np.stack([first, angles[..., 1], last], axis=-1)
    return np.degrees(found) if degrees else found


def _passive(sense: str) -> bool:
    if sense not in ("active", "passive"):
        raise ValueError(
            f'sense={sense!r:.40}: must be "active" (crystal to sample) or "passive" (sample to '
            "crystal, Bunge's g)."
        )
    return sense == "passive"
