"""Wasserstein proximal operators: a mean-field game on a line, and sampling without noise.

    python examples/proximal.py pictures

Writes ``pictures/proximal.png`` and prints the numbers of docs/proximal.md. Half a minute.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scorefold import proximal as px
from scorefold import report
from scorefold.report.panels import BLUE, ORANGE, new_figure

jax.config.update("jax_enable_x64", True)


def banana(x: jax.Array) -> jax.Array:
    """½x₁² + 2(x₂ − ½x₁² + 1)²: the Gibbs law is a curved ridge, known up to a constant."""
    return 0.5 * x[0] ** 2 + 2.0 * (x[1] - 0.5 * x[0] ** 2 + 1.0) ** 2


def game_on_a_line() -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """From N(0, 1) towards three modes by the proximal operator of the cross-entropy, s = 1."""
    mixture = px.gaussian_mixture(
        [[-2.0], [0.5], [2.5]], [[[0.09]], [[0.25]], [[0.16]]], [0.3, 0.45, 0.25]
    )
    box = px.PeriodicBox((-25.0,), (50.0,), (1280,))
    x = box.points()
    log_target = jax.vmap(mixture.log_prob)(x)
    calculus, tau, gamma = px.LogKernel(box), 1.0, 0.5
    print("s     KL(N(0, s) || G_s * pi)   KL(WProx(N(0, s)) || pi)   round trip")
    for s in (0.1, 1.0, 4.0):
        start = -0.5 * x[:, 0] ** 2 / s - 0.5 * math.log(2 * math.pi * s)
        end = px.cross_entropy_prox(calculus, log_target, start, s)
        before = box.kl(start, px.inverse_cross_entropy_prox(calculus, log_target, s))
        back = jnp.exp(px.round_trip(calculus, log_target, s)) - jnp.exp(log_target)
        print(f"{s:<5} {before:<25.4f} {box.kl(end, log_target):<26.4f} {jnp.abs(back).max():.0e}")
    start = -0.5 * x[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
    game = px.MeanFieldGame(calculus, -2 * gamma * log_target, start, tau=tau, gamma=gamma)
    times = jnp.linspace(0.0, tau, 101)
    density = densities(game, times)
    seen = np.abs(np.asarray(x[:, 0])) < 4
    return np.asarray(times), np.asarray(x[seen, 0]), np.asarray(density[:, seen]), tau


@eqx.filter_jit
def densities(game: px.MeanFieldGame, times: jax.Array) -> jax.Array:
    return jax.lax.map(lambda t: jnp.exp(game.log_density(t)), times)


def particles_on_a_ridge() -> tuple[np.ndarray, np.ndarray]:
    start = 0.2 * jax.random.normal(jax.random.key(0), (300, 2)) + jnp.asarray([0.0, 1.5])
    kernel = px.ProximalKernel(banana, tau=0.03, beta=1.0)
    end = px.sample_brwp(kernel, start, step=0.03, steps=600)
    # GaussianMoments of the Gibbs law: x₁ ~ N(0, 1), x₂ = ½x₁² − 1 + N(0, ¼).
    print("mean of x2:", f"{end[:, 1].mean():.3f}", "exact", -0.5)
    print("std of x1, x2:", f"{end[:, 0].std():.3f} {end[:, 1].std():.3f}",
          "exact", 1.0, f"{math.sqrt(0.75):.3f}")  # fmt: skip
    return np.asarray(start), np.asarray(end)


def variances(a: float, beta: float) -> dict[float, list[tuple[float, float]]]:
    """Variance of 400 particles after a long run, by step and τ."""
    start = jax.random.normal(jax.random.key(1), (400, 1))
    found: dict[float, list[tuple[float, float]]] = {}
    for step in (0.1, 0.2):
        for tau in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
            kernel = px.ProximalKernel(px.Quadratic([[a]]), tau=tau, beta=beta)
            end = px.sample_brwp(kernel, start, step=step, steps=int(30 / step))
            found.setdefault(step, []).append((tau, float(end.var())))
    for step, rows in found.items():
        worst = max(abs(v / (beta / a * (1 - (a * t) ** 2)) - 1) for t, v in rows if t < 0.5)
        print(f"step {step}:", " ".join(f"{v:.4f}" for _, v in rows), f"worst {worst:.2%}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the picture goes")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)

    figure = new_figure(13, 4)
    left, middle, right = figure.subplots(1, 3)

    times, x, density, tau = game_on_a_line()
    image = left.pcolormesh(times, x, density.T, cmap="viridis", vmin=0, rasterized=True)
    figure.colorbar(image, ax=left, label="density", pad=0.02)
    left.set(xlabel="t", ylabel="x", xlim=(0, tau), title="From N(0, 1) towards three modes")

    start, end = particles_on_a_ridge()
    u, v = np.meshgrid(np.linspace(-3.5, 3.5, 200), np.linspace(-3, 4.5, 200))
    height = np.asarray(jax.vmap(jax.vmap(banana))(jnp.asarray(np.stack([u, v], -1))))
    middle.contour(u, v, np.exp(-height), levels=6, colors="0.6", linewidths=0.8)
    middle.scatter(*start.T, s=5, color=ORANGE, label="start")
    middle.scatter(*end.T, s=9, color=BLUE, label="after 600 steps")
    middle.set(xlabel="$x_1$", ylabel="$x_2$", title="300 particles, no noise")
    middle.legend(loc="upper right", frameon=False)

    a, beta = 1.7, 0.6
    grid = np.linspace(0, 1 / a, 100)
    right.plot(
        grid, beta / a * (1 - (a * grid) ** 2), color="0.3", label=r"$(\beta/a)(1-a^2\tau^2)$"
    )
    styles = (("o", BLUE), ("x", ORANGE))
    for (step, rows), (mark, colour) in zip(variances(a, beta).items(), styles, strict=True):
        right.plot(
            *zip(*rows, strict=True), mark, color=colour, fillstyle="none",
            label=f"400 particles, step {step}",
        )  # fmt: skip
    right.axhline(beta / a, color="0.3", ls=":", label="target")
    right.set(xlabel=r"$\tau$", ylabel="variance", title="Quadratic potential, a = 1.7, β = 0.6")
    right.set_ylim(0, 0.4)
    right.legend(loc="lower left", frameon=False)
    (folder / "proximal.png").write_bytes(report.to_png(figure, dpi=100))


if __name__ == "__main__":
    main()
