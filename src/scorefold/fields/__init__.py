"""Vector fields: networks, how their output becomes tangent, and their divergence."""

from scorefold.fields._base import TangentField
from scorefold.fields.divergence import divergence, hutchinson, probe, value_and_divergence
from scorefold.fields.networks import NetworkSpec, ScoreNetwork
from scorefold.fields.tangent import (
    AmbientOutput,
    FrameOutput,
    KillingOutput,
    NetworkField,
    TangentOutput,
)

__all__ = [
    "AmbientOutput",
    "FrameOutput",
    "KillingOutput",
    "NetworkField",
    "NetworkSpec",
    "ScoreNetwork",
    "TangentField",
    "TangentOutput",
    "divergence",
    "hutchinson",
    "probe",
    "value_and_divergence",
]
