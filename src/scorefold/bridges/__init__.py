"""Schrödinger bridges: diffusions that join two or more laws."""

from scorefold.bridges._base import Bridge, brownian_reference
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.arrivals import EndGap, arrival, end_gap
from scorefold.bridges.currents.drift import (
    Drift,
    GivenDrift,
    LearnedDrift,
    no_drift,
    potential_drift,
)
from scorefold.bridges.currents.fit_current import CurrentHistory, fit_current
from scorefold.bridges.currents.gridded import GriddedDrift, gridded_drift, load_gridded_drift
from scorefold.bridges.currents.growth import GivenGrowth, Growth, LearnedGrowth
from scorefold.bridges.currents.parts import DriftParts, drift_parts
from scorefold.bridges.currents.pinned_paths import PinnedPaths, pinned_paths
from scorefold.bridges.currents.snapshot_current import SnapshotCurrent
from scorefold.bridges.description import BridgeDescription, FittedBridge
from scorefold.bridges.exact.chain import ChainBridge, chain_bridge, chain_ipf, chain_kernels
from scorefold.bridges.exact.gaussian import GaussianBridge, gaussian_ipf
from scorefold.bridges.exact.mixture_pair import MixturePair, mixture_pair
from scorefold.bridges.exact.mixture_potential import MixturePotential, MixturePotentialBridge
from scorefold.bridges.exact.normal import Normal
from scorefold.bridges.exact.plan import Transport
from scorefold.bridges.exact.spectral import SpectralBridge
from scorefold.bridges.exact.transport import sinkhorn, sinkhorn_divergence, transport
from scorefold.bridges.fit_bridge import fit_bridge
from scorefold.bridges.fit_snapshots import SnapshotHistory, fit_snapshots
from scorefold.bridges.light.bridge import LightBridge
from scorefold.bridges.light.fitted_bridge import FittedLightBridge
from scorefold.bridges.light.gaussian_potential import FittedGaussianPotential, GaussianPotential
from scorefold.bridges.light.heat_potential import FittedHeatPotential, HeatPotential
from scorefold.bridges.light.origins import Origins
from scorefold.bridges.light.potential import LightPotential, PotentialDescription
from scorefold.bridges.light.starts import balance
from scorefold.bridges.networks.alternate import LearnedBridge
from scorefold.bridges.networks.field import BridgeField
from scorefold.bridges.networks.matching import BridgeMatching
from scorefold.bridges.networks.process import NetworkBridge
from scorefold.bridges.networks.schrodinger import DiffusionSchrodingerBridge
from scorefold.bridges.snapshots.fit_intervals import fit_intervals
from scorefold.bridges.snapshots.fit_splines import SplineHistory, fit_splines
from scorefold.bridges.snapshots.gaussian_spline import GaussianSpline, gaussian_spline
from scorefold.bridges.snapshots.interpolation import SnapshotInterpolation, interpolate_snapshots
from scorefold.bridges.snapshots.law import SnapshotBridge
from scorefold.bridges.snapshots.multi_marginal import MultiMarginalBridge
from scorefold.bridges.snapshots.rate import snapshot_rate
from scorefold.bridges.snapshots.snapshot_mixture import SnapshotMixture
from scorefold.bridges.snapshots.spline_paths import SplinePaths, spline_paths
from scorefold.bridges.snapshots.splines import spline_at, spline_energy, spline_velocities, unroll
from scorefold.bridges.units import BridgeUnits

__all__ = [
    "AlternationHistory",
    "Bridge",
    "BridgeDescription",
    "BridgeField",
    "BridgeMatching",
    "BridgeUnits",
    "ChainBridge",
    "CurrentHistory",
    "DiffusionSchrodingerBridge",
    "Drift",
    "DriftParts",
    "EndGap",
    "FittedBridge",
    "FittedGaussianPotential",
    "FittedHeatPotential",
    "FittedLightBridge",
    "GaussianBridge",
    "GaussianPotential",
    "GaussianSpline",
    "GivenDrift",
    "GivenGrowth",
    "GriddedDrift",
    "Growth",
    "HeatPotential",
    "LearnedBridge",
    "LearnedDrift",
    "LearnedGrowth",
    "LightBridge",
    "LightPotential",
    "MixturePair",
    "MixturePotential",
    "MixturePotentialBridge",
    "MultiMarginalBridge",
    "NetworkBridge",
    "Normal",
    "Origins",
    "PinnedPaths",
    "PotentialDescription",
    "SnapshotBridge",
    "SnapshotCurrent",
    "SnapshotHistory",
    "SnapshotInterpolation",
    "SnapshotMixture",
    "SpectralBridge",
    "SplineHistory",
    "SplinePaths",
    "Transport",
    "arrival",
    "balance",
    "brownian_reference",
    "chain_bridge",
    "chain_ipf",
    "chain_kernels",
    "drift_parts",
    "end_gap",
    "fit_bridge",
    "fit_current",
    "fit_intervals",
    "fit_snapshots",
    "fit_splines",
    "gaussian_ipf",
    "gaussian_spline",
    "gridded_drift",
    "interpolate_snapshots",
    "load_gridded_drift",
    "mixture_pair",
    "no_drift",
    "pinned_paths",
    "potential_drift",
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
