"""HEALPix: densities at the centres of pixels of equal area, out and in.

Source: Górski et al. (2005), Astrophysical Journal 622, 759; pixels by astropy-healpix.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import numpy as np

from scorefold._types import Key, Values
from scorefold.data import Law
from scorefold.interop._maps import check_model, density, require_densities, say_mass
from scorefold.interop._needed import needed
from scorefold.manifolds import Manifold, Sphere
from scorefold.manifolds.points import exact_points
from scorefold.models import Model
from scorefold.models._base import count

_BLOCK = 2**18
_LARGEST = 2**13
"""Of ``nside``: 800 million pixels."""


def to_healpix(model: Model | Law, nside: int, *, nest: bool) -> np.ndarray:
    """p at the centres of the 12·nside² pixels, per steradian, float64. The polar axis is z,
    longitude 0 the direction of x. Σ p · π/(3 nside²) is the mass, 1 up to the width of a pixel.

        healpy.mollview(to_healpix(model, 64, nest=False))

    **Arguments:** ``nside``: a power of two up to 8192; ``nest``: the numbering, nested or by
    rings; no default.
    **Raises:** ``ValueError`` for another space or ``nside``.
    **Warns:** where the mass is off by more than 1 %: pixels too wide for the peaks of the density.
    """
    check_model(model, "HEALPix")
    _require_nside(nside)
    core = needed("astropy_healpix", "geo")
    pixels = 12 * nside**2
    found = np.empty(pixels)
    for first in range(0, pixels, _BLOCK):
        own = np.arange(first, min(first + _BLOCK, pixels))
        centres = np.stack(core.healpix_to_xyz(own, nside, order=_order(nest)), axis=-1)
        found[own] = density(model, np.asarray(centres, np.float64))
    mass = float(found.sum()) * 4.0 * np.pi / pixels
    say_mass("to_healpix", mass, f"a larger nside (now {nside}) resolves narrower peaks.")
    return found


@dataclass(frozen=True, eq=False)
class HealpixMap:
    """The law whose density is constant on each pixel: ``density``, per steradian, of mass 1;
    ``mass``: what it was before that. In NumPy: not for ``jax.jit``. Made by ``from_healpix``."""

    density: np.ndarray
    nest: bool
    mass: float

    @property
    def manifold(self) -> Manifold:
        return Sphere(2)

    @property
    def nside(self) -> int:
        return _nside(len(self.density))

    def log_prob(self, x: Values) -> np.ndarray:
        """log p in nats with respect to steradians, shape = the batch shape of ``x``."""
        core = needed("astropy_healpix", "geo")
        points = np.asarray(exact_points(self.manifold, x, "x"), np.float64)
        pixel = core.xyz_to_healpix(
            *np.moveaxis(points, -1, 0), self.nside, order=_order(self.nest)
        )
        with np.errstate(divide="ignore"):
            return np.log(self.density[np.asarray(pixel)])

    def sample(self, key: Key, n: int) -> np.ndarray:
        """n draws, shape ``(n, 3)``, float64: a pixel, then a place uniform in area."""
        core = needed("astropy_healpix", "geo")
        u = np.asarray(jax.random.uniform(key, (4, count(n))), np.float64)
        total = np.cumsum(self.density)
        # Two numbers of 24 bits make one of 48: there may be more pixels than 2²⁴.
        at = (u[0] + u[3] * 2.0**-24) / (1.0 + 2.0**-24) * total[-1]
        pixel = np.minimum(np.searchsorted(total, at, side="right"), len(total) - 1)
        found = core.healpix_to_xyz(pixel, self.nside, u[1], u[2], order=_order(self.nest))
        x = np.stack([np.asarray(a, np.float64) for a in found], axis=-1)
        return x / np.linalg.norm(x, axis=-1, keepdims=True)


def from_healpix(values: Values, *, nest: bool, per: str = "steradian") -> HealpixMap:
    """The law of a map: draws, and a density to compare with. Divided by its mass.

        from_healpix(sky, nest=True, per="pixel").sample(jax.random.key(0), 1000)

    **Arguments:** ``values``: 12·nside² numbers, densities ``per="steradian"`` or probabilities
    ``per="pixel"``; ``nest``: their numbering; no default.
    **Raises:** ``ValueError`` for another number of values, negative ones (what is unseen) and ones
    that are not finite, and for probabilities of pixels where densities are said to be.
    **Warns:** where the mass is off by more than 1 %.
    """
    if per not in ("steradian", "pixel"):
        raise ValueError(f'per={per!r:.40}: must be "steradian" or "pixel".')
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        hidden = int(np.ma.getmaskarray(values).sum())
        raise ValueError(
            f"values: {hidden} pixels are masked: values.filled(0.0) if no mass is there."
        )
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or _nside(found.size) == 0:
        raise ValueError(
            f"values: has shape {found.shape}; a map has 12·nside² pixels, nside a power of two "
            f"up to {_LARGEST}."
        )
    require_densities("values", found)
    area = 4.0 * np.pi / found.size if per == "steradian" else 1.0
    mass = float(found.sum()) * area
    if per == "steradian" and abs(mass - 1.0) > 0.01 and abs(found.sum() - 1.0) < 1e-3:
        raise ValueError("values: sum to 1 as they are: these are probabilities, per='pixel'.")
    say_mass("from_healpix", mass, "the law is the map divided by that; is its unit right?")
    return HealpixMap(found / found.sum() * (found.size / (4.0 * np.pi)), nest, mass)


def _order(nest: bool) -> str:
    if not isinstance(nest, bool | np.bool_):
        raise TypeError(f"nest: True (nested) or False (ring), got {nest!r:.40}.")
    return "nested" if nest else "ring"


def _nside(pixels: int) -> int:
    """nside of a number of pixels, 0 if it is none."""
    nside = round((pixels / 12.0) ** 0.5)
    fits = 12 * nside**2 == pixels and 1 <= nside <= _LARGEST and nside & (nside - 1) == 0
    return nside if fits else 0


def _require_nside(nside: int) -> None:
    if not 1 <= nside <= _LARGEST or nside & (nside - 1):
        raise ValueError(f"nside: a power of two from 1 to {_LARGEST}, got {nside}.")
