"""Schrödinger bridges: diffusions that join two or more laws."""

from scorefold.bridges._base import Bridge, brownian_reference
from scorefold.bridges.alternate import fit_alternating
from scorefold.bridges.alternate_history import AlternationHistory
from scorefold.bridges.field import BridgeField
from scorefold.bridges.learned import LearnedBridge
from scorefold.bridges.matching import BridgeMatching
from scorefold.bridges.schrodinger import DiffusionSchrodingerBridge

__all__ = [
    "AlternationHistory",
    "Bridge",
    "BridgeField",
    "BridgeMatching",
    "DiffusionSchrodingerBridge",
    "LearnedBridge",
    "brownian_reference",
    "fit_alternating",
]
