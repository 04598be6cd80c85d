"""Sampling by the time reversal of a noising process, with fixed steps."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from scorefold._blocks import by_keys
from scorefold._types import DTypeLike, Key, Point, Scalar
from scorefold.noising import Noising, Reference
from scorefold.samplers._base import ScoreFunction, Step
from scorefold.samplers._check import levels, require_finite
from scorefold.samplers.grids import refined_grid
from scorefold.samplers.steps import Corrected, LangevinCorrector, ReverseStep
from scorefold.samplers.walk import walk


def denoise(noising: Noising, score: ScoreFunction, x: Point, s: Scalar) -> Point:
    """exp_x(s·(∇ log p_s(x) − b(x))): the last step of the reversal, from s to 0, without noise.

    For Brownian noise on flat space this is E[x₀ | x_s = x] (Tweedie's formula; Robbins 1956);
    elsewhere it is that mean to first order in s.
    """
    return noising.manifold.exp(x, s * (score(x, s) - noising.drift(x)))


def sample_reverse(
    noising: Noising,
    score: ScoreFunction,
    key: Key,
    n: int,
    *,
    s_min: float,
    s_max: float | None = None,
    steps: int = 200,
    corrector_steps: int = 0,
    corrector_size: float = 0.1,
    denoised: bool = False,
    reference: Reference | None = None,
    dtype: DTypeLike | None = None,
) -> Array:
    """n draws of p_{s_min}: start from the reference law and walk back along the reversed SDE.

    **Arguments:**

    - ``score``: (x, s) ↦ ∇ log p_s(x), one point.
    - ``s_min``, ``s_max``: variance-times at which the walk ends and starts (default for
      ``s_max``: the end of the noising's schedule). ``steps`` levels, finer towards data.
    - ``corrector_steps``, ``corrector_size``: Langevin corrections after every step.
    - ``denoised``: replace each end point by its ``denoise``; the draws are then not from
      p_{s_min} but closer to the data, with the noise of scale √s_min taken off.
    - ``reference``: the law at ``s_max`` (default: ``noising.reference``).
    - ``dtype``: of the draws (default: JAX's default float).

    **Returns:** shape ``(n, *manifold.shape)``.
    **Raises:** ``ValueError`` for a bad level; ``FloatingPointError`` naming the draws that are
    not finite (the score has diverged).

    Source: De Bortoli et al. 2022, Algorithm 2.
    """
    dtype = jnp.dtype(dtype or jnp.result_type(float))
    s_min, s_max = levels(noising, s_min, s_max)
    grid = refined_grid(s_max, s_min, steps, dtype)
    step: Step = ReverseStep(noising, score)
    if corrector_steps:
        corrector = LangevinCorrector(noising.manifold, score, corrector_size)
        step = Corrected(step, corrector, corrector_steps)
    reference = noising.reference if reference is None else reference
    last = score if denoised else None
    x = by_keys(lambda k: _walk_back(step, reference, k, grid, last, noising), key, n)
    require_finite("samples", x, "not finite", "The score diverged on the way back.")
    return x


@eqx.filter_jit
def _walk_back(
    step: Step, reference: Reference, keys: Array, grid: Array, score: ScoreFunction | None,
    noising: Noising,
) -> Array:  # fmt: skip
    def one(k: Key) -> Point:
        start, path = jax.random.split(k)
        x = walk(step, path, reference.sample(start, grid.dtype), grid)
        return x if score is None else denoise(noising, score, x, grid[-1])

    return jax.vmap(one)(keys)
