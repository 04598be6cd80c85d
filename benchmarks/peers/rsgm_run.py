"""The original code of Riemannian score-based generative modelling (De Bortoli et al. 2022) on a
given split for given seconds: run by the interpreter of its own environment.

    python rsgm_run.py PEER_DIR --split SPLIT.npz --data flood --seconds 180

PEER_DIR is a check-out of github.com/oxcsml/riemannian-score-sde with one of
github.com/oxcsml/geomstats in it, as its README says; neither has to be installed. Versions that
work together (Python 3.11): jax and jaxlib 0.4.13, numpy < 1.26, scipy < 1.11, dm-haiku 0.0.10,
optax 0.1.7, distrax 0.1.4, diffrax 0.4.1, autograd 1.6, hydra-core 1.3, scikit-learn < 1.4, pandas
< 2.1, matplotlib < 3.8, seaborn, setuptools < 70.

SPLIT holds ``train`` and ``test``, points of the unit sphere. Everything else is the code and the
configuration of the authors for that data set, read by hydra (``--set key=value`` changes it):
network, loss, noise, optimiser, batches, exponential average of the weights, likelihood. Three
things differ. Logging, pictures, checkpoints and validations are left out, which would only make
it slower. ``steps``, which their cosine schedule ends at, is as many as fit into ``--seconds``: a
rehearsal, which is not counted, measures how long compiling and one step take. The warm-up is 2 %
of the steps and at most theirs, the share of their shortest configuration for the sphere; 1000
steps of warm-up would be most of a short run.

The last line is a JSON object. ``seconds`` are of wall clock from building the network to the last
step; ``compile_seconds`` are those until the end of the first one. ``test_nll`` is that of the
averaged weights by their likelihood: dopri5 at 1e-5, exact divergence, from t = 1e-3. Their average
starts from the random weights and is not corrected for it, so that a short run still has some of
them; ``test_nll_last`` is that of the last weights instead. ``lost`` counts points without a finite
density, which are left out of it; ``nfe`` is a mean over batches.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

os.environ["GEOMSTATS_BACKEND"] = "jax"

import numpy as np

EXPERIMENTS = {"volcano": "volcanoe"}
"""Names that are spelt differently there."""
SHARE, REHEARSED = 0.02, 0.05
"""Of the steps for the warm-up; of the seconds for the rehearsal."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("peer", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[], help="key=value of their configuration")
    options = parser.parse_args()
    peer = options.peer.resolve()
    if not (peer / "geomstats" / "geomstats").is_dir():
        parser.error(f"{peer} has no check-out of github.com/oxcsml/geomstats in it")
    sys.path[:0] = [str(peer / "geomstats"), str(peer)]
    import jax

    with np.load(options.split) as file:
        train, test = (np.asarray(file[part], np.float32) for part in ("train", "test"))
    rehearsal = Run(configured(peer, options, 10_000), train)
    rehearsal.step()
    started = time.perf_counter()
    while time.perf_counter() - started < max(1.0, REHEARSED * options.seconds):
        rehearsal.step()
    jax.block_until_ready(rehearsal.state)
    a_step = (time.perf_counter() - started) / (rehearsal.taken - 1)
    steps = max(2, int((options.seconds - rehearsal.compile_seconds) / a_step))
    jax.clear_caches()

    config = configured(peer, options, steps)
    started = time.perf_counter()
    run = Run(config, train)
    for _ in range(steps):
        run.step()
    jax.block_until_ready(run.state)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    averaged, last = (run.test(p, test) for p in (run.state.params_ema, run.state.params))
    found = {
        "steps": steps,
        "seconds": seconds,
        "compile_seconds": run.compile_seconds,
        **averaged,
        **{f"{name}_last": value for name, value in last.items()},
        "test_seconds": time.perf_counter() - started,
        "batch": config.batch_size,
        "warmup_steps": config.warmup_steps,
        "learning_rate": config.optim.learning_rate,
        "set": options.set,
        "parameters": sum(int(p.size) for p in jax.tree_util.tree_leaves(run.state.params)),
        "platform": jax.devices()[0].platform,
        "versions": {"python": platform.python_version()}
        | {name: importlib.metadata.version(name) for name in ("jax", "dm-haiku", "optax")},
    }
    print(json.dumps(found))


def configured(peer: Path, options: argparse.Namespace, steps: int):
    """Their configuration of a data set, as their program would read it, for so many steps."""
    import score_sde.utils  # noqa: F401  (what its files compute with)
    from hydra import compose, initialize_config_dir

    plain = ["server=base", "hydra/hydra_logging=default", "hydra/job_logging=default"]
    experiment = EXPERIMENTS.get(options.data, options.data)
    words = [f"experiment={experiment}", f"steps={steps}", f"seed={options.seed}"]
    with initialize_config_dir(str(peer / "config"), version_base="1.1"):
        theirs = compose("main", overrides=[*plain, *words]).warmup_steps
        words.append(f"warmup_steps={max(1, min(theirs, int(SHARE * steps)))}")
        return compose("main", overrides=[*plain, *words, *options.set])


class Run:
    """Their network, loss and optimiser; ``step`` takes one step of training."""

    def __init__(self, config, train: np.ndarray) -> None:
        import haiku as hk
        import jax
        import jax.numpy as jnp
        import optax
        from hydra.utils import get_class, instantiate
        from score_sde.datasets import DataLoader, TensorDataset
        from score_sde.losses import get_ema_loss_step_fn
        from score_sde.utils import TrainState

        self.started = time.perf_counter()
        keys = jax.random.split(jax.random.PRNGKey(config.seed), 4)
        manifold = instantiate(config.manifold)
        noise = instantiate(config.beta_schedule)
        flow = instantiate(config.flow, manifold=manifold, beta_schedule=noise)
        base = instantiate(config.base, manifold, flow)
        identity = instantiate(config.transform, manifold)
        self.law = instantiate(config.pushf, flow, base, transform=identity)
        width = get_class(config.generator._target_).output_shape(manifold)
        parts = (config.architecture, config.embedding, width)

        def field(y, t, context=None):
            return instantiate(config.generator, *parts, manifold=manifold)(y, t)

        self.field = hk.transform_with_state(field)
        size = config.batch_size
        self.batches = DataLoader(TensorDataset(train), size, keys[0], shuffle=True)
        x, _ = next(self.batches)
        params, carried = self.field.init(keys[1], y=x, t=jnp.zeros((size, 1)))
        rates = optax.scale_by_schedule(instantiate(config.scheduler))
        optimiser = optax.chain(instantiate(config.optim), rates)
        self.state = TrainState(
            opt_state=optimiser.init(params), model_state=carried, step=0, params=params,
            ema_rate=config.ema_rate, params_ema=params, rng=keys[2],
        )  # fmt: skip
        loss = instantiate(
            config.loss, pushforward=self.law, model=self.field, eps=config.eps, train=True
        )
        self.update = jax.jit(get_ema_loss_step_fn(loss, optimizer=optimiser, train=True))
        self.key, self.taken, self.size, self.compile_seconds = keys[3], 0, size, 0.0

        def density(params, x):
            return self.law.get_log_prob((self.field, params, carried), train=False)(x, None)

        self.density = jax.jit(density)

    def step(self) -> None:
        data, context = next(self.batches)
        batch = {"data": data, "context": context}
        (self.key, self.state), loss = self.update((self.key, self.state), batch)
        self.taken += 1
        if self.taken == 1:
            loss.block_until_ready()
            self.compile_seconds = time.perf_counter() - self.started
        elif self.taken % 10 == 0 and not np.isfinite(float(loss)):
            raise RuntimeError(f"their loss is {float(loss)} after {self.taken} steps")

    def test(self, params, points: np.ndarray) -> dict:
        cut = range(self.size, len(points), self.size)
        found = [self.density(params, x) for x in np.split(points, cut)]
        values = np.concatenate([np.asarray(v, np.float64) for v, _ in found])
        finite = np.isfinite(values) & (np.abs(values) < 1e30)
        return {
            "test_nll": float(-values[finite].mean()),
            "nfe": float(np.mean([float(n) for _, n in found])),
            "lost": int((~finite).sum()),
        }


if __name__ == "__main__":
    main()
