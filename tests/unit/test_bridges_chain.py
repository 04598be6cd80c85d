"""Chain bridges against iterative proportional fitting on the tensor of all paths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import brownian_reference, chain_bridge, chain_ipf, chain_kernels
from scorefold.manifolds import Torus

N, STATES = 3, 4


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    kernels = rng.uniform(0.2, 1.0, size=(N, STATES, STATES))
    kernels[1, 0, 3] = 0.0
    kernels /= kernels.sum(-1, keepdims=True)
    p0, p1 = rng.dirichlet(np.ones(STATES)), rng.dirichlet(np.ones(STATES))
    with np.errstate(divide="ignore"):
        return np.log(kernels), p0, p1


def tensor_ipf(log_kernels, p0, p1, half_steps):
    """All half steps on the path tensor, 4^4 numbers."""
    k = np.exp(log_kernels)
    path = np.einsum("a,ab,bc,cd->abcd", p0, *k)
    out = [path]
    for i in range(1, half_steps + 1):
        if i % 2:
            path = path * (p1 / path.sum((0, 1, 2)))
        else:
            path = path * (p0 / path.sum((1, 2, 3)))[:, None, None, None]
        out.append(path)
    return out


def marginals(path):
    return np.stack([path.sum(tuple(set(range(4)) - {i})) for i in range(4)])


def test_every_half_step_is_that_of_the_tensor(problem):
    """Marginals at all times, 1e-14, at half steps 0 to 7."""
    iterates = chain_ipf(*problem, half_steps=7)
    for mine, path in zip(iterates, tensor_ipf(*problem, 7), strict=True):
        assert np.abs(np.exp(np.asarray(mine.log_marginals)) - marginals(path)).max() < 1e-14


def test_bridge_is_the_limit_and_its_kernels_are_conditionals(problem):
    """Against 400 half steps on the tensor, 1e-10: marginals, both kernels, the coupling."""
    bridge = chain_bridge(*problem, tolerance=1e-12)
    path = tensor_ipf(*problem, 400)[-1]
    assert bool(bridge.converged) and float(bridge.error) < 1e-12
    assert np.abs(np.exp(np.asarray(bridge.log_marginals)) - marginals(path)).max() < 1e-10
    assert np.abs(np.exp(np.asarray(bridge.log_coupling)) - path.sum((1, 2))).max() < 1e-10
    joint = path.sum((0, 3))  # of x_1 and x_2
    forward, backward = bridge.log_forward_kernels[1], bridge.log_backward_kernels[1]
    assert np.abs(np.exp(np.asarray(forward)) - joint / joint.sum(1, keepdims=True)).max() < 1e-10
    assert np.abs(np.exp(np.asarray(backward)) - joint / joint.sum(0, keepdims=True)).max() < 1e-10


def test_paths_have_the_law_of_the_tensor(problem):
    """Chi-squared of 20,000 paths over the 256: below its 1e-4 quantile."""
    from scipy.stats import chi2

    bridge = chain_bridge(*problem)
    paths = np.asarray(bridge.sample(jax.random.key(0), 20_000))
    law = tensor_ipf(*problem, 400)[-1].ravel()
    counts = np.bincount(paths @ (STATES ** np.arange(N, -1, -1)), minlength=STATES ** (N + 1))
    assert counts[law == 0].sum() == 0
    expected = 20_000 * law[law > 0]
    statistic = ((counts[law > 0] - expected) ** 2 / expected).sum()
    assert statistic < chi2.isf(1e-4, len(expected) - 1)


def test_states_without_weight_stay_empty(problem):
    log_kernels, p0, p1 = problem
    p0 = np.array([0.5, 0.0, 0.5, 0.0])
    bridge = chain_bridge(log_kernels.astype(np.float32), p0, p1)
    first = np.exp(np.asarray(bridge.log_marginals))[0]
    assert first.dtype == np.float32 and np.abs(first - p0).max() < 1e-6
    assert np.exp(np.asarray(bridge.log_forward_kernels))[0][[1, 3]].sum() == pytest.approx(
        2.0, 1e-5
    )


def test_a_noising_process_on_a_grid():
    """Brownian motion on the circle, 32 nodes in 4 steps: rows sum to 1 (the trapezoidal rule is
    exact to rounding here) and the product of the kernels is the kernel of the whole time."""
    nodes = -np.pi + 2 * np.pi * np.arange(32) / 32
    reference = brownian_reference(Torus(1), 1.0)
    weights = np.full(32, 2 * np.pi / 32)
    k = np.exp(np.asarray(chain_kernels(reference, nodes[:, None], weights, jnp.linspace(0, 1, 5))))
    whole = np.exp(
        np.asarray(chain_kernels(reference, nodes[:, None], weights, jnp.array([0.0, 1.0])))
    )
    assert np.abs(k.sum(-1) - 1).max() < 1e-8
    assert np.abs(np.linalg.multi_dot(list(k)) - whole[0]).max() < 1e-9


def test_what_cannot_be_reached_is_named():
    with np.errstate(divide="ignore"):
        log_kernels = np.log(np.eye(3))[None]
    with pytest.raises(ValueError, match=r"p1: no path of the chain joins states \[2\] to p0"):
        chain_bridge(log_kernels, [0.5, 0.5, 0.0], [0.4, 0.4, 0.2])
    with pytest.raises(ValueError, match=r"log_kernels: shape"):
        chain_bridge(np.zeros((3, 3)), np.ones(3), np.ones(3))
