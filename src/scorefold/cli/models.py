"""The models of ``scorefold fit --model`` and their options."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from scorefold import _installed, losses
from scorefold.cli.parser import UsageError, few, positive, real, whole
from scorefold.data import LEAKING, Dataset
from scorefold.fields import NetworkSpec
from scorefold.fitting import History, fit
from scorefold.manifolds import Manifold
from scorefold.models import (
    HeatKernelDensity,
    InformedModel,
    KernelModel,
    ScoreModel,
    default_noising,
)

__all__ = ["LEAST", "MODELS", "add_model_options", "build_model", "choose_model", "fit_kde"]

LEAST = 20
"""Training points below which no neighbourhoods are learned unless that is asked for: with eight
folds, fewer points have neighbourhoods of the whole data."""

_LOSSES: dict[str, Callable[[Manifold], losses.Loss]] = {
    "denoising": lambda m: losses.Denoising(),
    "consecutive": lambda m: losses.ConsecutiveDenoising(),
    "implicit": lambda m: losses.Implicit(),
    "hutchinson": lambda m: losses.Implicit(divergence="hutchinson"),
    "sliced": lambda m: losses.Sliced(),
}
_SCORE = ("loss", "s_min", "products")
_KERNEL = ("floor",)
_TRAINING = ("width", "depth", "batch_size", "learning_rate", "weight_decay", "steps", "budget")
_REFUSED = {
    "kernel": _SCORE,
    "score": _KERNEL,
    "informed": ("loss", "products"),
    "kde": (*_SCORE, *_KERNEL, *_TRAINING),
}


_OWN = (*_SCORE, *_KERNEL, "width", "depth")
"""Refused by the models of installed packages, which are made of a manifold alone."""


class _Names(list[str]):
    """The models, and those of installed packages, which are looked up when they are asked for."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or name in _installed.names("models")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", choices=_Names(MODELS),
        help=f"default: kernel; below {LEAST} training points kde, one bandwidth for all",
    )  # fmt: skip
    both = parser.add_argument_group("all models but kde")
    both.add_argument(
        "--width", type=whole(1, 16384), metavar="N",
        help="hidden units (kernel: 64, score: 256, informed: 64)",
    )  # fmt: skip
    both.add_argument(
        "--depth", type=few, metavar="N", help="hidden layers (kernel: 2, score: 4, informed: 3)"
    )
    kernel = parser.add_argument_group("kernel and informed model")
    kernel.add_argument(
        "--floor", type=real(1e-30, 1e3), metavar="X",
        help="smallest standard deviation of a kernel (default: the smallest positive distance of "
        "two training points)",
    )  # fmt: skip
    score = parser.add_argument_group("score model")
    score.add_argument("--loss", choices=list(_LOSSES), help="default: denoising")
    score.add_argument(
        "--s-min", type=positive, metavar="S",
        help="variance-time of the data end (score: 1e-4; informed: the median of the kernels)",
    )  # fmt: skip
    score.add_argument(
        "--products", choices=["float32", "bfloat16"],
        help="matrix products while training: bfloat16 where the hardware has it (default: "
        "float32)",
    )  # fmt: skip


def choose_model(arguments: argparse.Namespace, dataset: Dataset) -> str:
    """The name of the model: as stated, or what so many points can bear.

    **Raises:** ``UsageError`` for options of another model and for too few points, before anything
    is trained.
    """
    n = len(dataset.train)
    name = arguments.model or ("kernel" if n >= LEAST else "kde")
    for option in _REFUSED.get(name, _OWN):
        if getattr(arguments, option) is not None:
            fallback = "" if arguments.model else (
                f" ({n} training points are too few for the kernel model: below {LEAST} say "
                "--model kernel to have it all the same)"
            )  # fmt: skip
            raise UsageError(
                f"--{option.replace('_', '-')} is not an option of --model {name}{fallback}."
            )
    need = _NEED.get(name, 2)
    different = len(np.unique(np.asarray(dataset.train).reshape(n, -1), axis=0))
    if n < need or different < min(need, 2):
        raise UsageError(
            f"{dataset.name}: {n} training points, {different} of them different, are too few for "
            f"--model {name}, which needs {need}: "
            + ("use --model kde, or more rows." if n >= 2 and name != "kde" and different > 1 else
               "add rows (a tenth of them is kept to validate, a tenth to test).")
        )  # fmt: skip
    return name


_NEED = {"kernel": 4, "score": 2, "informed": 4, "kde": 2}


def build_model(name: str, arguments: argparse.Namespace, dataset: Dataset) -> Any:
    """The model that the command line describes, for the data it will be fitted to."""
    if name in MODELS:
        return MODELS[name](arguments, dataset)
    try:
        return _installed.find("models", name)(dataset.manifold)
    except ValueError as error:
        raise UsageError(f"--model {name}: {error}") from error


def fit_kde(model: Any, dataset: Dataset, key: Any) -> tuple[HeatKernelDensity, History]:
    """A kernel density with the bandwidth that leaves out one point best; no step is taken. With
    so few points the validation points are too few to choose by."""
    started = time.monotonic()
    done = HeatKernelDensity.choose(dataset.manifold, dataset.train)
    nothing = np.zeros(0)
    words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
    history = History(
        step=nothing.astype(np.int64), loss=nothing, val_step=nothing.astype(np.int64),
        val_nll=nothing, steps=0, best_step=0, stopped="closed form",
        seconds=time.monotonic() - started, compile_seconds=0.0, train_seconds=0.0, seed=words,
    )  # fmt: skip
    return done, history


def _stated(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    values = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _kernel(arguments: argparse.Namespace, dataset: Dataset) -> KernelModel:
    return KernelModel(
        dataset.manifold,
        # Where the split lets copies of a training point into the test set, so do the folds.
        grouped=dataset.protocol not in LEAKING,
        **_stated(arguments, "floor", "width", "depth"),
    )


def _score(arguments: argparse.Namespace, dataset: Dataset) -> ScoreModel:
    return ScoreModel(
        default_noising(dataset.manifold, dataset.train),
        loss=_LOSSES[arguments.loss or "denoising"](dataset.manifold),
        network=NetworkSpec(**_stated(arguments, "width", "depth", "products")),
        **_stated(arguments, "s_min"),
    )


def _informed(arguments: argparse.Namespace, dataset: Dataset) -> InformedModel:
    """On a kernel model that is fitted here, with its defaults."""
    base = KernelModel(
        dataset.manifold,
        grouped=dataset.protocol not in LEAKING,
        **_stated(arguments, "floor"),
    )
    key = jax.random.key(arguments.seed)
    base, _ = fit(base, dataset.train, val=dataset.val, key=key, progress=not arguments.quiet)
    return InformedModel(base, **_stated(arguments, "s_min"), **_network(arguments))


def _network(arguments: argparse.Namespace) -> dict[str, Any]:
    stated = _stated(arguments, "width", "depth")
    default = InformedModel.network
    return {"network": dataclasses.replace(default, **stated)} if stated else {}


MODELS: dict[str, Callable[[argparse.Namespace, Dataset], Any]] = {
    "kernel": _kernel,
    "score": _score,
    "informed": _informed,
    "kde": lambda arguments, dataset: None,
}
