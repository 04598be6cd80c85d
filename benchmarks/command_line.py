"""Seconds of ``scorefold fit`` to the finished report, cold and with the programs that were kept,
and of ``scorefold evaluate``.

    python benchmarks/command_line.py airports --data-dir DATA --peer OTHER/src

Each command is a process of its own. Cold: the folder of compiled programs is empty; kept: the
second run of the same command. ``evaluate`` measures anew: the numbers of the run are taken away
before. Beside wall clock there is the time of the processor, which other programs on the machine
change little. With ``--peer``, another checkout's ``src``, each command runs there first: both
meet the same state of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "results" / "command_line.json"
COLUMNS = ("cold", "kept", "evaluate", "help")


def timed(source: Path, words: list[str], cache: Path) -> dict[str, float]:
    """Wall clock and processor time of one command with the package in ``source``."""
    env = os.environ | {"PYTHONPATH": str(source), "SCOREFOLD_COMPILATION_CACHE": str(cache)}
    load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
    since = time.perf_counter()
    command = [sys.executable, "-m", "scorefold", *words]
    subprocess.run(command, check=True, env=env, capture_output=True)
    wall, after = time.perf_counter() - since, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"wall": round(wall, 2), "processor": round(processor, 2), "load": round(load, 1)}


def measure(
    sources: dict[str, Path], dataset: str, data_dir: str | None, folder: Path
) -> dict[str, Any]:
    """All commands with every package, one after another in turn."""
    where = ["--data-dir", data_dir] if data_dir else []
    found: dict[str, Any] = {name: {} for name in sources}
    for column in COLUMNS:
        for name, source in sources.items():
            out, cache = folder / name / "run", folder / name / "programs"
            cache.mkdir(parents=True, exist_ok=True)
            if column in ("cold", "kept"):
                shutil.rmtree(out, ignore_errors=True)
                words = ["fit", dataset, "--out", str(out), "--quiet", *where]
            elif column == "evaluate":
                numbers = json.loads((out / "metrics.json").read_text())
                found[name]["test_nll"] = numbers["test_nll"]
                (out / "metrics.json").unlink()
                words = ["evaluate", str(out), *where]
            else:
                words = ["--help"]
            found[name][column] = timed(source, words, cache)
            print(dataset, name, column, found[name][column], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--data-dir")
    parser.add_argument("--peer", type=Path, help="src of another checkout")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args()
    sources = {"peer": asked.peer} if asked.peer else {}
    sources["here"] = HERE.parent / "src"
    git = ["git", "-C", str(HERE), "rev-parse", "HEAD"]
    document: dict[str, Any] = {
        "git": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "seconds": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for dataset in asked.datasets:
            found = measure(sources, dataset, asked.data_dir, Path(folder) / dataset)
            document["seconds"][dataset] = found
    asked.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
