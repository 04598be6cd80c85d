"""Models of flows on every geometry they are defined on: mass 1, and draws of that density."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import cells

import scorefold as sf

KEY = jax.random.key(0)
SMALL = sf.NetworkSpec(width=16, depth=1, fourier=4, frequency=1.5, spread=0.3)
"""Of low frequencies: what it makes is as smooth as midpoints need."""
SPACES = {
    "R^2": (sf.Euclidean(2), lambda: cells.plane((0.3, 0.0), 4.0)),
    "S^2": (sf.Sphere(2), cells.sphere),
    "T^2": (sf.Torus(2), cells.torus),
    "SO(3)": (sf.SO3(), cells.rotations),
    "H^2": (sf.Hyperbolic(2), lambda: cells.hyperbolic_plane(9.0)),
}
TIGHT = {"network": SMALL, "rtol": 1e-5}
MODELS = {
    "score": lambda m, x: sf.ScoreModel(sf.default_noising(m, x), **TIGHT),
    "flow-matching": lambda m, x: sf.FlowMatching(m, **TIGHT),
    "continuous-flow": lambda m, x: sf.ContinuousFlow(m, **TIGHT),
    "moser": lambda m, x: sf.MoserFlow(m, **TIGHT),
    "pushforward": lambda m, x: sf.PushforwardScoreModel(m, **TIGHT),
}
AFAR = pytest.mark.xfail(
    raises=RuntimeError, strict=True, reason="3 and more from all data the flow takes > 512 steps"
)
CASES = [
    pytest.param(name, model, marks=AFAR if (name, model) == ("H^2", "score") else ())
    for model in MODELS
    for name, (m, _) in SPACES.items()
    if (m.compact or model != "moser") and not (name == "R^2" and model == "pushforward")
]


@functools.cache
def nodes(name):
    return SPACES[name][1]()


def points(m, n=2000):
    """Two broad clouds, half a unit wide, the second smaller."""
    origin = m.origin(jnp.float64)
    spread = 0.5 * jax.random.normal(KEY, (n, m.dim), jnp.float64)
    spread = spread.at[: n // 3, 0].add(1.0)
    return np.asarray(jax.vmap(lambda c: m.exp(origin, m.from_components(origin, c)))(spread))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name, model", CASES)
def test_mass_and_draws(name, model):
    """Mass 1 ± 10⁻³ by midpoints after 40 steps of training, and 10⁵ draws in cells: χ² below its
    quantile 1 − 10⁻⁵. Those of a score model are of its ODE, which the density is of."""
    m, x = SPACES[name][0], points(SPACES[name][0])
    if (name, model) == ("H^2", "score"):
        x = x.astype(np.float32)  # heat kernels of H² are integrals in float64, read off a table
    fitted, _ = sf.fit(MODELS[model](m, x), x, steps=40, key=KEY, progress=False)
    masses = nodes(name).masses(lambda at: fitted.log_prob(at.astype(x.dtype)))
    assert abs(masses.sum() - 1.0) < 1e-3
    how = {"method": "ode"} if model in ("score", "pushforward") else {}
    draws = np.asarray(fitted.sample(jax.random.key(1), 100_000, **how))
    found, most = cells.chi_square(draws, masses, nodes(name))
    assert found < most
