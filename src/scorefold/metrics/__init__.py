"""Measures of a model and of its samples: held-out likelihood, total mass, memorisation and
distance to fresh data."""

from scorefold.metrics.bridge_paths import (
    FlowEnergy,
    PathEnergy,
    bridge_divergence,
    flow_energy,
    path_energy,
)
from scorefold.metrics.conditional_bures import bures_wasserstein, conditional_bures
from scorefold.metrics.copying import Copying, copying, mann_whitney
from scorefold.metrics.draws_density import DrawsAgainstDensity, draws_against_density
from scorefold.metrics.end_distance import EndDistance, end_distance
from scorefold.metrics.generalisation import Generalisation, PartWeights, generalisation
from scorefold.metrics.leave_one_out import LeftOut, leave_one_out
from scorefold.metrics.likelihood import HeldOut, held_out
from scorefold.metrics.likelihood_gap import LikelihoodGap, likelihood_gap
from scorefold.metrics.manifold_distance import ManifoldDistance, manifold_distance
from scorefold.metrics.mass import total_mass
from scorefold.metrics.nearest_ratio import NearestRatio, nearest_ratio
from scorefold.metrics.reference import ReferenceNll, reference_nll
from scorefold.metrics.sliced_wasserstein import (
    circle_wasserstein,
    line_wasserstein,
    sliced_wasserstein,
)
from scorefold.metrics.thinned import thinned
from scorefold.metrics.two_sample import TwoSample, energy_distance, mmd
from scorefold.metrics.wasserstein import Wasserstein, transport_distance, wasserstein

__all__ = [
    "Copying",
    "DrawsAgainstDensity",
    "EndDistance",
    "FlowEnergy",
    "Generalisation",
    "HeldOut",
    "LeftOut",
    "LikelihoodGap",
    "ManifoldDistance",
    "NearestRatio",
    "PartWeights",
    "PathEnergy",
    "ReferenceNll",
    "TwoSample",
    "Wasserstein",
    "bridge_divergence",
    "bures_wasserstein",
    "circle_wasserstein",
    "conditional_bures",
    "copying",
    "draws_against_density",
    "end_distance",
    "energy_distance",
    "flow_energy",
    "generalisation",
    "held_out",
    "leave_one_out",
    "likelihood_gap",
    "line_wasserstein",
    "manifold_distance",
    "mann_whitney",
    "mmd",
    "nearest_ratio",
    "path_energy",
    "reference_nll",
    "sliced_wasserstein",
    "thinned",
    "total_mass",
    "transport_distance",
    "wasserstein",
]
