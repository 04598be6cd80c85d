"""Geometries and models of installed packages: found by name, when a name is unknown."""

import importlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from projective_plane import ProjectivePlane

import scorefold as sf
from scorefold import _installed
from scorefold.cli import main
from scorefold.fitting.errors import DamagedFile

PACKAGE = '''
from scorefold.models import KernelModel

class Loud(KernelModel):
    """A kernel model by another name."""

class Beside(KernelModel):
    """No entry point leads to it, but to its module."""

def nothing():
    return 3
'''
POINTS = """
[scorefold.manifolds]
RP^2 = projective_plane:ProjectivePlane
hexagon = projective_plane:ProjectivePlane
ball = scorefold.manifolds:Hyperbolic
broken = no_such_module_of_ours:Space
wrong = guest_of_scorefold:nothing

[scorefold.models]
loud = guest_of_scorefold:Loud
bump = heat_bump:BUMP
broken = no_such_module_of_ours:Model
"""


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """An installed distribution with entry points, in a folder of its own."""
    folder = tmp_path / "site"
    info = folder / "guest_of_scorefold-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "guest_of_scorefold.py").write_text(PACKAGE)
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: guest-of-scorefold\nVersion: 1.0\n"
    )
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_manifolds_are_found_by_name(packages):
    plane = ProjectivePlane()
    for name in ("RP^2", "rp2", "hexagon"):
        assert sf.manifold_from_name(name) == plane
    assert sf.manifold_from_name("S^2 x (RP^2 x R^1)").factors[1] == plane
    # Named without its number: made of that number.
    assert sf.manifold_from_name("ball^3") == sf.Hyperbolic(3)
    assert sf.manifold_from_name("S^2") == sf.Sphere(2)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RP^3", r"No manifold is called 'RP\^3'"),
        ("broken", "'broken' of an installed package .* cannot be loaded: ModuleNotFoundError"),
        ("wrong", "leads to no manifold"),
        ("bal", 'Nearest: "'),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(packages, name, message):
    with pytest.raises(ValueError, match=message) as error:
        sf.manifold_from_name(name)
    assert "\n" not in str(error.value)


def test_nothing_is_looked_up_before_a_name_is_unknown(monkeypatch):
    def never(**_):
        raise AssertionError("looked up")

    monkeypatch.setattr(_installed.importlib.metadata, "entry_points", never)
    sf.manifold_from_name("S^2 x (T^2 x SO(3))")
    with pytest.raises(AssertionError, match="looked up"):
        sf.manifold_from_name("RP^2")
    code = "import sys, scorefold.manifolds, scorefold.models, scorefold.cli; "
    code += "sys.exit('no_such_module_of_ours' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_file_may_use_what_an_installed_package_registers(packages, tmp_path, monkeypatch):
    sf.save(tmp_path / "m", sf.KernelModel(ProjectivePlane()))
    assert sf.load(tmp_path / "m").manifold == ProjectivePlane()
    # So may the classes beside one, which a model of a package is made of; nothing else may.
    beside = importlib.import_module("guest_of_scorefold").Beside(sf.Sphere(2))
    sf.save(tmp_path / "b", beside)
    assert sf.load(tmp_path / "b") == beside
    monkeypatch.setattr(_installed, "_points", lambda group: iter(()))
    with pytest.raises(DamagedFile, match="unknown class 'projective_plane:ProjectivePlane'"):
        sf.load(tmp_path / "m")


@pytest.mark.usefixtures("settings_of_users")
def test_the_command_line_finds_both(packages, tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(120, 3)) * [1.0, 1.0, 0.2]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    pd.DataFrame(x, columns=["x", "y", "z"]).to_csv(tmp_path / "axes.csv", index=False)
    words = ["fit", str(tmp_path / "axes.csv"), "--manifold", "rp2", "--model", "loud", "--steps",
             "20", "--no-report", "--quiet", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main(words) == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["model"] == "loud"
    fitted = sf.load(tmp_path / "run" / "model.safetensors")
    assert type(fitted.description).__name__ == "Loud"
    out = tmp_path / "drawn.csv"
    assert main(["sample", str(tmp_path / "run"), "-n", "5", "--out", str(out)]) == 0
    drawn = pd.read_csv(out)
    assert list(drawn.columns) == ["x", "y", "z"] and len(drawn) == 5
    assert bool(jax.vmap(ProjectivePlane().belongs)(drawn.to_numpy(np.float32)).all())
    capsys.readouterr()
    for model, message in (("broken", "cannot be loaded"), ("lod", "no choice")):
        words[words.index("--model") + 1], words[-1] = model, str(tmp_path / model)
        assert main(words) == 2
        assert message in capsys.readouterr().err
        words[words.index("--model") + 1] = "loud"


@pytest.mark.usefixtures("settings_of_users")
def test_a_guest_that_trains_and_its_settings(packages, tmp_path, capsys):
    """``tests/heat_bump.py``: its setting is an option with a range, and the variance of draws of
    its own family is found to five standard errors of the 60 validation points that choose, s/√n on
    a surface."""
    sphere, n, s = sf.Sphere(2), 600, 0.2
    centre = sphere.project(jnp.float32([1.0, 2.0, -2.0]))
    keys = jax.random.split(jax.random.key(0), n)
    x = np.asarray(jax.vmap(lambda k: sphere.heat.sample(k, centre, jnp.float32(s)))(keys))
    np.save(tmp_path / "x.npy", x)
    words = ["fit", str(tmp_path / "x.npy"), "--manifold", "S^2", "--steps", "100", "--quiet",
             "--no-report", "--learning-rate", "0.05", "--out", str(tmp_path / "run")]  # fmt: skip
    assert main([*words, "--model", "bump", "--log-s", "-1"]) == 0
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert found["variance"] == pytest.approx(s, abs=5 * s / np.sqrt(0.1 * n))
    described = json.loads((tmp_path / "run" / "run.json").read_text())
    assert described["settings"]["log_s"] == -1.0
    model = sf.load(tmp_path / "run" / "model.safetensors")
    exact = jax.vmap(lambda y: sphere.heat.log_prob(y, model.centre, model.s))(x[:9])
    np.testing.assert_allclose(model.log_prob(x[:9]), exact, rtol=1e-5)
    assert main(["evaluate", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    for more, message in [
        (["--model=bump", "--log-s", "-10"], "'-10' is not a number from -9 to"),
        (["--model", "kernel", "--log-s", "1"], "unknown argument '--log-s'"),
        (["--model", "bum"], "Did you mean 'bump'? Choices: kernel, score, informed, kde, "),
    ]:
        words[-1] = str(tmp_path / "other")
        assert main([*words, *more]) == 2
        assert message in capsys.readouterr().err
