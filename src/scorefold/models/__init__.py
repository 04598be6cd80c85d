"""Models: one file a method."""

from scorefold.models._base import Model
from scorefold.models._pointwise import PointwiseModel
from scorefold.models.defaults import default_noising, started_noising
from scorefold.models.empirical import EmpiricalModel
from scorefold.models.flat_kernel import FittedGaussianKernelModel, GaussianKernelModel
from scorefold.models.flow_map import FittedFlowMap, FlowMap
from scorefold.models.flows.continuous_flow import ContinuousFlow
from scorefold.models.flows.flow import FittedFlow
from scorefold.models.flows.flow_matching import FlowMatching
from scorefold.models.flows.moser import FittedMoserFlow, MoserFlow
from scorefold.models.heat_kernel_density import HeatKernelDensity
from scorefold.models.informed import FittedInformedModel, InformedModel
from scorefold.models.kernel import FittedKernelModel, KernelModel
from scorefold.models.manifold_parzen import ManifoldParzen
from scorefold.models.mixtures.descriptions import (
    HeatKernelMixture,
    KentMixture,
    VonMisesFisherMixture,
    WrappedNormalMixture,
)
from scorefold.models.mixtures.mixture import FittedMixture
from scorefold.models.pushforward import FittedPushforward, PushforwardScoreModel
from scorefold.models.resolution import data_resolution
from scorefold.models.score import FittedScoreModel, ScoreModel
from scorefold.models.standardise import Units, to_inner

__all__ = [
    "ContinuousFlow",
    "EmpiricalModel",
    "FittedFlow",
    "FittedFlowMap",
    "FittedGaussianKernelModel",
    "FittedInformedModel",
    "FittedKernelModel",
    "FittedMixture",
    "FittedMoserFlow",
    "FittedPushforward",
    "FittedScoreModel",
    "FlowMap",
    "FlowMatching",
    "GaussianKernelModel",
    "HeatKernelDensity",
    "HeatKernelMixture",
    "InformedModel",
    "KentMixture",
    "KernelModel",
    "ManifoldParzen",
    "Model",
    "MoserFlow",
    "PointwiseModel",
    "PushforwardScoreModel",
    "ScoreModel",
    "Units",
    "VonMisesFisherMixture",
    "WrappedNormalMixture",
    "data_resolution",
    "default_noising",
    "started_noising",
    "to_inner",
]
