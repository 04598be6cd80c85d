"""Likelihood and sampling by the probability flow, an ODE on the manifold."""

from typing import Any, Literal

from jaxtyping import Array

from scorefold._types import DTypeLike, Key, Values
from scorefold.noising import Noising, Reference
from scorefold.samplers._base import ScoreFunction
from scorefold.samplers._check import levels
from scorefold.samplers.clocks import near_data_clock, velocity_decay
from scorefold.samplers.flow import ProbabilityFlow, probability_flow
from scorefold.samplers.flow_density import FlowDensity, flow_density, flow_draws


def log_prob_ode(noising: Noising, score: ScoreFunction, x: Values, **options: Any) -> Array:
    """log p_{s_min}(x) in nats by the probability flow; ``solve_log_prob`` without the cost."""
    return solve_log_prob(noising, score, x, **options).log_prob


def solve_log_prob(
    noising: Noising,
    score: ScoreFunction,
    x: Values,
    *,
    s_min: float,
    s_max: float | None = None,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    divergence: Literal["exact", "hutchinson"] = "exact",
    key: Key | None = None,
    reference: Reference | None = None,
    chunk: int = 1024,
    max_steps: int = 512,
    solver: Literal["multistep", "adaptive"] = "multistep",
) -> FlowDensity:
    """The log density of the diffusion model at noise level s_min, and its cost:

        log p_{s_min}(x) = log p_ref(x(s_max)) + ∫_{s_min}^{s_max} div v(x(s), s) ds,
        dx/ds = v(x, s) = b(x) − ½ score(x, s),   x(s_min) = x.

    Densities and divergence are Riemannian. Where the noising carries the law of its baseline along
    (``CarryingNoising``), only what the score has beyond it is integrated
    (``RelativeFlow``): the same density, in fewer evaluations the nearer the baseline is.

    **Arguments:**

    - ``score``: (x, s) ↦ ∇ log p_s(x) at one point.
    - ``x``: points, shape ``(*batch, *manifold.shape)``; its float dtype is kept.
    - ``s_min``, ``s_max``: variance-times (default for ``s_max``: the end of the schedule).
    - ``rtol``, ``atol``: tolerances. Of the adaptive solver: per step, on the RMS error of a chunk
      (its ``log_prob`` is then off by 25 to 130 tolerances, RMS, on trained networks). The
      multistep solver takes the smaller one and accepts an estimated RMS error of 100 of it.
    - ``divergence``: ``"exact"`` (d directional derivatives), or ``"hutchinson"`` (one, along a
      random tangent direction carried along in parallel; unbiased; needs ``key``).
    - ``reference``: the law at ``s_max`` (default: ``noising.reference``).
    - ``chunk``: points solved together. They share their steps.
    - ``max_steps``: steps, accepted and rejected, after which the solver gives up.
    - ``solver``: ``"multistep"``: ``multistep.cross``, one evaluation a step on a fixed grid; a
      chunk whose estimated error is too large is solved again, on a finer grid or adaptively.
      ``"adaptive"``: Dopri5 with a controller, which also serves Hutchinson's estimate, tolerances
      below 3e-6 or above 1e-3, and calls under a JAX transformation.

    **Returns:** ``FlowDensity(log_prob, nfe, error)``, each of the batch shape.
    **Raises:** ``ValueError`` for bad arguments; ``RuntimeError`` when ``max_steps`` is spent;
    ``FloatingPointError`` naming the rows whose flow or density is not finite.

    Source: Song et al. 2021, Section 4.3; De Bortoli et al. 2022, Section 3.4; Hutchinson 1990.
    """
    s_min, s_max = levels(noising, s_min, s_max)
    return flow_density(
        probability_flow(noising, score, near_data_clock(noising.manifold, s_max)),
        noising.reference if reference is None else reference,
        x,
        s_min,
        s_max,
        rtol=rtol,
        atol=atol,
        divergence=divergence,
        key=key,
        chunk=chunk,
        max_steps=max_steps,
        solver=solver,
        decay=velocity_decay(noising.manifold, s_max),
    )


def sample_ode(
    noising: Noising,
    score: ScoreFunction,
    key: Key,
    n: int,
    *,
    s_min: float,
    s_max: float | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-4,
    reference: Reference | None = None,
    dtype: DTypeLike | None = None,
    chunk: int = 1024,
    max_steps: int = 512,
) -> Array:
    """n draws of p_{s_min}: draws of the reference, carried back by the probability flow.

    Deterministic given the draws, so that equal keys give equal points for any tolerance up to
    the tolerance. Arguments, errors and source as in ``solve_log_prob``.

    **Returns:** shape ``(n, *manifold.shape)``.
    """
    s_min, s_max = levels(noising, s_min, s_max)
    reference = noising.reference if reference is None else reference
    flow = ProbabilityFlow(noising, score, near_data_clock(noising.manifold, s_max))
    return flow_draws(
        flow, reference, key, n, s_max, s_min, dtype=dtype, rtol=rtol, atol=atol, chunk=chunk,
        max_steps=max_steps,
    )  # fmt: skip
