"""Models of events on the Earth beside the original code of others: the same machine, the same
split, the same seconds.

    python benchmarks/peers/earth.py --rsgm DIR --rsgm-python PYTHON --seconds 180
    python benchmarks/peers/earth.py --flow-matching DIR --flow-matching-python PYTHON

DIR is a check-out of the authors' repository, PYTHON the interpreter of an environment for it;
what that needs stands in ``rsgm_run.py`` (Riemannian score-based generative modelling, De Bortoli
et al. 2022) and ``flow_matching_run.py`` (Riemannian flow matching, Chen & Lipman 2024). Nothing
of theirs is in this repository.

For each data set the points of ``data.load(name, protocol="published", seed=...)`` are written to
a file. Theirs trains on it for ``--seconds`` of wall clock, compiling included, and is tested by
its own likelihood. Then each of ours, as it is in ``scorefold bench earth``, in a process of its
own, with a budget of the seconds that theirs took, at most ``--seconds``; ``kernel`` ends by
itself, sooner. Test NLL in nats, with respect to area on the unit sphere (the uniform law has
2.531). Theirs sees no validation points, ours chooses the step by them. ``better`` of theirs is
the lower of its two numbers, that of the averaged and that of the last weights, on the test points.

Two numbers from one split say which is ahead on that split. What so few steps do to a method that
was published with 600,000 or a million is no judgement of it: ``steps`` stand beside each number.
``--rsgm-set`` and ``--flow-matching-set`` change their configuration (``optim.learning_rate=1e-3``,
``optim.lr=1e-3``).

benchmarks/results/peers.json is written after every run and keeps what is not asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from scorefold import data
from scorefold._provenance import provenance
from scorefold.bench.earth import DATA, METHODS
from scorefold.bench.fitted import Method, fit_method, split_hash
from scorefold.metrics import held_out

HERE = Path(__file__).parent
OUT = HERE.parent / "results" / "peers.json"
PEERS = {"rsgm": ("score", "kernel"), "flow-matching": ("flow-matching", "kernel")}
"""What of ours is run beside each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for peer in PEERS:
        parser.add_argument(f"--{peer}", type=Path, metavar="DIR")
        parser.add_argument(f"--{peer}-python", metavar="PYTHON")
        parser.add_argument(f"--{peer}-set", nargs="+", default=[], metavar="KEY=VALUE")
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--only", choices=METHODS, help="fit one of ours, here: print the line")
    options = parser.parse_args()
    if options.only:
        (name,) = options.data
        print(json.dumps(ours(options.only, name, options)))
        return
    stated = vars(options)
    asked = [peer for peer in PEERS if stated[peer.replace("-", "_")] is not None]
    if not asked:
        parser.error(f"no check-out is given: --{' DIR or --'.join(PEERS)} DIR")
    for peer in asked:
        folder, python = (stated[f"{peer}{end}".replace("-", "_")] for end in ("", "-python"))
        if not (folder / ".git").exists():
            parser.error(f"--{peer} {folder}: not a check-out of git")
        if python is None:
            parser.error(f"--{peer} needs --{peer}-python, the interpreter of its environment")
        if not Path(python).exists():
            parser.error(f"--{peer}-python {python}: no such interpreter")
    for name in options.data:
        for peer in asked:
            compare(peer, name, options)


def compare(peer: str, name: str, options: argparse.Namespace) -> None:
    """Theirs and then ours on one data set."""
    word = peer.replace("-", "_")
    stated = vars(options)
    folder: Path = stated[word]
    dataset = data.load(name, protocol="published", seed=options.seed, data_dir=options.data_dir)
    about = {"data": name, "peer": peer, "seed": options.seed, "split": split_hash(dataset)}
    common = ["--data", name, "--seed", str(options.seed)]
    with tempfile.TemporaryDirectory() as scratch:
        split = Path(scratch) / "split.npz"
        np.savez(split, train=dataset.train, val=dataset.val, test=dataset.test)
        words = [stated[f"{word}_python"], str(HERE / f"{word}_run.py"), str(folder), *common]
        words += ["--split", str(split), "--seconds", str(options.seconds)]
        changed = stated[f"{word}_set"]
        theirs = command(words + (["--set", *changed] if changed else []))
    theirs["better"] = min(v for k, v in theirs.items() if k.startswith("test_nll"))
    commits = {path.name: commit(path) for path in (folder, folder / "geomstats") if path.exists()}
    keep(options.out, {**about, "code": peer, "commits": commits, **theirs})
    budget = min(options.seconds, theirs["seconds"])
    for method in PEERS[peer]:
        words = [sys.executable, __file__, *common, "--only", method, "--seconds", str(budget)]
        found = command(words + (["--data-dir", options.data_dir] if options.data_dir else []))
        if found["split"] != about["split"]:
            raise RuntimeError(f"{name}: the two sides did not read the same points")
        found["ahead_by"] = theirs["better"] - found["test_nll"]
        keep(options.out, {**about, "code": f"scorefold {method}", **found})


def ours(name: str, of: str, options: argparse.Namespace) -> dict[str, Any]:
    """One of ours, as in the table of the Earth but for the seconds."""
    dataset = data.load(of, protocol="published", seed=options.seed, data_dir=options.data_dir)
    method = METHODS[name]
    if "budget" in method.trained.get("default", {}):
        trained = {"default": {"budget": options.seconds}}
        method = Method(method.model, method.stated, trained, method.joined)
    found = fit_method(method, dataset, "default")
    test = held_out(found.model, dataset.test)
    return {
        "steps": found.history.steps,
        "best_step": found.history.best_step,
        "stopped": found.history.stopped,
        "seconds": found.seconds,
        "budget": options.seconds,
        "within_budget": found.seconds <= 1.02 * options.seconds,
        "compile_seconds": found.history.compile_seconds,
        "test_nll": test.nll,
        "val_nll": held_out(found.chosen, dataset.val).nll,
        "standard_error": test.standard_error,
        "nfe": test.nfe,
        "split": split_hash(dataset),
    }


def command(words: list[str]) -> dict[str, Any]:
    """The JSON object on the last line that a command prints, with the load it began under. Neither
    side finds programs that were compiled before."""
    load = os.getloadavg()[0]
    kept = ("SCOREFOLD_COMPILATION_CACHE", "JAX_COMPILATION_CACHE_DIR")
    cold = {name: value for name, value in os.environ.items() if name not in kept}
    run = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, env=cold)
    return {**json.loads(run.stdout.strip().splitlines()[-1]), "load": round(load, 2)}


def commit(folder: Path) -> str:
    words = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def keep(target: Path, run: dict[str, Any]) -> None:
    """Add a run to the file, in the place of an older one of the same name."""
    print(json.dumps(run), flush=True)

    def name(row: dict[str, Any]) -> tuple:
        return row["peer"], row["data"], row["seed"], row["code"]

    old = json.loads(target.read_text())["runs"] if target.exists() else []
    runs = [row for row in old if name(row) != name(run)]
    document = {
        "what": "test NLL in nats, protocol published: the same machine, points and seconds",
        "runs": [*runs, {**provenance(), **run}],
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
