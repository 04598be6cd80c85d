"""Rows of the long tables that fit into some minutes on one GPU, in order of worth.

    python benchmarks/gpu.py --seconds 480
    JAX_PLATFORMS=cpu python benchmarks/gpu.py --quick

The rows are those of ``scorefold bench earth --full``, published splits, seed 0, networks only;
each trains for at most ``--each`` seconds, so that several are done, and says why it stopped.
``results.json`` is written after each of them, and a run that was interrupted goes on. A folder
holds one length: ``--quick`` writes to another one.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import sys
import time
from pathlib import Path

import jax

from scorefold.bench import Cell, Measurement, Results, TableRequest, earth
from scorefold.bench.fitted import Method, likelihood, load
from scorefold.bench.runner import keep, write_table
from scorefold.bench.workers import in_turn

OUT = Path(__file__).parent / "results" / "gpu"
ROWS = (
    ("score", "earthquake"),
    ("flow-matching", "earthquake"),
    ("score", "fire"),
    ("flow-matching", "fire"),
    ("score", "flood"),
    ("flow-matching", "flood"),
    ("moser", "earthquake"),
    ("pushforward", "earthquake"),
    ("continuous-flow", "earthquake"),
)
_LEAST = 45.0
"""Seconds that a row takes beside its training: compiling and the likelihood."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=480.0, help="in all")
    parser.add_argument("--each", type=float, default=75.0, help="of training a row, at most")
    parser.add_argument("--quick", action="store_true", help="two rows of few steps, on anything")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--data-dir")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if jax.default_backend() != "gpu" and not arguments.quick:
        print(f"JAX has no GPU here, only {jax.default_backend()}: say --quick.", file=sys.stderr)
        return 2
    length = "quick" if arguments.quick else "full"
    out = arguments.out or OUT.with_name(OUT.name + "-quick" if arguments.quick else OUT.name)
    request = TableRequest(length, data_dir=arguments.data_dir, out=out)
    results = Results(earth.TABLE, length, out)
    for method, name in ROWS[:2] if arguments.quick else ROWS:
        left = arguments.seconds - (time.perf_counter() - started)
        if left < _LEAST + 10.0:
            print(f"{left:.0f} s are left: {method} on {name} and what follows are not run.")
            break
        chosen = earth.METHODS[method]
        if not arguments.quick:
            budget = {"budget": min(arguments.each, left - _LEAST)}
            chosen = dataclasses.replace(chosen, trained={"full": budget})
        make = functools.partial(_row, request, chosen, name)
        cell = Cell(name, "published", method, 0, make)
        if cell.name not in results:
            for done in in_turn([cell], lambda _: True):
                keep(done, results)
    write_table(earth.TABLE, results, out)
    return 1 if results.failed else 0


def _row(request: TableRequest, method: Method, name: str) -> Measurement:
    dataset = load(request, name, "published", 0)
    found = likelihood(method, dataset, request.length)
    trained = found.more.get("train_seconds", 0.0)
    speed = found.more["steps"] / trained if trained else None
    return dataclasses.replace(found, more={**found.more, "steps_per_second": speed})


if __name__ == "__main__":
    sys.exit(main())
