"""What a likelihood on the flood data costs, and how far it is from a tight solution.

    python benchmarks/likelihood_cost.py --model 3000=a.safetensors --model 10000=b.safetensors

Models are files of ``scorefold.save`` with a label, or a number of steps to train for first. For
each, the density of validation points in float32 is compared with the adaptive solver of float64
at a tolerance of 1e-9; speed is points per second of a second call with the same shapes, with the
processor seconds beside it (a busy machine shows in the ratio).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

OUT = Path(__file__).parent / "results" / "likelihood_cost.json"


def trained(steps: int, train: Any, seed: int) -> Any:
    import jax

    import scorefold as sf

    model = sf.ScoreModel(sf.default_noising(sf.Sphere(2), train))
    return sf.fit(model, train, key=jax.random.key(seed), steps=steps, progress=False)[0]


def measure(model: Any, x: Any, points: int) -> dict[str, Any]:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
    import numpy as np

    import scorefold as sf

    def typed(dtype: Any) -> tuple[Any, Any]:
        def change(a: Any) -> Any:
            floating = eqx.is_array(a) and jnp.issubdtype(a.dtype, jnp.floating)
            return a.astype(dtype) if floating else a

        return jax.tree.map(change, model), jnp.asarray(x, dtype)

    def solve(dtype: Any, at: Any, tolerance: float, solver: str) -> Any:
        m, _ = typed(dtype)
        return sf.solve_log_prob(
            m.noising, m.field, at.astype(dtype), s_min=m.s_min, s_max=m.s_max,
            rtol=tolerance, atol=tolerance, solver=solver, max_steps=4096,
        )  # fmt: skip

    near = typed(jnp.float64)[1][:256]
    exact = np.asarray(solve(jnp.float64, near, 1e-9, "adaptive").log_prob)
    many = jnp.tile(jnp.asarray(x, jnp.float32), (points // len(x) + 1, 1))[:points]
    found = {}
    for solver, tolerance in [
        ("multistep", 1e-4), ("multistep", 1e-5), ("adaptive", 1e-4), ("adaptive", 1e-5),
    ]:  # fmt: skip
        density = solve(jnp.float32, near, tolerance, solver)
        error = np.asarray(density.log_prob, np.float64) - exact
        row = {
            "nfe_first_chunk": int(density.nfe[0]),
            "mean_error": float(error.mean()),
            "rms_error": float(np.sqrt(np.mean(error**2))),
            "max_error": float(np.abs(error).max()),
            "estimated_rms_error": float(density.error[0]) if solver == "multistep" else None,
        }
        if tolerance == 1e-5:
            solve(jnp.float32, many[:1024], tolerance, solver)
            wall, cpu = time.perf_counter(), time.process_time()
            spent = np.asarray(solve(jnp.float32, many, tolerance, solver).nfe)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            row |= {
                "nfe_mean": float(spent.mean()),
                "nfe_last_chunk": int(spent[-1]),
                "points": points,
                "points_per_second": points / wall,
                "points_per_cpu_second": points / cpu,
            }
        found[f"{solver} {tolerance:g}"] = row
        print(solver, tolerance, row, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", action="append", help="STEPS, or LABEL=FILE of a saved model")
    parser.add_argument("--points", type=int, default=4096)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", help="folder of the data files (see scorefold.data)")
    parser.add_argument("--out", type=Path, default=OUT)
    arguments = parser.parse_args()

    import jax

    jax.config.update("jax_enable_x64", True)
    import numpy as np

    import scorefold as sf
    from scorefold._provenance import provenance

    seed = arguments.seed
    data = sf.data.load("flood", protocol="published", seed=seed, data_dir=arguments.data_dir)
    results = {}
    for named in arguments.model or ["3000", "10000"]:
        label, _, path = named.partition("=")
        train = np.asarray(data.train, np.float32)
        model = sf.load(path) if path else trained(int(label), train, seed)
        results[label] = measure(model, data.val, arguments.points)
    document = {
        "what": "likelihood on flood, validation points, chunks of 1024, float32; errors in nats",
        "models": results,
        "load": round(os.getloadavg()[0], 2),
        "seed": seed,
        **provenance(),
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
