"""The models of ``scorefold fit --model`` and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from scorefold import losses
from scorefold.cli.parser import UsageError, count
from scorefold.data import LEAKING, Dataset
from scorefold.fields import NetworkSpec
from scorefold.manifolds import Manifold
from scorefold.models import KernelModel, ScoreModel, default_noising

__all__ = ["MODELS", "add_model_options", "build_model"]

_LOSSES: dict[str, Callable[[Manifold], losses.Loss]] = {
    "denoising": lambda m: losses.Denoising(),
    "consecutive": lambda m: losses.ConsecutiveDenoising(),
    "implicit": lambda m: losses.Implicit(),
    "hutchinson": lambda m: losses.Implicit(divergence="hutchinson"),
    "sliced": lambda m: losses.Sliced(),
}
_SCORE = ("loss", "s_min", "products")
_KERNEL = ("floor",)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="kernel", choices=list(MODELS), help="default: kernel")
    both = parser.add_argument_group("both models")
    both.add_argument("--width", type=count, help="hidden units (kernel: 64, score: 256)")
    both.add_argument("--depth", type=count, help="hidden layers (kernel: 2, score: 4)")
    kernel = parser.add_argument_group("kernel model")
    kernel.add_argument("--floor", type=float, help="smallest standard deviation of a kernel")
    score = parser.add_argument_group("score model")
    score.add_argument("--loss", choices=list(_LOSSES), help="default: denoising")
    score.add_argument("--s-min", type=float, help="variance-time of the data end: 1e-4")
    score.add_argument(
        "--products", choices=["float32", "bfloat16"],
        help="matrix products while training: bfloat16 where the hardware has it",
    )  # fmt: skip


def build_model(arguments: argparse.Namespace, dataset: Dataset) -> Any:
    """The model that the command line describes, for the data it will be fitted to."""
    others = _KERNEL if arguments.model == "score" else _SCORE
    for name in others:
        if getattr(arguments, name) is not None:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} is not an option of --model {arguments.model}.")
    return MODELS[arguments.model](arguments, dataset)


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


MODELS: dict[str, Callable[[argparse.Namespace, Dataset], Any]] = {
    "kernel": _kernel,
    "score": _score,
}
