"""Laws in the plane of ``bridge_two_dim.py``: draws, quadrature, and the bridge of two of them.

The bridge is computed by Sinkhorn's algorithm on weighted nodes. Brownian motion in the plane is a
product, so a potential on a rectangle of points is one product of matrices, and its gradient two:
the energy of the probability flow has no noise. Twice as many nodes along each axis, a wider
lattice and a step of 0.07 in place of 0.1 change it by less than 1e-5.
"""

from __future__ import annotations

import numpy as np

TIMES = (np.arange(16) + 2.5) / 20
CENTRES = 5 * np.stack([np.cos(np.pi * np.arange(8) / 4), np.sin(np.pi * np.arange(8) / 4)], 1)


def draw(name: str, n: int, rng: np.random.Generator) -> np.ndarray:
    if name == "normal":
        x = rng.normal(size=(n, 2))
    elif name == "eight":
        x = CENTRES[rng.integers(8, size=n)]
        x = x + np.sqrt(np.sqrt(0.1)) * rng.normal(size=(n, 2))
    elif name == "moons":
        t, inner = np.pi * rng.uniform(size=n), rng.uniform(size=n) < 0.5
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        x = np.where(inner[:, None], [1.0, 0.5] - outer, outer)
        x = 3 * (x + 0.2 * rng.uniform(size=(n, 1))) - 1
    else:
        t = 3 * np.pi * (rng.uniform(size=n) - 0.5)
        x = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], 1)
        x = x + 0.1 * rng.normal(size=(n, 2))
    return x.astype(np.float32)


def nodes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights: a square lattice for laws with a density everywhere (step 0.2, exact
    for all that is smoother than a normal law of deviation 0.3), Gauss's rules elsewhere."""
    if name in ("normal", "eight"):
        line = 0.2 * np.arange(-40, 41)
        x = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
        centres, variance = (CENTRES, np.sqrt(0.1)) if name == "eight" else (np.zeros((1, 2)), 1.0)
        w = np.exp(-0.5 * ((x[:, None] - centres) ** 2).sum(-1) / variance).sum(1)
        kept = w > 1e-13 * w.max()
        x, w = x[kept], w[kept]
    elif name == "moons":
        (t, along), (u, across) = _rule(48, np.pi), _rule(8, 1.0)
        outer = np.stack([np.cos(t), np.sin(t)], 1)
        both = np.concatenate([outer, [1.0, 0.5] - outer])
        x = (3 * (both[:, None] + 0.2 * u[None, :, None]) - 1).reshape(-1, 2)
        w = np.outer(np.tile(along, 2), across).ravel()
    else:
        t, along = _rule(48, 1.5 * np.pi)
        half = np.stack([np.sin(t), np.cos(t) - 1], 1)
        e, share = np.polynomial.hermite_e.hermegauss(6)
        noise = 0.1 * np.stack(np.meshgrid(e, e), -1).reshape(-1, 2)
        x = (np.concatenate([half, -half])[:, None] + noise).reshape(-1, 2)
        w = np.outer(np.tile(along, 2), np.outer(share, share).ravel()).ravel()
    return x, w / w.sum()


def exact_energy(first: str, last: str) -> float:
    """Mean over TIMES of E|v_t|² of the bridge with S = 1 between two of the laws."""
    return energy_between(nodes(first), nodes(last), 1e-8)


def energy_of_points(x: np.ndarray, y: np.ndarray) -> float:
    """The same of the bridge between the empirical laws of two samples."""
    laws = [(p.astype(np.float32), np.full(len(p), 1 / len(p), np.float32)) for p in (x, y)]
    return energy_between(*laws, 1e-3)


def energy_between(first: tuple, last: tuple, tolerance: float, step: float = 0.1) -> float:
    """v = ½(∇log ψ − ∇log φ), its square summed against φψ on a square lattice. ``tolerance``: of
    the L¹ error of the marginal."""
    (x, a), (y, b) = first, last
    kernel = x @ y.T
    kernel -= 0.5 * (x**2).sum(1)[:, None]
    kernel -= 0.5 * (y**2).sum(1)[None, :]
    np.exp(kernel, out=kernel)
    v, error = b.copy(), np.inf
    while error > tolerance:
        u = a / (kernel @ v)
        change = b / (kernel.T @ u)
        error, v = float(np.abs(v / change - 1) @ b), change
    # Transition densities have 1/2πs, and the kernel has not.
    u, v = 2 * np.pi * u.astype(np.float64), v.astype(np.float64)
    both = np.concatenate([x, y]).astype(np.float64)
    axes = [np.arange(both[:, k].min() - 1.5, both[:, k].max() + 1.5, step) for k in (0, 1)]
    energies = []
    for t in TIMES:
        phi, back = _smoothed(axes, x.astype(np.float64), u, t)
        psi, ahead = _smoothed(axes, y.astype(np.float64), v, 1 - t)
        energies.append(0.25 * (phi * psi * ((ahead - back) ** 2).sum(-1)).sum() * step**2)
    return float(np.mean(energies))


def _smoothed(axes: list, x: np.ndarray, w: np.ndarray, s: float) -> tuple:
    """Σ w_i N(z; x_i, sI) and the gradient of its log, on the rectangle of points z."""
    each = [
        np.exp(-0.5 * (z[:, None] - x[:, k]) ** 2 / s) / np.sqrt(2 * np.pi * s)
        for k, z in enumerate(axes)
    ]
    value = (each[0] * w) @ each[1].T
    means = [(each[0] * (w * x[:, k])) @ each[1].T / np.maximum(value, 1e-300) for k in (0, 1)]
    return value, (np.stack(means, -1) - np.stack(np.meshgrid(*axes, indexing="ij"), -1)) / s


def _rule(n: int, length: float) -> tuple[np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(n)
    return 0.5 * length * (x + 1), 0.5 * length * w
