"""Every model on every space under JAX's transformations."""

import pytest
from oracles import edge_models
from oracles.edge_models import (
    SPACES,
    empirical,
    gaussian,
    heat,
    informed,
    kernels,
    parametric,
    parzen,
    score,
)  # fmt: skip

CASES = [("kernel", kernels, space) for space in SPACES]
CASES += [("score", score, space) for space in SPACES]
CASES += [("informed", informed, space) for space in SPACES]
CASES += [("heat density", heat, space) for space in SPACES]
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
