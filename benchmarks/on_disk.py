"""Training on rows that stay on disk: steps a second against the number of rows.

    python benchmarks/on_disk.py [--rows 1e5 1e7 1e8] [--steps 300]

A score model of the default size is trained on points of S² in float32, in memory (10⁵ rows) and
from memory-mapped files. Files are written first, in a folder that is removed. Each case runs in a
process of its own: steps a second are those of training, after compiling; ``whole_seconds`` counts
everything, with the look at every row; ``peak_anonymous_mib`` is the memory that is not pages of
the file. Writes benchmarks/results/on_disk.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

OUT = Path(__file__).parent / "results" / "on_disk.json"
_PART = 10**6


def write_points(path: Path, n: int) -> None:
    """Three von Mises–Fisher-like laws on S²."""
    import numpy as np

    rng = np.random.default_rng(0)
    means = np.eye(3)
    rows = np.lib.format.open_memmap(path, "w+", np.float32, (n, 3))
    for first in range(0, n, _PART):
        count = min(_PART, n - first)
        x = means[rng.integers(3, size=count)] + 0.3 * rng.normal(size=(count, 3))
        rows[first : first + count] = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows.flush()


def _anonymous() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) // 1024
    return 0


def one(path: str, in_memory: bool, steps: int) -> dict:
    import jax
    import numpy as np

    import scorefold as sf

    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], _anonymous())

    threading.Thread(target=watch, daemon=True).start()
    rows = np.load(path) if in_memory else np.load(path, mmap_mode="r")
    description = sf.ScoreModel(sf.default_noising(sf.Sphere(2), np.asarray(rows[:1000])))
    since = time.monotonic()
    _, history = sf.fit(description, rows, key=jax.random.key(0), steps=steps, progress=False)
    whole = time.monotonic() - since
    done.set()
    return {
        "rows": len(rows),
        "in_memory": in_memory,
        "steps": steps,
        "steps_a_second": round(steps / history.train_seconds, 2),
        "whole_seconds": round(whole, 1),
        "peak_anonymous_mib": peak[0],
        "loss": round(float(history.loss[-1]), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=float, nargs="+", default=[1e5, 1e7, 1e8])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--one", nargs=3)
    asked = parser.parse_args()
    if asked.one:
        path, in_memory, steps = asked.one
        print(json.dumps(one(path, in_memory == "True", int(steps))))
        return
    from scorefold._provenance import provenance

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for n in map(int, asked.rows):
            path = Path(folder) / f"{n}.npy"
            write_points(path, n)
            for in_memory in (True, False) if n <= 10**5 else (False,):
                words = [sys.executable, __file__, "--one", str(path), str(in_memory)]
                text = subprocess.run(
                    [*words, str(asked.steps)], capture_output=True, text=True, check=True
                ).stdout
                found.append({**json.loads(text.splitlines()[-1]), "load": os.getloadavg()[0]})
                print(found[-1], flush=True)
            path.unlink()
    OUT.write_text(json.dumps({"rows": found, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
