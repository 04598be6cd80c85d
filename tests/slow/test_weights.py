"""The law of weights over all models: uniform points with the weights of another law are points of
that law."""

import math

import jax
import numpy as np
import pytest

import scorefold as sf
from scorefold.manifolds import Sphere
from scorefold.models import HeatKernelDensity

KAPPA = 3.0
SPHERE = Sphere(2)
NORTH = np.array([0.0, 0.0, 1.0])
KL_OF_UNIFORM = (
    math.log(4.0 * math.pi) + math.log(KAPPA / (4.0 * math.pi * math.sinh(KAPPA)))
    + KAPPA / math.tanh(KAPPA) - 1.0
)  # fmt: skip


def uniform(n, seed):
    x = np.random.default_rng(seed).normal(size=(n, 3))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def log_prob(x):
    """Of von Mises and Fisher's law around the north pole."""
    return KAPPA * x[:, 2] + math.log(KAPPA / (4.0 * math.pi * math.sinh(KAPPA)))


def fresh(n, seed):
    """Draws of it, by its distribution function along the axis (Ulrich 1984)."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(size=n)
    z = 1.0 + np.log(u + (1.0 - u) * math.exp(-2.0 * KAPPA)) / KAPPA
    turn, side = rng.uniform(0.0, 2.0 * np.pi, n), np.sqrt(1.0 - z * z)
    return np.stack([side * np.cos(turn), side * np.sin(turn), z], axis=1)


SETTINGS = {
    "kernel": (sf.KernelModel(SPHERE), {"steps": 200}),
    "heat-mixture": (sf.HeatKernelMixture(SPHERE), {"steps": 100}),
    "vmf": (sf.VonMisesFisherMixture(SPHERE), {"steps": 100}),
    "kent": (sf.KentMixture(SPHERE), {"steps": 100}),
    "flow-matching": (sf.FlowMatching(SPHERE), {"steps": 400}),
    "score": (sf.ScoreModel(sf.default_noising(SPHERE, uniform(10, 0))), {"steps": 400}),
    "moser": (sf.MoserFlow(SPHERE), {"steps": 400, "batch_size": 128}),
    "pushforward": (sf.PushforwardScoreModel(SPHERE), {"steps": 400}),
    "continuous-flow": (sf.ContinuousFlow(SPHERE), {"steps": 100, "batch_size": 64}),
}


@pytest.mark.parametrize("name", ["kde", *SETTINGS])
def test_weights_make_one_law_of_another(name):
    """1500 uniform points with weights p/q are fitted to, 500 more choose; KL to p, by 500 draws of
    it, is below a quarter of that of the uniform law, which is what weights left out would give."""
    x, val = uniform(1500, 1), uniform(500, 2)
    w, w_val = (np.exp(KAPPA * rows[:, 2]) for rows in (x, val))
    if name == "kde":
        model = HeatKernelDensity.choose(SPHERE, x, weights=w)
    else:
        asked, settings = SETTINGS[name]
        model, _ = sf.fit(
            asked, x, val=val, weights=w, val_weights=w_val, key=jax.random.key(0),
            progress=False, **settings,
        )  # fmt: skip
    test = fresh(500, 3)
    gap = float(np.mean(log_prob(test) - np.asarray(model.log_prob(test))))
    assert -0.1 < gap < 0.25 * KL_OF_UNIFORM
