"""A wrapped normal law on the torus of dimension 10: how close does a score model come?

    python examples/torus.py pictures

The law is known exactly, so that the held-out likelihood has a floor to be compared with: the
entropy of the law. Prints both and writes ``pictures/torus.png``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import numpy as np

import scorefold as sf
from scorefold import report
from scorefold.metrics import held_out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the picture goes")
    parser.add_argument("--steps", type=int, default=300)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)

    data = sf.data.load("torus-10", protocol="random", seed=0)
    model = sf.ScoreModel(
        sf.Brownian(data.manifold, sf.Linear(0.001, 20.0)),
        network=sf.NetworkSpec(width=256, depth=3),
        s_min=1e-3,
    )
    model, _ = sf.fit(
        model, data.train, val=data.val[:256], key=jax.random.key(0),
        steps=arguments.steps, validate_every=arguments.steps,
    )  # fmt: skip

    found = held_out(model, data.test[:256])
    exact = -float(np.mean(data.law.log_prob(data.test[:256])))
    print(f"uniform law: {data.manifold.log_volume:.3f} nats a point")
    print(f"score model: {found.nll:.3f} ± {found.standard_error:.3f} nats a point")
    print(f"exact law:   {exact:.3f} nats a point, the same points")

    figure = report.picture(
        data.manifold,
        samples=np.asarray(model.sample(jax.random.key(1), 1000)),
        data={"held-out data": data.test},
        pairs=[(0, 1), (2, 3)],
        title=f"T^10: samples after {arguments.steps} steps",
    )
    (arguments.folder / "torus.png").write_bytes(report.to_png(figure))


if __name__ == "__main__":
    main()
