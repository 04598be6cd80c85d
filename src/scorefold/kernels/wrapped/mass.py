"""The total mass of a mixture of kernels, in closed form where there is one."""

import numpy as np

from scorefold.kernels.wrapped.families import EsagFamily, HeatFamily
from scorefold.kernels.wrapped.mixture import WrappedMixture
from scorefold.manifolds import Manifold

_NEGLIGIBLE = 1e-9
_DIRECTIONS = 2048
_BLOCK = 1 << 9


def mixture_mass(mixture: WrappedMixture) -> tuple[float, float] | None:
    """(∫ p dvol, a bound on its error), or None on manifolds unknown here.

    Heat kernels and ESAG laws have mass 1, and so have wrapped normal kernels on R^d and H^d. On
    spheres, SO(3) and tori a wrapped kernel is cut off at the cut locus and lacks what a normal
    draw v = Σ^½ ξ has beyond it. With ξ = R u, u uniform on the unit sphere, that is

        P(v beyond) = E_u P(R > r(u)),   R² ~ χ²_d,   r(u) = π / |Σ^½ u|

    on spheres and SO(3), π over the largest angle of Σ^½ u on tori, the smallest of these over the
    factors of a product. In dimension 2 the mean is over evenly spaced u (exact to rounding),
    above over 2048 random ones, and the error is four standard errors. Kernels of which less than
    10⁻⁹ can be missing, P(R > π/σ) with σ the largest standard deviation, count as whole. Where the
    cut locus lies nearer, its distance stands for π.
    """
    cuts = _cuts(mixture.manifold)
    if isinstance(mixture.family, EsagFamily | HeatFamily) or cuts == []:
        return 1.0, 0.0
    if cuts is None:
        return None
    from scipy.stats import chi2

    d = mixture.manifold.dim
    weights = np.exp(np.asarray(mixture.log_weights, np.float64))
    variances = np.asarray(mixture.variances, np.float64)
    near = min(cut for _, _, cut in cuts)
    most = chi2.sf(near**2 / np.maximum(variances.max(axis=1), 1e-300), d)
    wide = np.flatnonzero(most * weights > _NEGLIGIBLE * weights.sum())
    u = _directions(d)
    missing = np.zeros(len(u))
    for start in range(0, len(wide), _BLOCK):
        rows = wide[start : start + _BLOCK]
        root = np.sqrt(variances[rows])[:, :, None] * np.asarray(mixture.axes, np.float64)[rows]
        missing += weights[rows] @ chi2.sf(_exits(cuts, u @ root) ** 2, d)
    spread = 0.0 if d <= 2 else 4.0 * float(missing.std(ddof=1)) / np.sqrt(len(u))
    kernels = 1.0 - float(np.exp(np.float64(mixture.log_share)))
    return 1.0 - kernels * float(missing.mean()), kernels * (spread + _NEGLIGIBLE)


def _cuts(manifold: Manifold) -> list[tuple[slice, bool, float]] | None:
    """For each factor with a cut locus: the components of v that belong to it, whether each of them
    counts by itself (tori), and its distance. None where that is not known."""
    found: list[tuple[slice, bool, float]] = []
    first = 0
    for factor in manifold.factors:
        own = slice(first, first + factor.dim)
        if factor.sine_volumes is None:
            return None
        if factor.toral:
            found.append((own, True, factor.injectivity_radius))
        found += [(own, False, volume.cut) for volume in factor.sine_volumes]
        first += factor.dim
    return found


def _exits(cuts: list[tuple[slice, bool, float]], v: np.ndarray) -> np.ndarray:
    """r at which r·v leaves the region before the cut locus, for v of shape ``(…, d)``."""
    longest = [
        (np.abs(v[..., part]).max(axis=-1) if each else np.linalg.norm(v[..., part], axis=-1))
        * (np.pi / cut)
        for part, each, cut in cuts
    ]
    return np.pi / np.maximum(np.max(longest, axis=0), 1e-300)


def _directions(d: int) -> np.ndarray:
    if d == 1:
        return np.ones((1, 1))
    if d == 2:
        angle = 2.0 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    u = np.random.default_rng(0).normal(size=(_DIRECTIONS, d))
    return u / np.linalg.norm(u, axis=1, keepdims=True)
