"""Wasserstein proximal operators on flat space: on grids, for Gaussians, for particles."""

from scorefold.proximal.box import PeriodicBox
from scorefold.proximal.brwp import ProximalStep, sample_brwp
from scorefold.proximal.calculus import Calculus, FiniteDifference, LogKernel, Spectral
from scorefold.proximal.euclidean import moreau_envelope, prox_particles, pushforward_log_prob
from scorefold.proximal.game import MeanFieldGame, Residuals
from scorefold.proximal.gaussian import (
    GaussianMoments,
    gaussian_brwp_step,
    gaussian_prox,
    gaussian_stationary,
)
from scorefold.proximal.kernel import ProximalKernel
from scorefold.proximal.mixture import gaussian_mixture
from scorefold.proximal.normalisers import ClosedForm, Laplace, MonteCarlo, Normaliser
from scorefold.proximal.operators import (
    cross_entropy_prox,
    inverse_cross_entropy_prox,
    kernel_formula,
    round_trip,
    wasserstein_prox,
)
from scorefold.proximal.potentials import AbsoluteValue, Potential, Quadratic, Smooth
from scorefold.proximal.preconditioner import Preconditioner
from scorefold.proximal.residuals import fokker_planck_residual, hjb_residual

__all__ = [
    "AbsoluteValue",
    "Calculus",
    "ClosedForm",
    "FiniteDifference",
    "GaussianMoments",
    "Laplace",
    "LogKernel",
    "MeanFieldGame",
    "MonteCarlo",
    "Normaliser",
    "PeriodicBox",
    "Potential",
    "Preconditioner",
    "ProximalKernel",
    "ProximalStep",
    "Quadratic",
    "Residuals",
    "Smooth",
    "Spectral",
    "cross_entropy_prox",
    "fokker_planck_residual",
    "gaussian_brwp_step",
    "gaussian_mixture",
    "gaussian_prox",
    "gaussian_stationary",
    "hjb_residual",
    "inverse_cross_entropy_prox",
    "kernel_formula",
    "moreau_envelope",
    "prox_particles",
    "pushforward_log_prob",
    "round_trip",
    "sample_brwp",
    "wasserstein_prox",
]
