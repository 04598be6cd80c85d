"""Does a density integrate to one? In closed form, or by an estimate that knows its limits."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from scorefold._types import Key, Values
from scorefold.kernels import WrappedMixture
from scorefold.kernels.local.neighbourhood import logs_in_frames
from scorefold.kernels.wrapped.background import broad_laws
from scorefold.manifolds import Manifold, nearest
from scorefold.models import Model
from scorefold.samplers import Mass
from scorefold.samplers.importance import weighted_mass

_CENTRES = 1000
_CHECKED = 256
_NEIGHBOURS = (2, 12, 60)
"""Numbers of neighbours whose second moment is the covariance of a kernel of the proposal."""
_SHARE = 0.1
"""Of the proposal that is uniform, or broad where the volume is infinite."""
_REACH = 5.2
"""Standard deviations between the widest kernel and the cut locus."""
_UPPER = 0.1


def total_mass(
    model: Model, data: Values, key: Key, n: int = 2048, *, draws: Values | None = None
) -> Mass:
    """∫ exp(log p) dvol: whether ``model.log_prob`` is the log of a density.

    Mixtures of kernels have it in closed form (``model.exact_mass``): 1 on R^d and H^d, and 1 less
    what lies beyond the cut locus elsewhere (``mixture_mass``). For an ``InformedModel`` it is the
    mean of q/p over n draws of its kernels p (``model.proposal``). For other
    models it is E_q[p/q] over draws of a mixture q of normal kernels around ``data`` and around
    draws of the model, each with the second moments of 2, 12 and 60 neighbours, and a tenth of a
    uniform (or broad) law.

    An estimate is given only where it can be one: the effective number of draws and the tail of
    the weights are looked at (``weighted_mass``), and draws of the model must lie where the
    weights say: at weights above which q sees a tenth of the mass no more than 15 % of them (and
    three standard errors). Otherwise ``value`` is None and ``reason`` says what is missing.

    **Arguments:** ``data``: points the model was fitted to; ``n``: evaluations of log p; ``draws``:
    points drawn from the model (default: 1000 are drawn).
    """
    found = model.exact_mass
    if found is not None:
        return Mass(*found, "closed form")
    take, some = jax.random.split(key)
    if model.proposal is not None:
        x = model.proposal.sample(take, n)
        ratio = np.asarray(model.log_prob(x) - model.proposal.log_prob(x), np.float64)
        return weighted_mass(ratio, "mean ratio to the kernels")
    points = np.asarray(data)
    drawn = np.asarray(model.sample(some, _CENTRES) if draws is None else draws, points.dtype)
    drawn = drawn[np.isfinite(drawn).reshape(len(drawn), -1).all(axis=1)]
    checked = min(_CHECKED, len(drawn) // 2)
    around, apart = drawn[checked:], drawn[:checked]
    if not len(apart):
        return Mass(None, None, "importance sampling", "no draw of the model is finite")
    shift, scale = _units(model.manifold, points)
    proposal = _proposal(model.manifold, (points - shift) / scale, (around - shift) / scale)
    z = _draw(proposal, jax.random.split(take, n - checked))
    z = jnp.concatenate([z, jnp.asarray((apart - shift) / scale, z.dtype)])
    x = shift + scale * np.asarray(z, points.dtype)
    q = np.asarray(_log_prob(proposal, z), np.float64) - np.sum(np.log(scale))
    logs = np.asarray(model.log_prob(x), np.float64) - q
    mass = weighted_mass(logs[:-checked])
    return mass if mass.value is None else _covered(mass, logs[:-checked], logs[-checked:])


def _covered(mass: Mass, logs: np.ndarray, apart: np.ndarray) -> Mass:
    """The mass, unless the model's own draws lie where the proposal hardly draws."""
    order = np.sort(logs)[::-1]
    share = np.cumsum(np.exp(order - order[0]))
    high = order[np.searchsorted(share, _UPPER * share[-1])]
    above = float(np.mean(~(apart <= high)))
    if above <= 1.5 * _UPPER + 3.0 * math.sqrt(_UPPER * (1.0 - _UPPER) / len(apart)):
        return mass
    reason = (
        f"{100 * above:.0f} % of the model's own draws lie where the points drawn see a tenth of "
        "the mass"
    )
    return Mass(None, None, mass.how, reason)


@eqx.filter_jit
def _draw(proposal: WrappedMixture, keys: Array) -> Array:
    return jax.vmap(proposal.sample)(keys)


@eqx.filter_jit
def _log_prob(proposal: WrappedMixture, x: Array) -> Array:
    return jax.lax.map(proposal.log_prob, x, batch_size=64)


def _units(manifold: Manifold, data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and mean distance from it of every flat coordinate, 0 and 1 of all others, in the
    dtype of ``data``, shape ``manifold.shape``."""
    flat = manifold.flat_coordinates
    shift, scale = np.zeros(manifold.shape, data.dtype), np.ones(manifold.shape, data.dtype)
    own = np.ascontiguousarray(data[:, flat])
    if own.size:
        shift[flat] = np.median(own, axis=0)
        spread = np.mean(np.abs(own - shift[flat]), axis=0)
        scale[flat] = np.where(spread > 0, spread, 1)
    return shift, scale


def _proposal(manifold: Manifold, data: np.ndarray, draws: np.ndarray) -> WrappedMixture:
    """Normal kernels at (at most 1000) points of the data and draws, half of each."""
    half = _CENTRES // 2
    centres = np.concatenate([rows[_even(len(rows), half)] for rows in (data, draws)])
    pool = np.concatenate([data, draws])
    counts = [min(k, len(pool) - 1) for k in _NEIGHBOURS]
    near, _ = nearest(manifold, pool, centres, counts[-1] + 1)
    vectors = np.asarray(
        logs_in_frames(manifold, jnp.asarray(centres), jnp.asarray(pool[near])), np.float64
    )
    covariances = np.stack(
        [np.einsum("nki,nkj->nij", v, v) / v.shape[1]
         for v in (vectors[:, 1 : k + 1] for k in counts)], axis=1,
    )  # fmt: skip
    d, dtype = manifold.dim, jnp.asarray(centres).dtype
    trace = np.trace(covariances, axis1=-2, axis2=-1)
    least = 1e-8 * max(float(np.median(trace[:, -1])), float(np.finfo(np.float32).tiny) ** 0.25)
    ridge = np.maximum(0.02 * trace / d, least)
    covariances += ridge[..., None, None] * np.eye(d)
    covariances = _within(manifold, covariances.reshape(-1, d, d))
    kernels = np.repeat(centres, len(counts), axis=0)
    return WrappedMixture.from_covariances(
        manifold,
        jnp.asarray(kernels),
        jnp.asarray(covariances, dtype),
        jnp.full(len(kernels), -math.log(len(kernels)), dtype),
        broad_laws(manifold, jnp.asarray(pool))[-1],
        jnp.asarray(math.log(_SHARE), dtype),
    )


def _even(n: int, at_most: int) -> np.ndarray:
    return np.unique(np.linspace(0, n - 1, at_most).round().astype(int)) if n else np.zeros(0, int)


def _within(manifold: Manifold, covariances: np.ndarray) -> np.ndarray:
    """Narrow against the cut locus on compact factors, whole elsewhere."""
    shrink, first = np.ones(covariances.shape[:2]), 0
    for factor in manifold.factors:
        own = slice(first, first + factor.dim)
        if factor.compact:
            cap = (factor.injectivity_radius / _REACH) ** 2
            top = np.linalg.eigvalsh(covariances[:, own, own])[:, -1:]
            shrink[:, own] = np.sqrt(np.minimum(1.0, cap / np.maximum(top, 1e-300)))
        first += factor.dim
    return covariances * shrink[:, :, None] * shrink[:, None, :]
