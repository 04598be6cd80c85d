"""What is measured: losses, steps of training and of sampling, evaluations of a likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from scorefold._types import Key, Scalar
from scorefold.data.laws.heat_mixture import HeatMixture
from scorefold.fields import NetworkSpec, hutchinson
from scorefold.fitting import Description, Trainer, adam
from scorefold.fitting.adam import Moments
from scorefold.heat import TruncatedSeries, Varadhan
from scorefold.losses import ConsecutiveDenoising, Denoising, Implicit, Loss, Sliced
from scorefold.manifolds import Manifold
from scorefold.models import (
    ContinuousFlow,
    FittedScoreModel,
    FlowMatching,
    MoserFlow,
    ScoreModel,
)
from scorefold.models.flows._base import FlowModel
from scorefold.models.flows.moser import FittedMoserFlow, MoserPath
from scorefold.noising import Brownian
from scorefold.samplers import PathFlow, ProbabilityFlow
from scorefold.samplers.clocks import PowerClock, near_data_clock
from scorefold.samplers.flow import Flow, probability_flow
from scorefold.samplers.multistep import cross
from scorefold.samplers.multistep_plan import evaluations, make_plan

PHASES = ("loss", "training step", "sampling step", "likelihood evaluation")
STEPS = 10
"""Of sampling, and of the solver of a likelihood; what is measured is divided by their number."""
SOLVER_STEPS = 8
"""Runge–Kutta steps N that a continuous flow is trained through."""
_RATE = 1e-3
_SPREAD = 0.04


class Program(NamedTuple):
    """``function(*arguments)`` does the thing measured for ``points`` points, ``repeats`` times one
    after the other. ``loops``: whether they stand in a while loop, whose body is counted once."""

    function: Callable
    arguments: tuple
    points: int
    repeats: int = 1
    loops: bool = False


class Case(NamedTuple):
    """``make``: what is fitted; ``published``: the order in d of its passes by phase, as De Bortoli
    et al. print it (Tables 2 and 4), or None where they print nothing; ``probed``: the
    likelihood is estimated along one random direction a point."""

    make: Callable[[Manifold, NetworkSpec], Description]
    published: dict[str, int | None]
    probed: bool = False


def _score(make: Callable[[Manifold], Loss]) -> Callable[[Manifold, NetworkSpec], Description]:
    return lambda m, network: ScoreModel(Brownian(m), loss=make(m), network=network)


def _training(order: int) -> dict[str, int | None]:
    return {"loss": order, "training step": order}


_DRAWN: dict[str, int | None] = {"sampling step": 0, "likelihood evaluation": 1}

CASES: dict[str, Case] = {
    "denoising, exact": Case(_score(lambda m: Denoising()), {"loss": None, "training step": None}),
    "denoising, truncated": Case(_score(lambda m: Denoising(TruncatedSeries(m, 10))), _training(0)),
    "denoising, Varadhan": Case(_score(lambda m: Denoising(Varadhan(m))), _training(0)),
    "denoising, consecutive": Case(_score(lambda m: ConsecutiveDenoising()), _training(0)),
    "implicit, exact": Case(_score(lambda m: Implicit()), _training(1)),
    "implicit, Hutchinson": Case(_score(lambda m: Implicit("hutchinson")), _training(0)),
    "sliced": Case(_score(lambda m: Sliced()), {"loss": None, "training step": None}),
    "score model": Case(_score(lambda m: Denoising()), _DRAWN),
    "score model, Hutchinson": Case(
        _score(lambda m: Denoising()), {"likelihood evaluation": None}, probed=True
    ),
    "flow matching": Case(
        lambda m, network: FlowMatching(m, network=network), dict.fromkeys(PHASES)
    ),
    "Moser flow": Case(
        lambda m, network: MoserFlow(m, network=network), {**_training(1), **_DRAWN}
    ),
    "continuous flow": Case(
        lambda m, network: ContinuousFlow(m, network=network, train_steps=SOLVER_STEPS),
        {**_training(1), **_DRAWN},
    ),
}


def points(manifold: Manifold, n: int) -> Array:
    """n draws of a heat kernel of variance-time 0.04 around the origin."""
    law = HeatMixture(manifold, np.asarray(manifold.origin()), _SPREAD)
    return law.sample(jax.random.key(0), n)


def trainer_of(case: Case, manifold: Manifold, network: NetworkSpec, x: Array) -> Trainer:
    return case.make(manifold, network).trainer(jax.random.key(1), np.asarray(x))


def program(phase: str, case: Case, trainer: Trainer, x: Array) -> Program:
    """``phase`` of what ``trainer`` trains, for the points x."""
    arrays, rest = eqx.partition(trainer, eqx.is_array)
    data, key = trainer.examples(np.asarray(x)), jax.random.key(2)
    if phase == "loss":
        return Program(
            lambda a, batch, k: jnp.mean(eqx.combine(a, rest).batch_loss(batch, k)),
            (arrays, data, key), len(x),
        )  # fmt: skip
    if phase == "training step":
        return _training_step(trainer, data, key, len(x))
    fitted = trainer.model(data, None)
    assert isinstance(fitted, FittedScoreModel | FlowModel)
    arrays, rest = eqx.partition(fitted, eqx.is_array)
    n = len(x)
    if phase == "sampling step":
        draw = lambda a, k: eqx.combine(a, rest).sample(k, n, steps=STEPS)  # noqa: E731
        return Program(draw, (arrays, key), n, STEPS)
    if case.probed:
        return Program(
            lambda a, rows, k: _probed(_flow(eqx.combine(a, rest)), rows, k),
            (arrays, x, key), n,
        )  # fmt: skip
    if isinstance(fitted, FittedMoserFlow):
        return Program(
            lambda a, rows: _stage(MoserPath(eqx.combine(a, rest).field), rows), (arrays, x), n
        )
    clock = _flow(fitted).clock
    assert isinstance(clock, PowerClock)
    plan = make_plan(*_ends(fitted), STEPS, clock, 0.0)
    visits = evaluations(STEPS)
    return Program(
        lambda a, rows: cross(_flow(eqx.combine(a, rest)), rows, plan, visits),
        (arrays, x), n, visits, loops=True,
    )  # fmt: skip


def _training_step(trainer: Trainer, data: PyTree, key: Key, n: int) -> Program:
    """The gradient of the mean loss, and a step of Adam."""
    trained, rest = eqx.partition(trainer, eqx.is_inexact_array)

    def step(params: PyTree, moments: Moments, batch: PyTree, k: Key) -> tuple:
        def objective(a: PyTree) -> Scalar:
            return jnp.mean(eqx.combine(a, rest).batch_loss(batch, k))

        loss, grads = jax.value_and_grad(objective)(params)
        rate = jnp.asarray(_RATE, loss.dtype)
        return loss, adam.descend(params, grads, moments, jnp.int32(0), rate)

    return Program(step, (trained, Moments.zero(trained), data, key), n)


def _flow(model: FittedScoreModel | FlowModel) -> ProbabilityFlow | PathFlow:
    """That of the likelihood."""
    if isinstance(model, FittedScoreModel):
        clock = near_data_clock(model.manifold, model.s_max)
        return probability_flow(model.noising, model.field, clock)
    return PathFlow(model.field)


def _ends(model: FittedScoreModel | FlowModel) -> tuple[float, float]:
    if isinstance(model, FittedScoreModel):
        return model.s_min, model.s_max
    return model.t_min**2, 1.0


def _stage(flow: Flow, rows: Array) -> tuple[Array, Array]:
    """Velocity and what is integrated with it, as a stage of the adaptive solver."""
    s = jnp.asarray(0.5, rows.dtype)
    return jax.vmap(lambda p: flow.velocity_and_divergence(p, s))(rows)


def _probed(flow: Flow, rows: Array, key: Key) -> tuple[Array, Array]:
    """Velocity and Hutchinson's estimate of its divergence, as a stage of the adaptive solver."""
    s = jnp.asarray(0.5, rows.dtype)
    one = lambda p, k: hutchinson(lambda y: flow.velocity(y, s), flow.manifold, p, k)  # noqa: E731
    return jax.vmap(one)(rows, jax.random.split(key, len(rows)))
