"""Descriptions and fitted models are two things, and the type checker knows it."""

import ast
import dataclasses
import subprocess
import sys
import typing
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest
from jaxtyping import Array

import scorefold as sf
from scorefold import bridges, models
from scorefold.bridges import BridgeDescription
from scorefold.fitting import Description, Trainer

ROOT = Path(__file__).parents[2]
PLANE = sf.Euclidean(2)
DESCRIPTIONS = {
    "kernel": lambda: sf.KernelModel(PLANE, counts=(2, 5), width=4, depth=1),
    "score": lambda: sf.ScoreModel(sf.default_noising(PLANE, np.eye(2)), s_min=1e-3),
    "flow": lambda: sf.FlowMatching(PLANE, coupling=0.1),
    "continuous flow": lambda: sf.ContinuousFlow(PLANE, train_steps=3),
    "moser": lambda: sf.MoserFlow(sf.Torus(2), penalty=10.0),
    "pushforward": lambda: sf.PushforwardScoreModel(sf.Sphere(2), "exponential"),
    "gaussian": lambda: models.GaussianKernelModel(PLANE, width=8),
    "kent": lambda: sf.KentMixture(sf.Sphere(2), components=(3, 5)),
    "vmf": lambda: sf.VonMisesFisherMixture(sf.Sphere(3), components=4),
    "wrapped normal": lambda: sf.WrappedNormalMixture(PLANE),
    "heat mixture": lambda: sf.HeatKernelMixture(PLANE, starts=2),
    "light": lambda: sf.LightBridge(sf.brownian_reference(PLANE, 0.5), blur=0.1),
    "matching": lambda: bridges.BridgeMatching(sf.brownian_reference(PLANE, 0.5), steps=3),
    "potential": lambda: bridges.HeatPotential(12),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_descriptions_can_be_compared_hashed_and_printed(name):
    """Two of the same settings are equal, have one hash and one line, and hold no array."""
    one, other = DESCRIPTIONS[name](), DESCRIPTIONS[name]()
    assert eqx.tree_equal(one, other) and hash(one) == hash(other) and repr(one) == repr(other)
    assert repr(one).startswith(type(one).__name__) and "\n" not in repr(one)
    assert not [leaf for leaf in jax.tree.leaves(one) if eqx.is_inexact_array(leaf)]
    first = dataclasses.fields(one)[-1].name
    changed = {"potential": {"floor": 0.1}, "light": {"origins": 3}}.get(name)
    if changed:
        assert not eqx.tree_equal(eqx.tree_at(lambda m: getattr(m, first), one, 0.1,
                                              is_leaf=lambda a: a is None), other)  # fmt: skip


WRONG = {
    "sf.KernelModel(plane)": "log_prob(x)",
    "sf.ScoreModel(sf.default_noising(plane, x))": "sample(key, 3)",
    "sf.LightBridge(sf.brownian_reference(plane, 1.0))": "sample_forward(key, x)",
    "scorefold.bridges.BridgeMatching(sf.brownian_reference(plane, 1.0))": "drift(0.5, x)",
}


def test_the_type_checker_refuses_to_ask_a_description(tmp_path):
    """Each line that asks a description is an error; each that asks what ``fit`` returns is not."""
    lines = ["import jax", "import numpy as np", "import scorefold as sf",
             "import scorefold.bridges",
             "plane, x, key = sf.Euclidean(2), np.eye(2), jax.random.key(0)"]  # fmt: skip
    wrong, right = [], []
    for made, asked in WRONG.items():
        lines.append(f"{made}.{asked}")
        wrong.append(len(lines))
        data = "x, x" if "Bridge" in made else "x"
        fit = "sf.fit_bridge" if "Bridge" in made else "sf.fit"
        lines.append(f"{fit}({made}, {data}, key=key)[0].{asked}")
        right.append(len(lines))
    path = tmp_path / "asks.py"
    path.write_text("\n".join(lines) + "\n")
    found = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", path],
        capture_output=True, text=True, cwd=ROOT, timeout=280,
    )  # fmt: skip
    errors = {int(line.split(":")[1]) for line in found.stdout.splitlines() if ": error:" in line}
    assert errors == set(wrong), found.stdout
    assert found.stdout.count("attr-defined") == len(wrong)


def test_no_word_of_not_fitted():
    """No source says that something has not been fitted, and no field of what ``fit`` returns is a
    parameter that may be missing."""
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                assert "not been fitted" not in node.value, path
    for cls in _subclasses(Trainer) | _subclasses(models.Model) | _subclasses(bridges.FittedBridge):
        if not cls.__module__.startswith("scorefold."):
            continue
        for name, hint in typing.get_type_hints(cls).items():
            parts = typing.get_args(hint)
            optional = type(None) in parts and any(
                isinstance(p, type) and issubclass(p, eqx.Module | Array) for p in parts
            )
            field = cls.__dataclass_fields__.get(name)
            data = field is not None and field.metadata.get("fixed", False)
            assert not optional or name == "units" or data, (cls, name)


def _subclasses(cls):
    return {cls} | {s for sub in cls.__subclasses__() for s in _subclasses(sub)}


def test_both_kinds_of_description_are_abstract_alike():
    for cls in (Description, BridgeDescription):
        with pytest.raises(TypeError, match="abstract"):
            cls()
