"""Training steps per second on the flood data, alone or beside another program.

    python benchmarks/training_speed.py --peer "python their_training.py"

Two networks are trained by ``scorefold.fit``, each with products in float32 and in bfloat16, and
each measurement in a process of its own:

- ``original``: the network, batch, noise and split of De Bortoli et al. 2022 (5 × 512, sine,
  divergence-free output, batch 512, Brownian motion with β from 0.001 to 5, seed-0 split);
- ``default``: what ``ScoreModel(default_noising(...))`` trains (4 × 256 with Fourier features).

The peer is any command that prints, as its last line, a JSON object with ``steps_per_second``
(compilation and warm-up left out) and ``compile_seconds``. It runs in turn with ours, so that
both meet the same state of the machine; each ratio is that of two neighbours in time.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "training_speed.json"
NETWORKS = ("original", "original-bfloat16", "default", "default-bfloat16")


def measure(network: str, steps: int, seed: int, data_dir: str | None) -> dict[str, Any]:
    """One run of ``fit``: its speed without compilation, and the seconds of that."""
    import equinox as eqx
    import jax

    import scorefold as sf
    from scorefold.fields import KillingOutput, sine

    train = sf.data.load("flood", protocol="published", seed=seed, data_dir=data_dir).train
    manifold = sf.Sphere(2)
    name, _, products = network.partition("-")
    arithmetic: dict[str, Any] = {"products": products or "float32"}
    model = {
        "original": sf.ScoreModel(
            sf.Brownian(manifold, sf.Linear(1e-3, 5.0)),
            times=sf.Uniform(),
            network=sf.NetworkSpec(
                width=512, depth=5, fourier=0, time_features=0, activation=sine, **arithmetic
            ),
            output=KillingOutput(),
        ),
        "default": sf.ScoreModel(
            sf.default_noising(manifold, train), network=sf.NetworkSpec(**arithmetic)
        ),
    }[name]
    key = jax.random.key(seed)
    trained, history = sf.fit(model, train, key=key, steps=steps, batch_size=512, progress=False)
    weights = eqx.filter(trained.field.network.layers, eqx.is_array)
    return {
        "steps_per_second": history.steps / history.train_seconds,
        "compile_seconds": history.compile_seconds,
        "steps": history.steps,
        "params": sum(int(w.size) for w in jax.tree.leaves(weights)),
        "loss_last": float(history.loss[-1]),
        "seed": seed,
    }


def command(words: list[str]) -> dict[str, Any]:
    """The JSON object on the last line that a command prints, with the load it began under."""
    load = os.getloadavg()[0]
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(run.stdout.strip().splitlines()[-1]), "load": round(load, 2)}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "median_steps_per_second": statistics.median(r["steps_per_second"] for r in runs),
        "median_compile_seconds": statistics.median(r["compile_seconds"] for r in runs),
        "runs": runs,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="command that prints a JSON line with steps_per_second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=NETWORKS, help="measure once, here, and print the line")
    arguments = parser.parse_args()
    if arguments.only:
        numbers = measure(arguments.only, arguments.steps, arguments.seed, arguments.data_dir)
        print(json.dumps(numbers))
        return

    own = [sys.executable, __file__, "--steps", str(arguments.steps), "--seed", str(arguments.seed)]
    own += ["--data-dir", arguments.data_dir] if arguments.data_dir else []
    programs = {name: [*own, "--only", name] for name in NETWORKS}
    if arguments.peer:
        programs = {"peer": shlex.split(arguments.peer), **programs}
    runs: dict[str, list] = {name: [] for name in programs}
    for _ in range(arguments.rounds):
        for name, words in programs.items():
            runs[name].append(command(words))
            print(name, runs[name][-1], file=sys.stderr)

    from scorefold._provenance import provenance

    document: dict[str, Any] = {
        "what": "training steps per second, flood, batch 512, compilation left out",
        "order": [*programs] * arguments.rounds,
        "seed": arguments.seed,
        **{name: summary(found) for name, found in runs.items()},
        **provenance(),
    }
    if arguments.peer:
        theirs = [r["steps_per_second"] for r in runs["peer"]]
        for name in NETWORKS:
            ours = [r["steps_per_second"] for r in runs[name]]
            pairs = [a / b for a, b in zip(ours, theirs, strict=True)]
            document[f"ratio_{name}"] = {"median": statistics.median(pairs), "pairs": pairs}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
