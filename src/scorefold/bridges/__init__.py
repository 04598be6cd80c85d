"""Schrödinger bridges: diffusions that join two or more laws."""

from scorefold.bridges._base import Bridge, brownian_reference
from scorefold.bridges.alternate import fit_alternating
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.arrivals import EndGap, arrival, end_gap
from scorefold.bridges.chain import ChainBridge, chain_bridge, chain_ipf, chain_kernels
from scorefold.bridges.field import BridgeField
from scorefold.bridges.fit_bridge import TwoEnded, fit_bridge
from scorefold.bridges.fit_snapshots import fit_snapshots, snapshot_rate
from scorefold.bridges.gaussian import GaussianBridge, gaussian_ipf
from scorefold.bridges.gaussian_potential import GaussianPotential
from scorefold.bridges.gaussian_spline import GaussianSpline, gaussian_spline
from scorefold.bridges.interpolation import SnapshotInterpolation, interpolate_snapshots
from scorefold.bridges.learned import LearnedBridge
from scorefold.bridges.light import LightBridge
from scorefold.bridges.matching import BridgeMatching
from scorefold.bridges.mixture_pair import MixturePair, mixture_pair
from scorefold.bridges.mixture_potential import MixturePotential, MixturePotentialBridge
from scorefold.bridges.multi_marginal import MultiMarginalBridge
from scorefold.bridges.normal import Normal
from scorefold.bridges.origins import Origins
from scorefold.bridges.potentials import HeatPotential, Potential, balance
from scorefold.bridges.schrodinger import DiffusionSchrodingerBridge
from scorefold.bridges.sinkhorn import Transport, sinkhorn, sinkhorn_divergence, transport
from scorefold.bridges.spectral import SpectralBridge
from scorefold.bridges.spline_paths import SplinePaths, spline_paths
from scorefold.bridges.splines import spline_at, spline_energy, spline_velocities, unroll
from scorefold.bridges.units import Units

__all__ = [
    "AlternationHistory",
    "Bridge",
    "BridgeField",
    "BridgeMatching",
    "ChainBridge",
    "DiffusionSchrodingerBridge",
    "EndGap",
    "GaussianBridge",
    "GaussianPotential",
    "GaussianSpline",
    "HeatPotential",
    "LearnedBridge",
    "LightBridge",
    "MixturePair",
    "MixturePotential",
    "MixturePotentialBridge",
    "MultiMarginalBridge",
    "Normal",
    "Origins",
    "Potential",
    "SnapshotInterpolation",
    "SpectralBridge",
    "SplinePaths",
    "Transport",
    "TwoEnded",
    "Units",
    "arrival",
    "balance",
    "brownian_reference",
    "chain_bridge",
    "chain_ipf",
    "chain_kernels",
    "end_gap",
    "fit_alternating",
    "fit_bridge",
    "fit_snapshots",
    "gaussian_ipf",
    "gaussian_spline",
    "interpolate_snapshots",
    "mixture_pair",
    "sinkhorn",
    "sinkhorn_divergence",
    "snapshot_rate",
    "spline_at",
    "spline_energy",
    "spline_paths",
    "spline_velocities",
    "transport",
    "unroll",
]
