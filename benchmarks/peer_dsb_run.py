"""Half-steps of proportional fitting by the original code of diffusion Schrödinger bridges: run by
the interpreter that has torch.

    python peer_dsb_run.py PEER_DIR RESULT.json ITERATIONS

Their network, Langevin sampler, cache and data of the plane (S-curve), with the settings of their
configuration for it: 20 steps of 0.01, 10,000 particles in a cache that is made anew every 100
iterations, batches of 512, Adam at 1e-4, no mean matching (the file of the data set turns off what
the main file turns on). The loop is that of their training step, without logging, pictures and the
launcher, which would make it slower. Seconds are of wall clock and of the processor, "simulating"
being part of "seconds". The first half-step simulates without a network.
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
    peer, target, iterations = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
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
    mean, std = torch.zeros(2), torch.ones(2)
    langevin = Langevin(STEPS, (2,), gammas, None, mean_final=mean, var_final=std**2,
                        mean_match=False)  # fmt: skip
    points = DataLoader(two_dim_ds(PARTICLES, "scurve"), batch_size=PARTICLES, shuffle=True)

    def forever(loader):
        while True:
            yield from loader

    nets = {"b": ScoreNetwork(), "f": ScoreNetwork()}
    found = {}
    for way, other in (("b", "f"), ("f", "b")):
        source = forever(points)
        nets[way] = ScoreNetwork()
        optimiser = torch.optim.Adam(nets[way].parameters(), lr=RATE)
        simulating = np.zeros(2)
        started = clocks()
        for i in range(iterations):
            if i % REFRESH == 0:
                begun = clocks()
                cache = CacheLoader(way, nets[other], source, 1, langevin, 1, mean, std, PARTICLES)
                simulating += clocks() - begun
                batches = forever(DataLoader(cache, batch_size=BATCH))
            x, out, steps = next(batches)
            loss = torch.nn.functional.mse_loss(nets[way](x, total - steps), out)
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
        wall, processor = clocks() - started
        found[way] = {
            "seconds": wall,
            "simulating": simulating[0],
            "processor_seconds": processor,
            "processor_simulating": simulating[1],
        }
    Path(target).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
