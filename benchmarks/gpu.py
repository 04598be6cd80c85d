"""Rates and errors on one GPU in some minutes, then rows of the long tables.

    python benchmarks/gpu.py --seconds 480
    JAX_PLATFORMS=cpu python benchmarks/gpu.py --quick

First the parts of ``gpu_parts.py``, each in a process of its own with a limit of time: accuracy of
the heat kernels, training in float32, TF32 and bfloat16 against the measured peak of products, heat
kernels, kernel models, likelihoods. ``parts.json`` is written after each row of them.

Then, in the time that is left, rows of ``scorefold bench earth --full`` in order of worth,
published splits, seed 0, networks only; each trains for at most ``--each`` seconds, so that several
are done, and says why it stopped. ``results.json`` is written after each of them, and a run that
was interrupted goes on. A folder holds one length: ``--quick`` writes to another one.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Parts are processes of their own: none takes all memory of the device.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
from gpu_parts import PARTS

from scorefold._provenance import provenance
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
    parser.add_argument("--data-dir", help="folder of the data files of the tables")
    parser.add_argument("--no-tables", action="store_true", help="the parts alone")
    parser.add_argument("--only", choices=PARTS, help="measure one part here, a line for each row")
    arguments = parser.parse_args()
    started = time.perf_counter()
    if arguments.only:
        for row in PARTS[arguments.only][0](arguments.quick):
            print(json.dumps(row), flush=True)
        return 0
    if jax.default_backend() != "gpu" and not arguments.quick:
        print(f"JAX has no GPU here, only {jax.default_backend()}: say --quick.", file=sys.stderr)
        return 2
    length = "quick" if arguments.quick else "full"
    out = arguments.out or OUT.with_name(OUT.name + "-quick" if arguments.quick else OUT.name)
    out.mkdir(parents=True, exist_ok=True)
    _parts(out / "parts.json", arguments.quick, arguments.seconds)
    if arguments.no_tables:
        return 0
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


def _parts(path: Path, quick: bool, seconds: float) -> None:
    """Each part in a process that is ended when its time is over, or that of all; the rows that it
    had printed are kept, with what became of it."""
    begun = time.perf_counter()
    document: dict[str, Any] = {"length": "quick" if quick else "full", "seed": 0, **provenance()}
    for name, (_, limit) in PARTS.items():
        left = min(limit, seconds - (time.perf_counter() - begun))
        part: dict[str, Any] = {"ended": "not run: no time was left", "rows": []}
        document[name] = part
        if left > 0.0:
            words = [sys.executable, __file__, "--only", name, *(["--quick"] if quick else [])]
            since, load = time.perf_counter(), os.getloadavg()[0]
            process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
            clock = threading.Timer(left, process.kill)
            clock.start()
            part["ended"] = "was running"
            for line in process.stdout or ():
                print(name, line.strip(), flush=True)
                part["rows"].append(json.loads(line))
                path.write_text(json.dumps(document, indent=1) + "\n")
            code, over = process.wait(), not clock.is_alive()
            clock.cancel()
            part["ended"] = f"after {left:.0f} s" if over else "" if code == 0 else f"code {code}"
            part |= {"seconds": round(time.perf_counter() - since, 1), "load": round(load, 1)}
        path.write_text(json.dumps(document, indent=1) + "\n")
        print(name, part["ended"] or "done", flush=True)


def _row(request: TableRequest, method: Method, name: str) -> Measurement:
    dataset = load(request, name, "published", 0)
    found = likelihood(method, dataset, request.length)
    trained = found.more.get("train_seconds", 0.0)
    speed = found.more["steps"] / trained if trained else None
    return dataclasses.replace(found, more={**found.more, "steps_per_second": speed})


if __name__ == "__main__":
    sys.exit(main())
