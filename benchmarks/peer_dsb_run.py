"""Half-steps of proportional fitting by the original code of diffusion Schrödinger bridges: run by
the interpreter that has torch.

    python peer_dsb_run.py PEER_DIR RESULT.json ITERATIONS ROUNDS

A round is a half-step of each direction. After the backward half-step of each, 10,000 points are
drawn from N(m, v I) and carried to the data as their code draws its pictures (no noise in the last
step), and written to RESULT.npz with the seconds spent until then; drawing them is not counted.

Their network, Langevin sampler, cache and data of the plane (S-curve), with the settings of their
configuration for it: 20 steps of 0.01, 10,000 particles in a cache that is made anew every 100
iterations, batches of 512, Adam at 1e-4, no mean matching (the file of the data set turns off what
the main file turns on), m and v the mean and the variance of 100 points. The loop is that of their
training step, without logging, pictures and the launcher, which would make it slower. Seconds are
of wall clock and of the processor, "simulating" being part of "seconds". The first half-step
simulates without a network.
"""

import json
import sys
import time
import types
from pathlib import Path

import numpy as np

PARTICLES, STEPS, GAMMA, BATCH, REFRESH, RATE = 10_000, 20, 0.01, 512, 100, 1e-4


def clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    peer, target = Path(sys.argv[1]), Path(sys.argv[2])
    iterations, rounds = int(sys.argv[3]), int(sys.argv[4])
    # Packages without their __init__, which import much that this does not need.
    for name in ("bridge", "bridge.models", "bridge.models.basic", "bridge.data"):
        package = types.ModuleType(name)
        package.__path__ = [str(peer / name.replace(".", "/"))]
        sys.modules[name] = package
    import torch
    from bridge.data.cacheloader import CacheLoader
    from bridge.data.two_dim import two_dim_ds
    from bridge.langevin import Langevin
    from bridge.models.basic.basic import ScoreNetwork
    from torch.utils.data import DataLoader

    torch.set_num_threads(1)
    torch.manual_seed(0)
    gammas = torch.full((STEPS,), GAMMA)
    total = gammas.sum()
    some = next(iter(DataLoader(two_dim_ds(PARTICLES, "scurve"), batch_size=100)))[0]
    mean, std = some.mean(axis=0), some.var().sqrt()
    langevin = Langevin(STEPS, (2,), gammas, None, mean_final=mean, var_final=std**2,
                        mean_match=False)  # fmt: skip
    points = DataLoader(two_dim_ds(PARTICLES, "scurve"), batch_size=PARTICLES, shuffle=True)

    def forever(loader):
        while True:
            yield from loader

    nets = {"b": ScoreNetwork(), "f": ScoreNetwork()}
    found, curve = [], []
    spent = np.zeros(2)
    for k in range(2 * rounds):
        way, other = ("b", "f") if k % 2 == 0 else ("f", "b")
        source = forever(points)
        nets[way] = ScoreNetwork()
        optimiser = torch.optim.Adam(nets[way].parameters(), lr=RATE)
        simulating = np.zeros(2)
        started = clocks()
        for i in range(iterations):
            if i % REFRESH == 0:
                begun = clocks()
                n = k // 2 + 1
                cache = CacheLoader(way, nets[other], source, 1, langevin, n, mean, std, PARTICLES)
                simulating += clocks() - begun
                batches = forever(DataLoader(cache, batch_size=BATCH))
            x, out, steps = next(batches)
            loss = torch.nn.functional.mse_loss(nets[way](x, total - steps), out)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        used = clocks() - started
        spent += used
        found.append({
            "way": way,
            "seconds": used[0],
            "simulating": simulating[0],
            "processor_seconds": used[1],
            "processor_simulating": simulating[1],
        })  # fmt: skip
        if way == "b":
            with torch.no_grad():
                first = mean + std * torch.randn((PARTICLES, 2))
                states = langevin.record_langevin_seq(nets["b"], first, ipf_it=n, sample=True)[0]
            curve.append((*spent, states[:, -1].numpy()))
        target.write_text(json.dumps(found))
        np.savez(target.with_suffix(".npz"), mean=mean.numpy(), std=std.numpy(),
                 seconds=np.array([row[:2] for row in curve]),
                 draws=np.stack([row[2] for row in curve]))  # fmt: skip


if __name__ == "__main__":
    main()
