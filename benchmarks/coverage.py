"""Do credible regions hold what they promise? Held-out points in the regions of kernel models.

    python benchmarks/coverage.py --seeds 3

A kernel model (default settings) is fitted to the training points of each data set; the share of
the test points inside its regions of 50 and 90 % is compared with what points of the model's own
law would have. ``z`` is the difference in standard errors √(m(1 − m)(1/n + 1/N)): n test points
that are taken for independent, N draws that set the level. Test points of the Earth and of RNA are
in clusters, so that their true errors are larger. ``area`` is the volume of the region as a share
of the whole space. ``mean`` of several seeds: splits overlap, so that it has no error of its own;
``std`` is that between seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import jax

import scorefold as sf
from scorefold._provenance import provenance
from scorefold.regions import credible_region

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
    for mass in MASSES:
        region = credible_region(model, mass, key=jax.random.key(0), draws=draws)
        found = region.coverage(data.test)
        rows.append({
            "data": name, "protocol": "grouped", "seed": seed, "mass": mass, "n": found.n,
            "coverage": found.value, "standard_error": found.standard_error, "z": found.z,
            "level": region.level, "level_error": region.level_error,
            "area": region.area / data.manifold.volume,
            "area_error": region.area_error / data.manifold.volume,
            "steps": history.steps, "fit_seconds": fitted,
        })  # fmt: skip
    return rows


def summary(records: list[dict]) -> list[dict[str, object]]:
    found = []
    for name, mass in dict.fromkeys((r["data"], r["mass"]) for r in records):
        rows = [r for r in records if (r["data"], r["mass"]) == (name, mass)]
        values = [r["coverage"] for r in rows]
        found.append({
            "data": name, "mass": mass, "seeds": len(rows), "n": rows[0]["n"],
            "coverage": statistics.fmean(values),
            "std": statistics.stdev(values) if len(values) > 1 else None,
            "standard_error": statistics.fmean(r["standard_error"] for r in rows),
            "z": [round(r["z"], 2) for r in rows],
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
