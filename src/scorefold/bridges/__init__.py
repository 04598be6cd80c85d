"""Schrödinger bridges: diffusions that join two or more laws."""

from scorefold.bridges._base import Bridge, brownian_reference
from scorefold.bridges.alternate import fit_alternating
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.chain import ChainBridge, chain_bridge, chain_ipf, chain_kernels
from scorefold.bridges.field import BridgeField
from scorefold.bridges.gaussian import GaussianBridge, gaussian_ipf
from scorefold.bridges.learned import LearnedBridge
from scorefold.bridges.matching import BridgeMatching
from scorefold.bridges.mixture_pair import MixturePair, mixture_pair
from scorefold.bridges.mixture_potential import MixturePotential, MixturePotentialBridge
from scorefold.bridges.normal import Normal
from scorefold.bridges.schrodinger import DiffusionSchrodingerBridge
from scorefold.bridges.sinkhorn import Transport, sinkhorn, sinkhorn_divergence, transport
from scorefold.bridges.spectral import SpectralBridge

__all__ = [
    "AlternationHistory",
    "Bridge",
    "BridgeField",
    "BridgeMatching",
    "ChainBridge",
    "DiffusionSchrodingerBridge",
    "GaussianBridge",
    "LearnedBridge",
    "MixturePair",
    "MixturePotential",
    "MixturePotentialBridge",
    "Normal",
    "SpectralBridge",
    "Transport",
    "brownian_reference",
    "chain_bridge",
    "chain_ipf",
    "chain_kernels",
    "fit_alternating",
    "gaussian_ipf",
    "mixture_pair",
    "sinkhorn",
    "sinkhorn_divergence",
    "transport",
]
