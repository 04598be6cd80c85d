"""The models of ``scorefold fit --model`` and their options."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from scorefold import losses
from scorefold.cli.parser import UsageError, count
from scorefold.data import LEAKING, Dataset
from scorefold.fields import NetworkSpec
from scorefold.fitting import fit
from scorefold.manifolds import Manifold
from scorefold.models import InformedModel, KernelModel, ScoreModel, default_noising

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
_REFUSED = {"kernel": _SCORE, "score": _KERNEL, "informed": ("loss", "products")}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="kernel", choices=list(MODELS), help="default: kernel")
    both = parser.add_argument_group("all models")
    both.add_argument("--width", type=count, help="hidden units (kernel, informed: 64, score: 256)")
    both.add_argument(
        "--depth", type=count, help="hidden layers (kernel: 2, score: 4, informed: 3)"
    )
    kernel = parser.add_argument_group("kernel and informed model")
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
    for name in _REFUSED[arguments.model]:
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
}
