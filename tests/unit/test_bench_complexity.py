"""Passes are counted where they are made, and written as the polynomials that they are."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bench import Cell, Measurement, TableRequest, complexity
from scorefold.bench.complexity import TABLE, _counted
from scorefold.bench.complexity.counting import CountedNetwork, count_work, counted
from scorefold.bench.complexity.growth import growth_figure, growth_lines, polynomial, written
from scorefold.bench.complexity.programs import CASES, SOLVER_STEPS, points, program, trainer_of
from scorefold.bench.results import Results
from scorefold.fields import NetworkSpec
from scorefold.manifolds import Torus

D = 3
SMALL = NetworkSpec(width=4, depth=1, fourier=2, time_features=1)
N = 4 * SOLVER_STEPS  # stages of a flow's training


@functools.cache
def trained(method):
    x = points(Torus(D), 5)
    return trainer_of(CASES[method], Torus(D), SMALL, x), x


def test_a_network_is_counted_where_it_stands():
    """h ↦ f(h) of 2 layers, 4 → 4 → 2: 4·4 + 4·2 multiply–adds a pass, and mapped, looped and
    differentiated as often as one says; counting changes no number."""
    spec = NetworkSpec(width=4, depth=1, fourier=0, time_features=0)
    plain = spec.build(3, 2, key=jax.random.key(0))
    network = counted([plain])[0]
    assert isinstance(network, CountedNetwork)
    h, s = jnp.arange(3.0), jnp.asarray(0.5)
    one = lambda h: network(h, s)  # noqa: E731
    assert count_work(one, h) == (1, 0, 0, 24)
    assert count_work(jax.vmap(one), jnp.ones((7, 3))) == (7, 0, 0, 7 * 24)
    looped = lambda h: jax.lax.scan(lambda c, _: (c, one(c)), h, length=6)  # noqa: E731
    assert count_work(looped, h) == (6, 0, 0, 6 * 24)
    assert count_work(jax.jacfwd(one), h)[:3] == (1, 3, 0)
    assert count_work(jax.jacrev(one), h)[:3] == (1, 0, 2)
    assert count_work(jax.grad(lambda h: one(h).sum()), h)[:3] == (1, 0, 1)
    np.testing.assert_array_equal(jax.jacrev(one)(h), jax.jacrev(lambda h: plain(h, s))(h))


@pytest.mark.parametrize("method, phase, passes", [
    ("denoising, exact", "loss", (1, 0, 0)),
    ("denoising, Varadhan", "training step", (1, 0, 1)),
    ("denoising, consecutive", "training step", (1, 0, 1)),
    ("implicit, exact", "loss", (1, D, 0)),
    ("implicit, exact", "training step", (1, D, 1 + D)),
    ("implicit, Hutchinson", "training step", (1, 1, 2)),
    ("sliced", "loss", (1, 1, 0)),
    ("flow matching", "training step", (1, 0, 1)),
    ("flow matching", "likelihood evaluation", (1, D, 0)),
    # A divergence at the point of the data and one at a uniform point, whose value is not asked.
    ("Moser flow", "loss", (2, 2 * D, 0)),
    ("Moser flow", "training step", (2, 2 * D, 2 * D)),
    # The field and its divergence, both times.
    ("Moser flow", "sampling step", (1, D, 0)),
    ("Moser flow", "likelihood evaluation", (1, D, 0)),
    ("continuous flow", "loss", (N, D * N, 0)),
    # Stages are computed again on the way back.
    ("continuous flow", "training step", (2 * N, 2 * D * N, (1 + D) * N)),
    ("score model", "sampling step", (1, 0, 0)),
    ("score model, Hutchinson", "likelihood evaluation", (1, 1, 0)),
])  # fmt: skip
def test_passes_of_losses_and_phases(method, phase, passes):
    trainer, x = trained(method)
    work, _ = _counted(program(phase, CASES[method], counted(trainer), x))
    np.testing.assert_allclose(work[:3], passes, rtol=1e-12)


def test_polynomials_of_whole_numbers():
    assert polynomial([(2, 8.0), (5, 14.0), (9, 22.0)]) == [4, 2]
    assert polynomial([(2, 2.0), (5, 2.0)]) == [2]
    assert polynomial([(1, 4.0), (2, 9.0), (3, 16.0), (4, 25.0)]) == [1, 2, 1]
    assert polynomial([(2, 10.0), (5, 37.0), (10, 122.0)]) == [2, 2, 1]
    assert polynomial([(1, 1.0), (2, 8.0), (3, 27.0), (4, 64.0)]) is None
    assert polynomial([(1, 1.0), (3, 2.0)]) is None
    assert polynomial([(3, 7.0)]) is None
    assert (written([4, 2]), written([0, 1, 3]), written([2])) == ("4 + 2d", "d + 3d²", "2")


def test_a_cell_is_measured_and_what_is_too_long_is_not(monkeypatch):
    request = TableRequest(
        "quick", data=("T^2", "T^200"), methods=("Moser flow", "continuous flow")
    )
    cells = {cell.name: cell for cell in TABLE.wanted(request)}
    found = cells["T^2", "sampling step", "Moser flow", 0].make()
    assert found.values["passes"] == 3 and found.values["milliseconds"] > 0
    assert found.values["megabytes"] > 0 and found.compile_seconds > 0 and found.parameters > 0
    monkeypatch.setattr(complexity, "_MOST_PRODUCTS", {"quick": 1e6})
    long = cells["T^200", "training step", "continuous flow", 0].make()
    assert long.values["passes"] == 96 + 96 * 200 and long.values["milliseconds"] is None
    assert "more than this length allows" in long.missing["milliseconds"]


def _run(results, data, phase, method, passes, d, ms):
    values = {"passes": passes, "milliseconds": ms, "megabytes": 1.0, "products": passes}
    found = Measurement(values, more={"d": d, "points": 4})
    return results.add(Cell(data, phase, method, 0, dict).name, found, {})


def test_what_is_not_as_printed_is_said():
    results = Results(TABLE, "default")
    for d in (5, 10, 20, 40):
        _run(results, f"T^{d}", "sampling step", "Moser flow", 2.0 + d, d, 1.0 * d)
        _run(results, f"T^{d}", "training step", "implicit, exact", 2.0 + 2 * d, d, d**0.5)
        _run(results, f"T^{d}", "training step", "implicit, Hutchinson", 4.0, d, 2.0)
    _run(results, "S^2", "training step", "implicit, exact", 6.0, 2, 1.0)
    text = "\n".join(growth_lines(results.runs))
    assert "| sampling step | Moser flow | O(1) | 2 + d | 0.9 | 1.0 | 0.0 |" in text
    assert "Moser flow (sampling step): printed O(1), counted 2 + d: its velocity divides" in text
    assert "within d^±0.3, in 2 of 3" in text and "grows faster" not in text
    assert "grows slower" in text and "implicit, exact (training step) d^0.5 for 2 + 2d." in text
    assert "Spheres take the same passes" in text
    assert len(growth_figure(results.runs).axes) == 6


def test_points_are_near_their_origin():
    """Of a wrapped normal law with s = 0.04 on T^3: √(3·0.04) rad in the mean square,
    ± 1/√(2·3·400) of it, here 4 of these."""
    m = Torus(D)
    far = np.asarray(jax.vmap(m.dist, (0, None))(points(m, 400), m.origin()))
    want = np.sqrt(D * 0.04)
    assert np.sqrt((far**2).mean()) == pytest.approx(want, rel=4 / np.sqrt(2 * D * 400))
