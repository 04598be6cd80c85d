"""Diffusion Schrödinger bridges beside the original code (De Bortoli et al. 2021): speed at equal
work, and time to equal quality.

    python benchmarks/peer_dsb.py --peer DIR --peer-python PYTHON

DIR is a check-out of their repository, PYTHON an interpreter with torch. Their task in the plane,
an S-curve to a normal law by an Ornstein–Uhlenbeck process in 20 steps, with their settings
(``peer_dsb_run.py``) and the 5000 iterations a half-step of their README. Both run on one core with
one thread, one after the other.

Equal work: two half-steps, as many training iterations of as many points, the same number of
simulated particles, made anew as often, and a network of two hidden layers of 128. Ours twice: with
compiling, and again in the same process, without. Rates are of wall clock: training examples a
second outside of simulation, simulated paths a second in the second half-step, where both have a
network. The ratios of the whole are also of processor time, which other work on the machine
disturbs less.

Equal quality: the energy distance √(2E|X − Y| − E|X − X'| − E|Y − Y'|) of 10,000 points carried
from the normal law to the curve from as many fresh points of the curve, in units of the data
(``floor``: five fresh samples). Theirs after each of ``--rounds`` rounds of two half-steps (their
configuration has 20), ours by the methods of OURS, with compiling. ``processor_ratio`` is the
processor time of theirs until it was first as near, or of its whole run if it was not, over ours.
Writes benchmarks/results/peer_dsb.json.
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
from typing import Any

import jax
import numpy as np
from bridge_short import energy

from scorefold import Euclidean
from scorefold._provenance import provenance
from scorefold.bridges import (
    BridgeMatching,
    DiffusionSchrodingerBridge,
    GaussianPotential,
    LightBridge,
    fit_bridge,
)
from scorefold.fields import NetworkSpec
from scorefold.noising import Constant, OrnsteinUhlenbeck

HERE = Path(__file__).parent
PARTICLES, STEPS, GAMMA, BATCH, REFRESH, RATE = 10_000, 20, 0.01, 512, 100, 1e-4
NETWORK = NetworkSpec(width=128, depth=2, fourier=0, time_features=8)
OURS: dict[str, Any] = {
    "fitting, two half-steps of 1000": (DiffusionSchrodingerBridge, {"half_steps": 2}),
    "matching, two half-steps of 4000": (
        BridgeMatching,
        {"half_steps": 2, "steps": 4000, "learning_rate": 2e-3},
    ),
    "light bridge, 100 components": (LightBridge, {}),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", required=True)
    parser.add_argument("--peer-python", required=True)
    parser.add_argument("--iterations", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    git = ["git", "-C", options.peer, "rev-parse", "HEAD"]
    commit = subprocess.run(git, capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        back = Path(folder) / "back.json"
        script = [options.peer_python, str(HERE / "peer_dsb_run.py"), options.peer, str(back)]
        counts = [str(options.iterations), str(options.rounds)]
        subprocess.run([*script, *counts], check=True, stdout=subprocess.DEVNULL)
        halves = json.loads(back.read_text())
        with np.load(back.with_suffix(".npz")) as file:
            theirs = dict(file)
    task = Task(theirs["mean"], float(theirs["std"]))
    found = {
        "task": "S-curve to N(m, v I), Ornstein-Uhlenbeck process in 20 steps",
        "peer_commit": commit,
        "iterations_of_a_half_step": options.iterations,
        "equal_work": equal_work(task, halves[:2], options.iterations),
        "equal_quality": equal_quality(task, theirs),
        "theirs_by_half_step": halves,
        "load_average": os.getloadavg()[0],
        **provenance(),
    }
    (HERE / "results" / "peer_dsb.json").write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps({k: found[k] for k in ("equal_work", "equal_quality")}, indent=1))


class Task:
    """Data in units in which the normal law is N(0, I). dX = −(X − m)/v dt + √2 dB for 20 · 0.01 is
    an Ornstein–Uhlenbeck process there, of variance-time 2 · 20 · 0.01/v."""

    def __init__(self, mean: np.ndarray, std: float) -> None:
        self.mean, self.std = mean[None], std
        total = 2 * STEPS * GAMMA / std**2
        self.reference = OrnsteinUhlenbeck(Euclidean(2), Constant(total))
        self.a = ((curve(0) - self.mean) / std).astype(np.float32)
        self.b, self.start = (
            np.random.default_rng(k).normal(size=(PARTICLES, 2)).astype(np.float32) for k in (1, 2)
        )
        self.fresh = curve(100)

    def distance(self, draws: Any) -> float:
        return energy(np.asarray(draws) * self.std + self.mean, self.fresh)


def curve(seed: int) -> np.ndarray:
    t = 1.5 * np.pi * np.random.default_rng(seed).uniform(-1, 1, PARTICLES)
    a = np.stack([np.sin(t), np.sign(t) * (np.cos(t) - 1)], axis=1)
    return (7 * (a - a.mean()) / a.std()).astype(np.float32)


def equal_work(task: Task, halves: list[dict], iterations: int) -> dict[str, Any]:
    bridge = DiffusionSchrodingerBridge(
        task.reference, network=NETWORK, steps=STEPS, baseline="none"
    )
    ours = {}
    for name in ("with_compiling", "without_compiling"):
        wall, processor = time.perf_counter(), time.process_time()
        _, history = fit_bridge(
            bridge, task.a, task.b, key=jax.random.key(0), half_steps=2, steps=iterations,
            paths=PARTICLES, refresh=REFRESH, batch_size=BATCH, learning_rate=RATE, progress=False,
        )  # fmt: skip
        spent = time.perf_counter() - wall, time.process_time() - processor
        ours[name] = rates(history.seconds, history.simulation_seconds, *spent, iterations)
    peer = rates(
        np.array([h["seconds"] for h in halves]),
        np.array([h["simulating"] for h in halves]),
        sum(h["seconds"] for h in halves),
        sum(h["processor_seconds"] for h in halves),
        iterations,
    )
    ratios = {
        name: {
            "training": row["examples_a_second"] / peer["examples_a_second"],
            "simulating": row["paths_a_second"] / peer["paths_a_second"],
            "total": peer["seconds"] / row["seconds"],
            "total_processor": peer["processor_seconds"] / row["processor_seconds"],
        }
        for name, row in ours.items()
    }
    return {"ours": ours, "theirs": peer, "ratios": ratios}


def rates(seconds, simulating, wall: float, processor: float, iterations: int) -> dict:
    simulated = -(-iterations // REFRESH) * PARTICLES
    return {
        "seconds": float(wall),
        "processor_seconds": float(processor),
        "half_steps_seconds": [float(s) for s in seconds],
        "half_steps_simulating": [float(s) for s in simulating],
        "examples_a_second": float(2 * iterations * BATCH / (seconds - simulating).sum()),
        "paths_a_second": float(simulated / simulating[1]),
    }


def equal_quality(task: Task, theirs: dict[str, np.ndarray]) -> dict[str, Any]:
    rows = [
        {"seconds": float(wall), "processor_seconds": float(processor),
         "energy": energy(draws, task.fresh)}
        for (wall, processor), draws in zip(theirs["seconds"], theirs["draws"], strict=True)
    ]  # fmt: skip
    floor = float(np.mean([energy(curve(k), task.fresh) for k in range(101, 106)]))
    found: dict[str, Any] = {"floor": floor, "theirs_by_round": rows, "ours": {}}
    for name, (method, settings) in OURS.items():
        jax.clear_caches()
        wall, processor = time.perf_counter(), time.process_time()
        draws = carried(task, method, settings)
        row = {"seconds": time.perf_counter() - wall,
               "processor_seconds": time.process_time() - processor,
               "energy": task.distance(draws)}  # fmt: skip
        as_near = [r for r in rows if r["energy"] <= row["energy"]]
        row["theirs_was_as_near"] = bool(as_near)
        until = (as_near or rows[-1:])[0]["processor_seconds"]
        row["processor_ratio"] = until / row["processor_seconds"]
        found["ours"][name] = row
    return found


def carried(task: Task, method: type, settings: dict[str, Any]) -> jax.Array:
    """The normal law carried to the curve, training and drawing."""
    key = jax.random.key(0)
    if method is LightBridge:
        light = LightBridge(task.reference, potential=GaussianPotential(100, "full"))
        light, _ = fit_bridge(light, task.b, task.a, key=key, progress=False, **settings)
        return light.sample_forward(jax.random.key(1), task.start, steps=1)
    bridge = method(task.reference, network=NETWORK, steps=STEPS)
    bridge, _ = fit_bridge(bridge, task.a, task.b, key=key, progress=False, **settings)
    return bridge.sample_backward(jax.random.key(1), task.start, steps=STEPS)


if __name__ == "__main__":
    main()
