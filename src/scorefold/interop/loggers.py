"""Loggers of training: callbacks of ``fit`` that write to TensorBoard, Weights & Biases and MLflow.

    from torch.utils.tensorboard import SummaryWriter
    from scorefold.interop.loggers import to_tensorboard

    sf.fit(description, data, key=key, callback=to_tensorboard(SummaryWriter("logs")))

Each takes an open writer, run or client of its package and closes nothing. What is written, by
step: ``loss``, ``val_nll`` (nats) once there is one, ``seconds``. What raises is dropped with a
warning by ``fit``, and training goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from scorefold.fitting.progress import Callback, Progress


@runtime_checkable
class SummaryWriter(Protocol):
    """Of ``torch.utils.tensorboard`` and ``tensorboardX``."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


@runtime_checkable
class RunOfWandb(Protocol):
    """What ``wandb.init`` returns."""

    def log(self, data: Mapping[str, float], step: int) -> None: ...


@runtime_checkable
class MetricsOfMlflow(Protocol):
    """The module ``mlflow``, whose active run is written to."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None: ...


def to_tensorboard(writer: SummaryWriter, prefix: str = "") -> Callback:
    """Scalars ``prefix`` + name of a ``SummaryWriter``.

    callback = to_tensorboard(SummaryWriter("logs"), "kernels/")
    """
    _has(writer, "add_scalar", "writer: a SummaryWriter")

    def callback(progress: Progress) -> None:
        for name, value in progress.scalars().items():
            writer.add_scalar(prefix + name, value, progress.step)

    return callback


def to_wandb(run: RunOfWandb, prefix: str = "") -> Callback:
    """``run.log`` of what ``wandb.init`` returned.

    callback = to_wandb(wandb.init(project="floods"))
    """
    _has(run, "log", "run: what wandb.init returned")
    return lambda progress: run.log(_named(progress, prefix), step=progress.step)


def to_mlflow(mlflow: MetricsOfMlflow, prefix: str = "") -> Callback:
    """``mlflow.log_metrics`` in the active run.

    with mlflow.start_run():
        sf.fit(description, data, key=key, callback=to_mlflow(mlflow))
    """
    _has(mlflow, "log_metrics", "mlflow: the module")
    return lambda progress: mlflow.log_metrics(_named(progress, prefix), step=progress.step)


def _named(progress: Progress, prefix: str) -> dict[str, float]:
    return {prefix + name: value for name, value in progress.scalars().items()}


def _has(one: object, method: str, words: str) -> None:
    if not callable(getattr(one, method, None)):
        raise TypeError(f"{words}, with the method {method}; got {type(one).__name__}.")
