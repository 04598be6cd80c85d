"""The same work by scorefold and by others, side by side on one machine: seconds, errors, memory.

    pip install scikit-learn ott-jax POT pykeops pybind11
    python benchmarks/peer_speed.py [--parts kernels transport points light training]
        [--data-dir DIR --rsgm DIR --rsgm-python PYTHON]

- ``kernels``: log densities of kernels of one bandwidth 0.3 n^{−1/6} around n points of S², at 10⁴
  points: heat kernels and wrapped normal kernels by scorefold; exp(−r²/2h²) of the distance by
  ``sklearn.neighbors.KernelDensity(metric="haversine")``, which works in float64; e^{κ⟨x, z⟩} by a
  dense sum in JAX and by KeOps. These are four laws that differ by O(h²): each is judged by the
  float64 sum of its own kernel at 100 of the points (those with a density above 1e-6).
- ``transport``: plans of one cost matrix −log p_S(y | x) on S², S = 0.1, ε = 1, in float32, until
  both marginals are within 1e-4 in L¹, which is judged in float64. POT knows the L² error of one
  marginal alone: it stops at 1e-4/√n, which guarantees as much.
- ``points``: ``bridges.transport`` of the points themselves, with a matrix of costs and without.
- ``light``: ``LightBridge`` between 10⁵ and 10⁵ points of S², by default settings.
- ``training``: steps a second as in ``training_speed.py``, beside the original score code as
  ``peers/rsgm_run.py`` runs it (with ``--rsgm`` and ``--rsgm-python``).

Each measurement is a process of its own (``peer_speed_run.py``), codes in turn; one that takes
longer than ``--limit`` seconds is ended, and said to. ``first`` counts compiling, ``again`` is the
same call once more; ``processor_…`` are processor seconds, which other programs on the machine
change less. Ratios are theirs by ours. benchmarks/results/peer_speed.json is written after
every measurement; parts that are not asked for stay.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OUT = HERE / "results" / "peer_speed.json"
KERNELS = ("ours, heat", "ours, wrapped normal, cells at 1e-4", "scikit-learn, rtol 0",
           "scikit-learn, rtol 1e-4", "dense JAX", "KeOps")  # fmt: skip
PLANS = ("ours", "ott-jax", "ott-jax, scalings", "POT, logarithms", "POT, scalings")
CASES: dict[str, tuple[tuple[int, ...], tuple[str, ...]]] = {
    "kernels": ((10**3, 10**4, 10**5), KERNELS),
    "transport": ((10**3, 4 * 10**3, 10**4), PLANS),
    "points": ((10**3, 4 * 10**3, 10**4), ("a matrix", "no matrix")),
    "light": ((10**5,), ("ours",)),
}
OTHERS = ("scikit-learn", "ott-jax", "POT", "pykeops")


def measured(words: list[str], limit: float) -> dict[str, Any]:
    """The JSON object on the last line that a command prints."""
    load = round(os.getloadavg()[0], 2)
    try:
        run = subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=limit, check=True)
    except subprocess.TimeoutExpired:
        return {"longer_than": limit, "load": load}
    except subprocess.CalledProcessError as error:
        return {"failed": error.returncode, "load": load}
    return {"load": load, **json.loads(run.stdout.strip().splitlines()[-1])}


def part(name: str, options: argparse.Namespace) -> Any:
    """One measurement after the other, each as (case, numbers)."""
    if name == "training":
        yield from training(options)
        return
    sizes, codes = CASES[name]
    for n in (n for n in sizes if n <= options.most):
        for code in codes:
            words = [str(HERE / "peer_speed_run.py"), name, code, str(n)]
            found = measured([sys.executable, *words], options.limit)
            yield {"code": code, "n": n, "command": words[1:], **found}


def training(options: argparse.Namespace) -> Any:
    data = ["--data-dir", options.data_dir] if options.data_dir else []
    if options.rsgm:
        yield {"code": "original score code", **original(options)}
    for network in ("original", "default"):
        words = [str(HERE / "training_speed.py"), "--only", network, "--steps", "200", *data]
        yield {"code": f"ours, {network}", **measured([sys.executable, *words], options.limit)}


def original(options: argparse.Namespace) -> dict[str, Any]:
    """Steps a second of the original score code, judged on eight points, which takes no time."""
    import numpy as np

    import scorefold as sf

    flood = sf.data.load("flood", protocol="published", seed=0, data_dir=options.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        split = Path(folder) / "split.npz"
        np.savez(split, train=np.asarray(flood.train), test=np.asarray(flood.test)[:8])
        words = [str(HERE / "peers" / "rsgm_run.py"), str(options.rsgm), "--split", str(split)]
        words += ["--data", "flood", "--seconds", "15"]
        found = measured([str(options.rsgm_python), *words], options.limit)
    if "seconds" not in found:
        return found
    rate = (found["steps"] - 1) / (found["seconds"] - found["compile_seconds"])
    kept = ("steps", "compile_seconds", "parameters", "versions", "load")
    return {"steps_per_second": rate, **{key: found[key] for key in kept}}


def ratios(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every measurement, its seconds by those of ours of the same size that are the least."""
    found = []
    for run in runs:
        ours = [r for r in runs if r["code"].startswith("ours") and r.get("n") == run.get("n")]
        if run in ours or not ours or "again" not in run:
            continue
        best = {k: min((r[k] for r in ours if k in r), default=None) for k in ("first", "again")}
        by = {k: round(run[k] / value, 2) for k, value in best.items() if value}
        found.append({"code": run["code"], "n": run["n"], **by})
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=[*CASES, "training"])
    parser.add_argument("--most", type=int, default=10**5, help="no sizes above this")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds of a measurement")
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--rsgm", type=Path, help="check-out of the original score code")
    parser.add_argument("--rsgm-python", type=Path, help="interpreter of its environment")
    options = parser.parse_args()
    from scorefold._provenance import provenance

    document = json.loads(OUT.read_text()) if OUT.exists() else {}
    others = {}
    for name in OTHERS:
        try:
            others[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            others[name] = "not installed"
    for name in options.parts:
        runs: list[dict[str, Any]] = []
        for run in part(name, options):
            runs.append(run)
            print(name, json.dumps(run), flush=True)
            document[name] = {
                "words": ["--most", str(options.most), "--limit", f"{options.limit:g}"],
                "runs": runs,
                "theirs_by_ours": ratios(runs),
                "others": others,
                **provenance(),
            }
            OUT.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
