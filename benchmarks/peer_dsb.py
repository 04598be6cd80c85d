"""Speed of diffusion Schrödinger bridges beside the original code (De Bortoli et al. 2021).

    python benchmarks/peer_dsb.py --peer DIR --peer-python PYTHON --iterations 2000

DIR is a check-out of their repository, PYTHON an interpreter with torch. Their task in the plane,
an S-curve to N(0, I) by an Ornstein–Uhlenbeck process, 20 steps, with their settings
(``peer_dsb_run.py``); ours with as many training iterations of as many points, the same number of
simulated particles, made anew as often, and a network of two hidden layers of 128. Both on one
core, one after the other, with one thread, two half-steps each (the first simulates without a
network in both). Ours twice: with compiling, and again in the same process, without. Rates are of
wall clock: training examples a second outside of simulation, simulated paths a second in the second
half-step, where both have a network. The ratios of the whole are also of processor time, which
other work on the machine disturbs less. Writes benchmarks/results/peer_dsb.json.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from scorefold import Euclidean
from scorefold._provenance import provenance
from scorefold.bridges import DiffusionSchrodingerBridge, fit_alternating
from scorefold.fields import NetworkSpec
from scorefold.noising import Constant, OrnsteinUhlenbeck

HERE = Path(__file__).parent
PARTICLES, STEPS, BATCH, REFRESH = 10_000, 20, 512, 100


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--iterations", type=int, default=2000)
    options = parser.parse_args()
    git = ["git", "-C", options.peer, "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        back = Path(folder) / "back.json"
        script = [options.peer_python, str(HERE / "peer_dsb_run.py"), options.peer, str(back)]
        subprocess.run([*script, str(options.iterations)], check=True, stdout=subprocess.DEVNULL)
        theirs = json.loads(back.read_text())
    # dX = −X dt + √2 dB for 20 · 0.01: a variance-time of 0.4.
    reference = OrnsteinUhlenbeck(Euclidean(2), Constant(0.4))
    network = NetworkSpec(width=128, depth=2, fourier=0, time_features=8)
    bridge = DiffusionSchrodingerBridge(reference, network=network, steps=STEPS, baseline="none")
    t = 1.5 * np.pi * np.random.default_rng(0).uniform(-1, 1, PARTICLES)
    a = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], axis=1)
    a = (7 * (a - a.mean()) / a.std()).astype(np.float32)
    b = np.random.default_rng(1).normal(size=(PARTICLES, 2)).astype(np.float32)
    ours = {}
    for name in ("with_compiling", "without_compiling"):
        wall, processor = time.perf_counter(), time.process_time()
        _, history = fit_alternating(
            bridge, a, b, key=jax.random.key(0), half_steps=2, steps=options.iterations,
            paths=PARTICLES, refresh=REFRESH, batch_size=BATCH, learning_rate=1e-4, progress=False,
        )  # fmt: skip
        spent = time.perf_counter() - wall, time.process_time() - processor
        ours[name] = summary(
            history.seconds, history.simulation_seconds, *spent, options.iterations
        )
    halves = [theirs[way] for way in ("b", "f")]
    peer = summary(
        np.array([h["seconds"] for h in halves]),
        np.array([h["simulating"] for h in halves]),
        sum(h["seconds"] for h in halves),
        sum(h["processor_seconds"] for h in halves),
        options.iterations,
    )
    found = {
        "task": "S-curve to N(0, I), 20 steps, two half-steps of proportional fitting",
        "peer_commit": commit,
        "iterations_of_a_half_step": options.iterations,
        "ours": ours,
        "theirs": peer,
        "theirs_by_half_step": theirs,
        "ratios": {
            name: {
                "training": row["examples_a_second"] / peer["examples_a_second"],
                "simulating": row["paths_a_second"] / peer["paths_a_second"],
                "total": peer["seconds"] / row["seconds"],
                "total_processor": peer["processor_seconds"] / row["processor_seconds"],
            }
            for name, row in ours.items()
        },
        "load_average": os.getloadavg()[0],
        **provenance(),
    }
    (HERE / "results" / "peer_dsb.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def summary(seconds, simulating, wall: float, processor: float, iterations: int) -> dict:
    simulated = -(-iterations // REFRESH) * PARTICLES
    return {
        "seconds": float(wall),
        "processor_seconds": float(processor),
        "half_steps_seconds": [float(s) for s in seconds],
        "half_steps_simulating": [float(s) for s in simulating],
        "examples_a_second": float(2 * iterations * BATCH / (seconds - simulating).sum()),
        "paths_a_second": float(simulated / simulating[1]),
    }


if __name__ == "__main__":
    main()
