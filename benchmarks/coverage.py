"""Do credible regions hold what they promise? Held-out points in the regions of kernel models.

    python benchmarks/coverage.py --seeds 3

A kernel model (default settings) is fitted to the training points of each data set, and its regions
of 50 and 90 % are asked how many test points they hold: those of the model (the level is set by its
draws) and calibrated ones (by the validation points). ``z`` is the difference to the mass in
standard errors, of n test points and of what set the level, where rows of one place or one group
count as one; ``z_rows`` takes all rows for independent. Events near each other still depend on each
other, so that true errors may be larger. ``area`` is the volume of the region as a share of the
whole space. ``summary`` of several seeds: splits overlap, so that it has no error of its own;
``std`` is that between seeds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import time
from pathlib import Path

import jax

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.regions import calibrated_region, credible_region

OUT = Path(__file__).parent / "results" / "coverage.json"
DATA = ("volcano", "earthquake", "flood", "fire", "rna", "so3-mixture-32")
MASSES, DRAWS = (0.5, 0.9), 20_000


def measured(name: str, seed: int) -> list[dict[str, object]]:
    since = time.perf_counter()
    data = sf.data.load(name, protocol="grouped", seed=seed)
    model, history = sf.fit(
        sf.KernelModel(data.manifold), data.train, val=data.val, key=jax.random.key(seed),
        progress=False,
    )  # fmt: skip
    fitted = time.perf_counter() - since
    draws = model.sample(jax.random.key(1000 + seed), DRAWS)
    rows = []
    groups = {part: data.groups_of(part) for part in ("val", "test")}
    made = {
        "model": lambda m: credible_region(model, m, key=jax.random.key(0), draws=draws),
        "calibrated": lambda m: calibrated_region(
            model, data.val, m, key=jax.random.key(0), draws=draws, groups=groups["val"]
        ),
    }
    for kind, mass in itertools.product(made, MASSES):
        region = made[kind](mass)
        found = region.coverage(data.test, groups=groups["test"])
        alone = math.sqrt(mass * (1 - mass) * (1 / found.n + 1 / (region.held_out or DRAWS)))
        rows.append({
            "data": name, "protocol": "grouped", "seed": seed, "level_by": kind, "mass": mass,
            "n": found.n, "held_out": region.held_out,
            "groups": found.n if groups["test"] is None else len(set(groups["test"].tolist())),
            "coverage": found.value, "standard_error": found.standard_error, "z": found.z,
            "z_rows": (found.value - mass) / alone,
            "level": region.level, "level_error": region.level_error,
            "area": region.area / data.manifold.volume,
            "area_error": region.area_error / data.manifold.volume,
            "steps": history.steps, "fit_seconds": fitted,
        })  # fmt: skip
    return rows


def summary(records: list[dict]) -> list[dict[str, object]]:
    found = []
    cases = dict.fromkeys((r["level_by"], r["data"], r["mass"]) for r in records)
    for kind, name, mass in cases:
        rows = [r for r in records if (r["level_by"], r["data"], r["mass"]) == (kind, name, mass)]
        values = [r["coverage"] for r in rows]
        found.append({
            "level_by": kind, "data": name, "mass": mass, "seeds": len(rows), "n": rows[0]["n"],
            "groups": rows[0]["groups"],
            "coverage": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
            "standard_error": statistics.fmean(r["standard_error"] for r in rows),
            "z": [round(r["z"], 2) for r in rows],
            "z_rows": [round(r["z_rows"], 2) for r in rows],
            "area": statistics.fmean(r["area"] for r in rows),
        })  # fmt: skip
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--out", default=OUT, type=Path)
    arguments = parser.parse_args()
    records: list[dict] = []
    for seed in range(arguments.seeds):
        for name in arguments.data:
            rows = measured(name, seed)
            records += rows
            for row in rows:
                print(json.dumps(row), flush=True)
            document = {"what": __doc__, "summary": summary(records), "records": records}
            arguments.out.write_text(json.dumps({**document, **provenance()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
