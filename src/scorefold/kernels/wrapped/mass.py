"""The total mass of a mixture of kernels, in closed form where there is one."""

import numpy as np

from scorefold.kernels.wrapped.background import MixedReference, TangentNormal
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

    Of kernels of low rank, and of the normal law behind them, the mass that is missing is bounded:
    P(v beyond) ≤ Σ_j P(|v_j| > π) on tori, and e^{−(π − √tr Σ)²/2λ} on spheres and SO(3), λ the
    largest eigenvalue. The middle of what is possible is returned.
    """
    cuts = _cuts(mixture.manifold)
    if isinstance(mixture.family, EsagFamily | HeatFamily) or cuts == []:
        return 1.0, 0.0
    if cuts is None:
        return None
    if mixture.diagonal is not None:
        most = _most_missing(mixture, cuts)
        return 1.0 - 0.5 * most, 0.5 * most + _NEGLIGIBLE
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


def _most_missing(mixture: WrappedMixture, cuts: list[tuple[slice, bool, float]]) -> float:
    """A bound on the mass beyond the cut locus of kernels of low rank and of what is behind."""
    assert mixture.diagonal is not None
    host = lambda a: np.asarray(a, np.float64)  # noqa: E731
    axes, along, rest = host(mixture.axes), host(mixture.variances), host(mixture.diagonal)
    marginal = np.einsum("nr,nrd->nd", along, axes * axes) + rest
    top = rest.max(1) + np.einsum("nr,nrd->n", along, axes * axes)
    weights, share = np.exp(host(mixture.log_weights)), float(np.exp(host(mixture.log_share)))
    found = (1.0 - share) * float(weights @ _beyond(cuts, marginal, top))
    law, parts = mixture.background, [(1.0, mixture.background)]
    if isinstance(law, MixedReference):
        parts = list(zip(np.exp(host(law.log_weights)), law.parts, strict=True))
    for weight, part in parts:
        if isinstance(part, TangentNormal):
            variances, rows = host(part.variances), host(part.axes)
            own = _beyond(cuts, (variances @ rows**2)[None], variances.max(keepdims=True))
            found += share * float(weight) * float(own[0])
    return min(found, 1.0)


def _beyond(
    cuts: list[tuple[slice, bool, float]], marginal: np.ndarray, top: np.ndarray
) -> np.ndarray:
    """Bounds on what n normal laws have beyond, from diagonals, ``(n, d)``, and the largest
    eigenvalues, ``(n,)``."""
    from scipy.stats import norm

    found = np.zeros(len(marginal))
    for part, each, cut in cuts:
        own = marginal[:, part]
        if each:
            found += 2.0 * norm.sf(cut / np.sqrt(own)).sum(1)
        else:
            room = np.maximum(cut - np.sqrt(own.sum(1)), 0.0)
            found += np.exp(-0.5 * room * room / top)
    return np.minimum(found, 1.0)


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
