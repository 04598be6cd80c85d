"""Kernel model, plain score network and kernel-informed score network on the earth's data.

    python benchmarks/informed_score.py kernel+informed plain --data flood earthquake --seeds 0 1 2

For each data set, seed and share of the training set (1 and a tenth of it, rows drawn at random):
test NLL on the published split, the validation NLL over time, and the total mass of the informed
model (its mean ratio to the kernels over 512 of their draws). ``plain``: 4000 steps of the default
``ScoreModel``. All choices are made on validation. Each run is added to
benchmarks/results/informed_score.json as it ends.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

OUT = Path(__file__).parent / "results" / "informed_score.json"
PLAIN_STEPS = 4000


def measured(model: Any, history: Any, test: Any, spent: float) -> tuple[dict[str, Any], Any]:
    value = np.asarray(model.log_prob(test), np.float64)
    per_step = (history.seconds - history.compile_seconds) / max(history.steps, 1)
    line = {
        "test_nll": -value.mean(),
        "val_nll": float(history.val_nll.min()),
        "best_step": history.best_step,
        "steps": history.steps,
        "seconds": history.seconds,
        "cpu_seconds": spent,
        "val_curve": [
            [round(history.compile_seconds + per_step * int(s), 2), round(float(v), 5)]
            for s, v in zip(history.val_step, history.val_nll, strict=True)
        ],
    }
    return line, value


def kernel_and_informed(found: Any, train: Any, seed: int) -> dict[str, Any]:
    import jax

    import scorefold as sf

    key, start = jax.random.key(seed), time.process_time()
    base = sf.KernelModel(found.manifold, grouped=False)
    base, history = sf.fit(base, train, val=found.val, key=key, progress=False)
    kernel, before = measured(base, history, found.test, time.process_time() - start)
    start = time.process_time()
    model, history = sf.fit(sf.InformedModel(base), train, val=found.val, key=key, progress=False)
    spent = time.process_time() - start
    # The residual of step 0 is zero, and the model is the kernel model, value by value.
    still = history.best_step == 0
    informed, after = measured(base if still else model, history, found.test, spent)
    gain = after - before
    informed["gain"] = float(gain.mean())
    informed["gain_standard_error"] = float(gain.std() / len(gain) ** 0.5)
    if still:
        return {"kernel": kernel, "informed": informed}
    draws = base.sample(jax.random.key(seed + 100), 512)
    ratio = np.exp(np.asarray(model.log_prob(draws) - base.log_prob(draws), np.float64))
    informed["mass"] = float(ratio.mean())
    informed["mass_standard_error"] = float(ratio.std() / len(ratio) ** 0.5)
    return {"kernel": kernel, "informed": informed}


def plain(found: Any, train: Any, seed: int) -> dict[str, Any]:
    import jax

    import scorefold as sf

    start = time.process_time()
    model = sf.ScoreModel(sf.default_noising(found.manifold, train))
    model, history = sf.fit(
        model, train, val=found.val, key=jax.random.key(seed), steps=PLAIN_STEPS, progress=False,
        validate_every=PLAIN_STEPS // 10,
    )  # fmt: skip
    line, _ = measured(model, history, found.test, time.process_time() - start)
    return {"plain": line}


PARTS = {"kernel+informed": kernel_and_informed, "plain": plain}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=list(PARTS))
    parser.add_argument("--data", nargs="+", default=["flood", "earthquake"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shares", type=float, nargs="+", default=[1.0, 0.1])
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()

    import scorefold as sf
    from scorefold._provenance import provenance

    for share in options.shares:
        for seed in options.seeds:
            for name in options.data:
                found = sf.data.load(
                    name, protocol="published", seed=seed, data_dir=options.data_dir
                )
                rows = np.random.default_rng(seed).permutation(len(found.train))
                train = found.train[np.sort(rows[: round(share * len(rows))])]
                for part in options.parts:
                    for model, line in PARTS[part](found, train, seed).items():
                        where = f"{name}, {share:g} of the training set, seed {seed}, {model}"
                        add(options.out, where, line | provenance())
                        print(where, line["test_nll"], flush=True)


def add(out: Path, where: str, line: dict[str, Any]) -> None:
    runs = json.loads(out.read_text()) if out.exists() else {}
    runs[where] = line
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(dict(sorted(runs.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
