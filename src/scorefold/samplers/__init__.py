"""Samplers: one step, one loop; reverse diffusions, the probability flow and its likelihood."""

from scorefold.samplers._base import ScoreFunction, Step
from scorefold.samplers.density_mass import density_mass
from scorefold.samplers.grids import refined_grid, uniform_grid
from scorefold.samplers.importance import Mass
from scorefold.samplers.probability_flow import (
    FlowDensity,
    log_prob_ode,
    sample_ode,
    solve_log_prob,
)
from scorefold.samplers.reverse import denoise, sample_reverse
from scorefold.samplers.steps import (
    Corrected,
    FlowStep,
    ForwardStep,
    GeodesicStep,
    HeunFlowStep,
    LangevinCorrector,
    ReverseStep,
    flow_velocity,
)
from scorefold.samplers.walk import walk

__all__ = [
    "Corrected",
    "FlowDensity",
    "FlowStep",
    "ForwardStep",
    "GeodesicStep",
    "HeunFlowStep",
    "LangevinCorrector",
    "Mass",
    "ReverseStep",
    "ScoreFunction",
    "Step",
    "denoise",
    "density_mass",
    "flow_velocity",
    "log_prob_ode",
    "refined_grid",
    "sample_ode",
    "sample_reverse",
    "solve_log_prob",
    "uniform_grid",
    "walk",
]
