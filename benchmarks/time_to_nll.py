"""Seconds of wall clock until the validation NLL on the flood data is at most 1.33 nats.

    python benchmarks/time_to_nll.py --budgets 6 8 10 12

A budget counts as enough when ``fit(..., budget=B)`` returns a model with that validation NLL:
compilation, validations and training included. Each budget is a process of its own, so that
nothing is compiled beforehand; the seconds from the start of that process are given too. Data:
the seed-0 split of De Bortoli et al. 2022; model: ``ScoreModel`` as it is by default.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "time_to_nll.json"
TARGET = 1.33


def measure(arguments: argparse.Namespace, started: float) -> dict[str, Any]:
    """One call of ``fit``, and where its time went."""
    load, cpu = os.getloadavg()[0], time.process_time()
    import jax

    import scorefold as sf

    imported = time.time()
    seed = arguments.seed
    found = sf.data.load("flood", protocol="published", seed=seed, data_dir=arguments.data_dir)
    model = sf.ScoreModel(
        sf.default_noising(found.manifold, found.train),
        network=sf.NetworkSpec(width=arguments.width, depth=arguments.depth),
    )
    called = time.time()
    _, history = sf.fit(
        model,
        found.train,
        val=found.val,
        key=jax.random.key(seed),
        budget=arguments.only,
        learning_rate=arguments.learning_rate,
        validate_every=arguments.validate_every,
        progress=False,
    )
    ended = time.time()
    return {
        "budget": arguments.only,
        "val_nll": float(history.val_nll.min()),
        "reached": bool(history.val_nll.min() <= TARGET),
        "seconds_of_fit": ended - called,
        "seconds_of_process": ended - started,
        "import_seconds": imported - started,
        "compile_seconds": history.compile_seconds,
        "train_seconds": history.train_seconds,
        "cpu_seconds": time.process_time() - cpu,
        "steps": history.steps,
        "validations": len(history.val_nll),
        "load": round(load, 2),
    }


def main() -> None:
    started = time.time()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budgets", type=float, nargs="+", default=[6, 8, 10, 12])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--validate-every", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", type=float, help="run one budget, here, and print the line")
    arguments = parser.parse_args()
    if arguments.only:
        print(json.dumps(measure(arguments, started)))
        return

    runs = []
    for budget in arguments.budgets:
        words = [sys.executable, __file__, *sys.argv[1:], "--only", str(budget)]
        run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        runs.append(json.loads(run.stdout.strip().splitlines()[-1]))
        print(runs[-1], file=sys.stderr)

    from scorefold._provenance import provenance

    enough = [r["seconds_of_fit"] for r in runs if r["reached"]]
    document = {
        "what": f"wall seconds of fit to a validation NLL of at most {TARGET} nats, flood",
        "seconds": min(enough) if enough else None,
        "width": arguments.width,
        "depth": arguments.depth,
        "learning_rate": arguments.learning_rate,
        "validate_every": arguments.validate_every,
        "seed": arguments.seed,
        "runs": runs,
        **provenance(),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
