"""Vector fields: networks, how their output becomes tangent, and their divergence."""

from scorefold.fields._architecture import Architecture, Network, zero_network
from scorefold.fields._base import TangentField
from scorefold.fields.divergence import divergence, hutchinson, probe, value_and_divergence
from scorefold.fields.networks import NetworkSpec, ScoreNetwork
from scorefold.fields.products import RoundedLinear, rounded_dot
from scorefold.fields.sine import sine
from scorefold.fields.tangent import (
    AmbientOutput,
    FrameOutput,
    KillingOutput,
    NetworkField,
    TangentOutput,
    default_output,
    network_for,
)
from scorefold.fields.unet import ImageNetworkSpec, UNet
from scorefold.fields.velocity import VelocityField

__all__ = [
    "AmbientOutput",
    "Architecture",
    "FrameOutput",
    "ImageNetworkSpec",
    "KillingOutput",
    "Network",
    "NetworkField",
    "NetworkSpec",
    "RoundedLinear",
    "ScoreNetwork",
    "TangentField",
    "TangentOutput",
    "UNet",
    "VelocityField",
    "default_output",
    "divergence",
    "hutchinson",
    "network_for",
    "probe",
    "rounded_dot",
    "sine",
    "value_and_divergence",
    "zero_network",
]
