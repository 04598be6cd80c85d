"""Every model on every space under JAX's transformations."""

import pytest
from oracles import edge_models
from oracles.edge_models import (
    SPACES,
    empirical,
    flow,
    flow_map,
    gaussian,
    heat,
    informed,
    kernels,
    moser,
    parametric,
    parzen,
    pushforward,
    score,
)

CASES = [("kernel", kernels, space) for space in SPACES]
CASES += [("score", score, space) for space in SPACES]
CASES += [("informed", informed, space) for space in SPACES]
CASES += [("heat density", heat, space) for space in SPACES]
CASES += [("flow", flow, space) for space in SPACES]
CASES += [("flow map", flow_map, space) for space in SPACES]
CASES += [("moser", moser, space) for space in ("S^2", "T^2", "SO(3)")]
CASES += [("pushforward", pushforward, space) for space in SPACES if space != "S^2 x R^1"]
CASES += [
    ("heat kernels", lambda m: kernels(m, "heat"), "S^2"),
    ("heat kernels", lambda m: kernels(m, "heat"), "S^2 x R^1"),
    ("esag kernels", lambda m: kernels(m, "esag"), "S^2"),
    ("gaussian", gaussian, "R^2"),
    ("empirical", empirical, "T^2"),
    ("empirical", empirical, "R^2"),
    ("parzen", parzen, "R^2"),
    ("kent", lambda m: parametric(m, "kent"), "S^2"),
    ("vmf", lambda m: parametric(m, "vmf"), "S^2"),
    *(("wrapped normal", lambda m: parametric(m, "wrapped normal"), name)
      for name in ("R^2", "T^2", "H^2")),
    *(("heat mixture", lambda m: parametric(m, "heat mixture"), name) for name in SPACES),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} on {case[2]}")
def test_transformations(case):
    model = case[1](SPACES[case[2]])
    edge_models.agrees_under_transformations(model)
    edge_models.copies_say_the_same(model)
