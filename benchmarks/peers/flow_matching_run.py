"""The original code of Riemannian flow matching (Chen & Lipman 2024) on a given split for given
seconds: run by the interpreter of its own environment.

    python flow_matching_run.py PEER_DIR --split SPLIT.npz --data flood --seconds 180

PEER_DIR is a check-out of github.com/facebookresearch/riemannian-fm (CC BY-NC 4.0: for uses that
are not commercial), which does not have to be installed. Versions that work together (Python
3.11): torch 2.13, pytorch-lightning 2.6, torchdiffeq 0.2.5, geoopt 0.5.1, hydra-core 1.3,
hydra-submitit-launcher, hydra_colorlog, torchmetrics, geopandas, libigl, pyevtk 1.7, scikit-learn,
matplotlib, numpy < 2.

SPLIT holds ``train`` and ``test``, points of the unit sphere. Network, loss, optimiser, schedule,
average of the weights and exact divergence are the code of the authors with the configuration of
their main file (512 units, 8 layers, batches of 1024), which ``--set key=value`` changes. The
files for each data set are for one GPU and a million steps (2048 units, 7 to 12 layers, batches of
8192 or 16384): some seconds to minutes a step on two cores; ``--experiment`` takes them instead.
Their trainer, with validations and checkpoints, is left out, so that the last average is tested
and not that of the best validation. Batches are drawn with replacement. The steps that the cosine
schedule ends at are as many as fit into ``--seconds`` by a rehearsal, which is not counted.

The last line is a JSON object. ``seconds`` are of wall clock from building the network to the last
step. ``test_nll`` is by the ODE with dopri5 at 1e-5; their default, 1000 steps of Euler's method
with projections, is ``--set eval_projx=True`` (minutes to hours on two cores).
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
import warnings
from pathlib import Path

os.environ["GEOMSTATS_BACKEND"] = "pytorch"

import numpy as np

REHEARSED, TESTED = 0.05, 512
"""Of the seconds for the rehearsal; points that are tested at once."""
LIKELIHOOD = ["eval_projx=False", "model.atol=1e-5", "model.rtol=1e-5"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--experiment", action="store_true", help="their file of this data set")
    parser.add_argument("--set", nargs="*", default=[], help="key=value of their configuration")
    options = parser.parse_args()
    peer = options.peer.resolve()
    sys.path.insert(0, str(peer))
    warnings.simplefilter("ignore")
    import torch

    with np.load(options.split) as file:
        train, test = (torch.tensor(file[part], dtype=torch.float32) for part in ("train", "test"))
    torch.manual_seed(options.seed)
    rehearsal = Run(configured(peer, options, 10_000), train)
    rehearsal.step()
    built = time.perf_counter() - rehearsal.started
    started = time.perf_counter()
    while time.perf_counter() - started < max(1.0, REHEARSED * options.seconds):
        rehearsal.step()
    a_step = (time.perf_counter() - started) / (rehearsal.taken - 1)
    steps = max(2, int((options.seconds - built) / a_step))

    torch.manual_seed(options.seed)
    config = configured(peer, options, steps)
    run = Run(config, train)
    for _ in range(steps):
        run.step()
    seconds = time.perf_counter() - run.started
    started = time.perf_counter()
    found = {
        "steps": steps,
        "seconds": seconds,
        "compile_seconds": 0.0,
        **run.test(test),
        "test_seconds": time.perf_counter() - started,
        "batch": config.optim.batch_size,
        "learning_rate": config.optim.lr,
        "set": options.set,
        "parameters": sum(p.numel() for p in run.module.parameters() if p.requires_grad),
        "platform": "cpu",
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("torch", "geoopt", "torchdiffeq")},
    }
    print(json.dumps(found))


def configured(peer: Path, options: argparse.Namespace, steps: int):
    """Their configuration of a data set, as their program would read it, for so many steps."""
    from hydra import compose, initialize_config_dir

    words = [f"experiment={options.data}"] if options.experiment else [f"data={options.data}"]
    words += [f"optim.num_iterations={steps}", f"seed={options.seed}", *LIKELIHOOD, *options.set]
    words += ["hydra/hydra_logging=default", "hydra/job_logging=default"]
    with initialize_config_dir(str(peer / "configs"), version_base=None):
        return compose("train", overrides=words)


class Run:
    """Their module and its optimiser; ``step`` takes one step of training."""

    def __init__(self, config, train) -> None:
        import manifm.model_pl
        from manifm.manifolds import Sphere

        # Theirs reads a file of points to know that they lie on a sphere.
        manifm.model_pl.get_manifold = lambda config: (Sphere(), 3)
        self.started = time.perf_counter()
        self.module = manifm.model_pl.ManifoldFMLitModule(config)
        self.module.log = self.nothing
        chosen = self.module.configure_optimizers()
        self.optimiser, self.rates = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
        self.points, self.size, self.taken = train, config.optim.batch_size, 0
        self.module.train()

    def nothing(self, *args, **kwargs) -> None:
        """In place of what would write to the trainer's log, but for the count of evaluations."""
        if args[0] == "nfe":
            self.evaluations = float(args[1])

    def step(self) -> None:
        import torch

        rows = torch.randint(len(self.points), (self.size,))
        loss = self.module.loss_fn(self.points[rows])
        if torch.isfinite(loss):
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            self.module.model.update_ema()
        self.rates.step()
        self.taken += 1

    def test(self, points) -> dict:
        """With the averaged weights. Where their likelihood fails it gives zeros, and no error:
        these are no densities."""
        self.module.eval()
        values, evaluations = [], []
        for part in points.split(TESTED):
            values.append(self.module.compute_exact_loglikelihood(part).double().numpy())
            evaluations.append(self.evaluations)
            if not values[-1].any():
                raise RuntimeError("their likelihood failed and gave zeros; see the lines above")
        found = np.concatenate(values)
        finite = np.isfinite(found)
        return {
            "test_nll": float(-found[finite].mean()),
            "nfe": float(np.mean(evaluations)),
            "lost": int((~finite).sum()),
        }


if __name__ == "__main__":
    main()
