"""A small run that can be killed.

As a program, ``toy_run.py OUT [FAULT=VALUE [STEPS]]``, it goes on with the run in OUT and prints a
digest of the result.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

jax.config.update("jax_enable_x64", True)

sys.path.insert(0, str(Path(__file__).parents[1]))

from toys import Toy  # noqa: E402

from scorefold.fitting import container, fit  # noqa: E402

STEPS = 400
DATA = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
VAL = np.random.default_rng(1).normal(size=(100, 3)).astype(np.float32)


class Net(Toy):
    """Denoising regression by a small network: the loss is random."""

    width: int = 16
    net: eqx.nn.MLP | None = None

    def init(self, key, data):
        return Net(self.width, eqx.nn.MLP(3, 3, self.width, 2, dtype=data.dtype, key=key))

    def batch_loss(self, x, key):
        noisy = x + 0.5 * jax.random.normal(key, x.shape, x.dtype)
        return jnp.sum((jax.vmap(self.net)(noisy) - x) ** 2, axis=-1)

    def validate(self, x, key):
        return jnp.mean(self.batch_loss(x, key))


def train(out, steps=STEPS, **kwargs):
    settings = {"batch_size": 64, "validate_every": 100, "progress": False, "save_every": 0.0}
    return fit(
        Net(), DATA, val=VAL, key=jax.random.key(7), steps=steps, out=out, **settings | kwargs
    )


def digest(model, history):
    hashed = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array)):
        hashed.update(np.asarray(leaf).tobytes())
    for values in (history.loss, history.val_nll, history.val_step):
        hashed.update(values.tobytes())
    return f"{history.best_step} {hashed.hexdigest()}"


def at_save(number, action):
    """Do something in save ``number``, when the bytes are written but not yet renamed."""
    count, sync = 0, os.fsync

    def fsync(handle):
        nonlocal count
        # Two for a save: the file, then its directory.
        count += 1
        if count == 2 * number - 1:
            action()
        sync(handle)

    container.os.fsync = fsync


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def say_and_wait():
    print("saving", flush=True)
    time.sleep(60)


if __name__ == "__main__":
    what, value = sys.argv[2].split("=") if len(sys.argv) > 2 else ("", "")
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else STEPS
    if what == "kill-in-save":
        at_save(int(value), die)
    elif what == "wait-in-save":
        at_save(int(value), say_and_wait)
    elif what == "kill-after":
        at_save(1, lambda: threading.Timer(float(value), die).start())
    print(digest(*train(sys.argv[1], steps=steps, resume=True)))
