"""Airports of the world: fit a score model on the sphere, score held-out points, draw the density.

    python examples/sphere.py pictures                # half a minute of processor time
    python examples/sphere.py pictures --steps 5000   # sharper

Prints the held-out likelihood beside that of the uniform law and writes ``pictures/airports.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax

import scorefold as sf
from scorefold import report
from scorefold.metrics import held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the picture goes")
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    airports = sf.data.load("airports", protocol="grouped", seed=0)
    sphere = airports.manifold
    model = sf.ScoreModel(
        sf.Brownian(sphere, sf.Linear(0.001, 10.0)),
        network=sf.NetworkSpec(width=128, depth=3),
        s_min=1e-3,
    )
    model, _ = sf.fit(
        model, airports.train, val=airports.val[:256], key=jax.random.key(0),
        steps=arguments.steps, validate_every=arguments.steps,
    )  # fmt: skip

    found = held_out(model, airports.test[:512])
    print(f"uniform law: {sphere.log_volume:.3f} nats a point")
    print(f"score model: {found.nll:.3f} ± {found.standard_error:.3f} nats a point")

    figure = report.globes(
        log_prob=report.tabulated(model.log_prob, sphere, rows=36),
        data={"held-out airports": airports.test},
        earth=True,
        title=f"Airports: score model after {arguments.steps} steps",
    )
    (arguments.folder / "airports.png").write_bytes(report.to_png(figure))


if __name__ == "__main__":
    main()
