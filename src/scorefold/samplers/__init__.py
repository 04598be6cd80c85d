"""Samplers: one step, one loop; reverse diffusions, the probability flow and its likelihood."""

from scorefold.samplers._base import ScoreFunction, Step
from scorefold.samplers.density_mass import density_mass
from scorefold.samplers.flow import Flow, PathFlow, ProbabilityFlow
from scorefold.samplers.flow_density import FlowDensity
from scorefold.samplers.grids import refined_grid, uniform_grid
from scorefold.samplers.importance import Mass
from scorefold.samplers.probability_flow import (
    log_prob_ode,
    sample_ode,
    solve_log_prob,
)
from scorefold.samplers.reverse import denoise, sample_reverse
from scorefold.samplers.steps import (
    Corrected,
    EulerStep,
    FlowStep,
    ForwardStep,
    GeodesicStep,
    HeunFlowStep,
    LangevinCorrector,
    ReverseStep,
)
from scorefold.samplers.walk import walk

__all__ = [
    "Corrected",
    "EulerStep",
    "Flow",
    "FlowDensity",
    "FlowStep",
    "ForwardStep",
    "GeodesicStep",
    "HeunFlowStep",
    "LangevinCorrector",
    "Mass",
    "PathFlow",
    "ProbabilityFlow",
    "ReverseStep",
    "ScoreFunction",
    "Step",
    "denoise",
    "density_mass",
    "log_prob_ode",
    "refined_grid",
    "sample_ode",
    "sample_reverse",
    "solve_log_prob",
    "uniform_grid",
    "walk",
]
