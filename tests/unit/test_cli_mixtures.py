"""Mixtures from the command line, and in the 32 bits of its users."""

import json

import jax
import numpy as np
import pandas as pd
import pytest

import scorefold as sf
from scorefold.cli import main

pytestmark = pytest.mark.usefixtures("settings_of_users")


def table(path, names=("lat", "lon"), n=200):
    rng = np.random.default_rng(0)
    values = np.stack([rng.normal(20, 15, n), rng.normal(-30, 20, n)], 1)
    pd.DataFrame(values, columns=list(names)).to_csv(path, index=False)
    return str(path)


def test_a_kent_mixture(tmp_path, capsys):
    """Its numbers, its draws in the units of the table, and the NLL of the law that it comes from:
    −log density of normal laws of 15° and 20° in latitude and longitude is 0.6 nats on average, and
    20 points say it within 0.25; half a nat is left to the fit."""
    out = tmp_path / "run"
    words = ["fit", table(tmp_path / "a.csv"), "--model", "kent", "--components", "2", "--steps",
             "20", "--floor", "0.01", "--starts", "2", "--quiet", "--out", str(out)]  # fmt: skip
    assert main(words) == 0
    found = json.loads((out / "metrics.json").read_text())
    assert found["model"] == "kent" and found["components"] == 2 and found["steps"] == 20
    assert found["normalisation"] == 1.0 and found["normalisation_error"] == 0.0
    assert (out / "report.html").exists() and list(out.glob("*.png"))
    settings = json.loads((out / "run.json").read_text())["settings"]
    assert settings["components"] == 2 and settings["starts"] == 2
    entropy = np.log(2 * np.pi * np.e * np.radians(15) * np.radians(20))
    assert abs(found["test_nll"] - entropy) < 0.3 + 4 * 1.0 / np.sqrt(20)
    assert main(["sample", str(out), "-n", "50", "--out", str(tmp_path / "b.csv")]) == 0
    drawn = pd.read_csv(tmp_path / "b.csv")
    assert list(drawn.columns) == ["lat", "lon"] and len(drawn) == 50
    assert abs(drawn["lat"].mean() - 20) < 15
    capsys.readouterr()


@pytest.mark.parametrize("model, words", [
    ("kent", "kent is not defined on T^2: there kernel, score, informed, kde, wrapped-normal, "
             "heat-mixture, flow-matching, "),
    ("vmf", "vmf is not defined on T^2"),
])  # fmt: skip
def test_a_geometry_without_the_law(model, words, tmp_path, capsys):
    angles = table(tmp_path / "a.csv", ("phi", "psi"), 40)
    out = tmp_path / "run"
    asked = ["fit", angles, "--manifold", "T^2", "--degrees", "--model", model, "--out", str(out)]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert words in said and not out.exists() and "Traceback" not in said


CASES = {
    "vmf": (sf.VonMisesFisherMixture, sf.Sphere(1)),
    "wrapped normal": (sf.WrappedNormalMixture, sf.Torus(5)),
    "heat": (sf.HeatKernelMixture, sf.Hyperbolic(2)),
}


@pytest.mark.parametrize("name", CASES)
def test_single_precision(name):
    """Fits, densities, draws and gradients are finite and in float32."""
    kind, m = CASES[name]
    x = jax.vmap(lambda k: m.heat.sample(k, m.origin(), 0.1))(
        jax.random.split(jax.random.key(0), 60)
    )
    x = np.asarray(x)
    model, _ = sf.fit(kind(m, (1, 3)), x, val=x[:9], key=jax.random.key(0), steps=4, batch_size=16,
                      progress=False)  # fmt: skip
    value, draws = model.log_prob(x), model.sample(jax.random.key(1), 20)
    assert value.dtype == draws.dtype == np.float32 and np.isfinite(value).all()
    assert np.isfinite(model.log_prob(draws)).all()
    assert np.isfinite(jax.vmap(jax.grad(model.log_prob))(x[:3])).all()
