"""Models by name, fitted to a data set and measured by their likelihood."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scorefold import data
from scorefold._types import Document, NumPyOrJax, ReadOnlyDocument
from scorefold._weights import average
from scorefold.bench.contract import Length, Measurement, TableRequest
from scorefold.data import Dataset
from scorefold.data.columns.audit import leak
from scorefold.fitting import Description, History, save
from scorefold.metrics import held_out
from scorefold.models import FittedKernelModel, FittedMoserFlow, FittedScoreModel, Model
from scorefold.models.flows._base import FlowModel
from scorefold.runs.models.choices import ModelTask, model_choice
from scorefold.runs.models.pictures import Density, coarse_density

_CURVE = 60
"""Points of a learning curve that are kept."""


Training = Mapping[Length, Mapping[str, int | float]]
"""What ``fit`` is told at each length."""


def trained(seconds: float, quick: Mapping[str, int | float], **full: int) -> Training:
    """``quick`` at the quick length, ``seconds`` of wall clock, compiling included, by default, and
    at full length the published steps and batch."""
    return {"quick": quick, "default": {"budget": seconds}, "full": full}


@dataclass(frozen=True)
class Method:
    """``model``: a name of ``--model``, with settings ``stated``. ``trained``: for each length,
    what ``fit`` is told (steps or a budget in seconds); empty for its defaults. ``joined``: kernels
    at validation points too, once they have chosen. ``describe``: the description itself, where
    settings of the command line do not say it. ``at_quick``: settings of the quick length, instead
    of ``stated``."""

    model: str
    stated: ReadOnlyDocument = field(default_factory=dict)
    trained: Training = field(default_factory=dict)
    joined: bool = False
    describe: Callable[[Dataset], Description] | None = None
    at_quick: ReadOnlyDocument = field(default_factory=dict)


class FittedModel(NamedTuple):
    """``model`` is tested, ``chosen`` is the one that validation points chose among."""

    model: Model
    chosen: Model
    history: History
    seconds: float


def fit_method(method: Method, dataset: Dataset, length: Length) -> FittedModel:
    """The same as ``scorefold fit --model``, with the seed of the data set."""
    fewer = method.at_quick if length == "quick" else {}
    task = ModelTask(dataset, {**method.stated, **fewer}, dataset.seed, False)
    started = time.perf_counter()
    training = dict(method.trained.get(length, {}))
    choice, describe = model_choice(method.model), method.describe
    if describe is not None:
        choice = dataclasses.replace(choice, build=lambda task: describe(task.data))
    if choice.trained:
        training["progress"] = False
    model, history = choice.fit(task, **training)
    chosen = model
    if method.joined:
        assert isinstance(model, FittedKernelModel)
        w = None
        if dataset.weights is not None:
            w = dataset.weights[np.concatenate([dataset.indices.train, dataset.indices.val])]
        model = model.with_centres(jnp.concatenate([dataset.train, dataset.val]), w)
    jax.block_until_ready(jax.tree.leaves(eqx.filter(model, eqx.is_array)))
    return FittedModel(model, chosen, history, time.perf_counter() - started)


def likelihood(
    method: Method,
    dataset: Dataset,
    length: Length,
    *,
    more: Callable[[Model], Document] = lambda model: {},
    keep: Path | None = None,
) -> Measurement:
    """Test and validation NLL in nats. ``more``: what else is kept of the model; ``keep``: a file
    for the model itself."""
    found = fit_method(method, dataset, length)
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        save(keep, found.model)
    started = time.perf_counter()
    test = held_out(found.model, dataset.test, weights=dataset.weights_of("test"))
    testing = time.perf_counter() - started
    values: dict[str, float | None] = {
        "test_nll": test.nll,
        "val_nll": held_out(found.chosen, dataset.val, weights=dataset.weights_of("val")).nll,
    }
    if isinstance(found.model, FittedMoserFlow):
        excess, _ = found.model.excess(jax.random.key(dataset.seed))
        log_prob = np.asarray(found.model.proxy_log_prob(dataset.test), np.float64)
        proxy = -float(average(log_prob, dataset.weights_of("test")))
        values |= {"proxy_nll": proxy, "excess_mass": excess}
    return Measurement(
        values,
        seconds=found.seconds,
        compile_seconds=found.history.compile_seconds or None,
        nfe=test.nfe,
        parameters=numbers_in(found.model),
        stopped=found.history.stopped,
        split=split_hash(dataset),
        more={
            **course(found.history),
            "standard_error": test.standard_error,
            "test_seconds": testing,
            "leak": leak(dataset.labels, dataset.indices, dataset.weights),
            "n_train": len(dataset.train),
            "n_test": len(dataset.test),
            **more(found.model),
        },
    )


def density_for_maps(model: Model) -> Density:
    """log p of points, as cheap as a picture allows."""
    if isinstance(model, FittedScoreModel | FlowModel):
        return coarse_density(model)
    return model.log_prob


def numbers_in(model: Model) -> int:
    """In its floating-point arrays."""
    leaves = jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array))
    return sum(int(leaf.size) for leaf in leaves)


def course(history: History) -> Document:
    """Steps, and the validation NLL on the way; nothing of a model in closed form."""
    if not len(history.val_step):
        return {"steps": history.steps}
    pick = np.unique(np.linspace(0, len(history.val_step) - 1, _CURVE).astype(int))
    curve = [
        [int(history.val_step[k]), float(history.val_nll[k])]
        for k in pick
        if np.isfinite(history.val_nll[k])
    ]
    return {
        "steps": history.steps, "best_step": history.best_step, "curve": curve,
        "train_seconds": history.train_seconds,
    }  # fmt: skip


def split_hash(dataset: Dataset) -> str:
    """Of the row numbers of the three parts and of the rows themselves."""
    digest = hashlib.sha256()
    for part in dataset.indices:
        digest.update(np.ascontiguousarray(part, dtype="<i8").tobytes() + b"|")
    digest.update(np.ascontiguousarray(dataset.values, dtype="<f8").tobytes())
    return digest.hexdigest()[:16]


def points_hash(*parts: NumPyOrJax) -> str:
    """Of points themselves, where they are drawn and have no row numbers."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part, dtype="<f8").tobytes() + b"|")
    return digest.hexdigest()[:16]


def file_hash(path: str) -> str:
    """Of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def load(request: TableRequest, name: str, protocol: str, seed: int) -> Dataset:
    return data.load(name, protocol=protocol, seed=seed, data_dir=request.data_dir)


def seeds_of(request: TableRequest, usual: int) -> Sequence[int]:
    return range(request.seeds or usual)
