"""Light bridges on circles, lines and their products: draws are exact at any number of steps."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scorefold.bridges import (
    FittedHeatPotential,
    FittedLightBridge,
    Origins,
    brownian_reference,
)
from scorefold.bridges.reference.pinned import most_turns
from scorefold.bridges.reference.pinned_walk import pinned_step
from scorefold.manifolds import Euclidean, Product, Sphere, Torus
from scorefold.samplers import walk

S, N = 1.5, 20 * 1024
"""So long that, from X to the centres, a sixth of the paths go the longer way round."""
WEIGHTS, TAUS = np.array([0.4, 0.6]), np.array([0.1, 0.9])
C, H = np.array([0.7, 0.3]), np.array([0.3, 0.05])
CIRCLE = -math.pi + 2 * math.pi * np.arange(400) / 400


def wrapped(gap, s):
    """The density of Brownian motion on the circle after s, by NumPy."""
    turns, s = 2 * math.pi * np.arange(-9, 10), np.asarray(s)
    each = np.exp(-0.5 * (np.asarray(gap)[..., None] + turns) ** 2 / s[..., None])
    return each.sum(-1) / np.sqrt(2 * math.pi * s)


def normal(gap, s):
    return np.exp(-0.5 * np.asarray(gap) ** 2 / s) / np.sqrt(2 * math.pi * s)


def light(manifold, centres, taus=TAUS, weights=WEIGHTS):
    """φ = Σ w_k p_{τ_k}(m_k, ·); the origins of the other factor are at the same places."""
    n = len(weights)
    potential = FittedHeatPotential(
        jnp.log(jnp.asarray(weights)), jnp.asarray(centres), jnp.asarray(taus)
    )
    reference = brownian_reference(manifold, S)
    start = Origins(jnp.asarray(centres), jnp.log(jnp.asarray(C[:n])), jnp.asarray(H[:n]))
    return FittedLightBridge(reference, potential, start)


def furthest(draws, density):
    """Kolmogorov's distance of angles from a density on ``CIRCLE`` (its distribution function by
    the trapezium rule, linear in between: wrong by 1e-4 at most here)."""
    p = np.append(density, density[0])
    cdf = np.concatenate([[0.0], np.cumsum(0.5 * (p[1:] + p[:-1]))])
    at = np.interp(np.sort(draws), np.append(CIRCLE, math.pi), cdf / cdf[-1])
    rank = np.arange(len(draws)) / len(draws)
    return max((at - rank).max(), (rank + 1 / len(draws) - at).max())


KOLMOGOROV = 2.3 / math.sqrt(N)
"""Exceeded with probability 2e^{−2·2.3²} = 5e-5."""

X, CENTRES = 2.9, np.array([[-0.6], [0.4]])
ENDS = {
    "forward": (WEIGHTS, TAUS),
    "backward": (C, H),
}


@pytest.mark.parametrize(
    "direction, dtype", [("forward", np.float32), ("backward", np.float64)], ids=str
)
def test_draws_and_paths_on_the_circle_have_the_law_of_the_bridge(direction, dtype):
    """From x (of A, or of B) the states after s and at the end have the joint density

        p_s(x, y) p_{S−s}(y, z) Σ_k c_k p_{t_k}(m_k, z) / Σ_k c_k p_{S+t_k}(m_k, x),

    on a grid of 400 × 400 angles with NumPy. Ends by one step and after a path of three by
    Kolmogorov's distance; five moments E e^{i(aY + bZ)} of a path, Y after its first or second
    step, within 4.5/√N (no part of such an average has a larger standard error than 1/√N)."""
    bridge = light(Torus(1), CENTRES)
    draw = getattr(bridge, f"sample_{direction}")
    start = np.full((N, 1), X, dtype)
    one = draw(jax.random.key(0), start, steps=1)
    paths = draw(jax.random.key(1), start, steps=3, paths=True)
    assert one.dtype == paths.dtype == dtype
    paths = np.asarray(paths, np.float64)[..., 0]
    weights, times = ENDS[direction]
    end = sum(
        c * wrapped(CIRCLE - m, t) for c, m, t in zip(weights, CENTRES[:, 0], times, strict=True)
    )
    whole = wrapped(CIRCLE - X, S) * end
    assert furthest(np.asarray(one, np.float64)[:, 0], whole) < KOLMOGOROV
    assert furthest(paths[:, -1], whole) < KOLMOGOROV
    grid = np.asarray(bridge.grid(3, jnp.float64))
    elapsed = np.abs(grid - grid[0]) if direction == "forward" else (grid[-1] - grid)[::-1]
    for k in (1, 2):
        s = elapsed[k]
        joint = (wrapped(CIRCLE - X, s)[:, None] * end[None, :]
                 * wrapped(CIRCLE[:, None] - CIRCLE[None, :], S - s))  # fmt: skip
        joint /= joint.sum()
        for a, b in ((1, 0), (2, 0), (1, -1), (1, 1), (2, -1)):
            wave = np.exp(1j * (a * CIRCLE[:, None] + b * CIRCLE[None, :]))
            gap = np.exp(1j * (a * paths[:, k] + b * paths[:, -1])).mean() - (joint * wave).sum()
            assert max(abs(gap.real), abs(gap.imag)) < 4.5 / math.sqrt(N)


def test_states_at_a_time_on_the_circle():
    """X_t ~ p_s(x, y) Σ_k w_k p_{S−s+τ_k}(m_k, y), s = tS, by Kolmogorov's distance."""
    drawn = light(Torus(1), CENTRES).sample_at(jax.random.key(2), np.full((N, 1), X), 0.4)
    ahead = sum(w * wrapped(CIRCLE - m, 0.6 * S + t)
                for w, m, t in zip(WEIGHTS, CENTRES[:, 0], TAUS, strict=True))  # fmt: skip
    law = wrapped(CIRCLE - X, 0.4 * S) * ahead
    assert furthest(np.asarray(drawn)[:, 0], law) < KOLMOGOROV


@pytest.mark.parametrize("direction", ENDS)
def test_draws_on_a_line_times_a_circle(direction):
    """Component k has the weight c_k N(x − m_k; S + t_k) wrapped(θ − μ_k; S + t_k); given it, the
    line and the circle are independent, R ~ N(x + S(m_k − x)/(S + t_k), S t_k/(S + t_k)) and the
    circle as above. E of R, R², e^{iθ}, R e^{iθ} and R e^{2iθ} within 4.5 standard errors."""
    manifold = Product(Euclidean(1), Torus(1))
    centres, x = np.array([[0.5, -1.0], [2.0, 0.4]]), np.array([-0.3, 2.9])
    bridge = light(manifold, centres)
    drawn = getattr(bridge, f"sample_{direction}")(
        jax.random.key(3), np.broadcast_to(x, (N, 2)), steps=1
    )
    r, angle = np.asarray(drawn).T
    weights, times = ENDS[direction]
    gap = centres - x
    share = weights * normal(gap[:, 0], S + times) * wrapped(gap[:, 1], S + times)
    share /= share.sum()
    mean = x[0] + S * gap[:, 0] / (S + times)
    variance = S * times / (S + times)
    law = wrapped(CIRCLE - x[1], S) * wrapped(CIRCLE[None] - centres[:, 1:], times[:, None])
    law /= law.sum(1, keepdims=True)
    wave = [(law * np.exp(1j * a * CIRCLE)).sum(1) for a in (1, 2)]
    turn = np.exp(1j * angle)
    for got, want in (
        (r, mean), (r**2, mean**2 + variance), (turn, wave[0]), (r * turn, mean * wave[0]),
        (r * turn**2, mean * wave[1]),
    ):  # fmt: skip
        away = got.mean() - (share * want).sum()
        for part in (np.real, np.imag):
            assert abs(part(away)) < 4.5 * part(got).std() / math.sqrt(N) + 1e-12


def test_the_circle_is_exact_beside_a_curved_factor():
    """Motion on S² × T¹ pinned at one point: the factors are independent, and after two steps of
    the walk on the sphere the angle has the law p_S(x, y) p_τ(y, m)."""
    reference = brownian_reference(Product(Sphere(2), Torus(1)), S)
    tau = float(TAUS[0])
    end = jnp.asarray(S + tau)
    x, m = jnp.array([0.0, 0.6, 0.8, X]), jnp.array([0.0, 0.0, 1.0, -0.6])
    grid = jnp.array([0.0, 0.5 * S, S])

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    @jax.vmap
    def walked(key):
        return walk(pinned_step(reference, m, end, most_turns(S + tau)), key, x, grid, keep=False)

    drawn = np.asarray(walked(jax.random.split(jax.random.key(4), N)))
    law = wrapped(CIRCLE - X, S) * wrapped(CIRCLE + 0.6, tau)
    assert furthest(drawn[:, 3], law) < KOLMOGOROV
    assert np.abs(np.linalg.norm(drawn[:, :3], axis=1) - 1).max() < 1e-12
