"""Draws of a fitted model, in the units of its data, in blocks."""

import inspect
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
import numpy as np

from scorefold._types import Key
from scorefold._warnings import warn
from scorefold.models import Model
from scorefold.runs import documents
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.tables import check_out, check_places, columns_in_words, write_columns

_BLOCK = 2**16
_NUMBERS = 2**24
"""Coordinates drawn at a time, at most."""


def write_draws(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    n: int = 1000,
    *,
    seed: int = 0,
    method: str | None = None,
    steps: int | None = None,
    listener: Listener | None = None,
) -> str:
    """Write n draws of the model of a run to a table; of several seeds, equally many of each.
    ``method``, ``steps``: of ``model.sample``, where it has them. Returns what was done, in words.

    **Raises:** ``RunError`` for a folder without a model, a file that cannot be written, and
    arguments that the model does not have.
    """
    out = Path(out)
    check_out(out, [], "")
    top = Run.open(folder, "model")
    runs = top.seeds or [top]
    coordinates = runs[0].coordinates()
    check_places(out, coordinates)
    for changed in runs[0].changed_files:
        warn(
            f"{changed} has changed since {top.folder} was fitted: these are draws of the law that "
            "was fitted then."
        )
    check_out(out, runs[0].files, f"the table that {top.folder} was fitted to")
    models = [run.model() for run in runs]
    options = [_sampler(model, method=method, steps=steps) for model in models]
    (listener or Listener()).stage(f"stopped; {out} was not written")

    def blocks() -> Iterator[np.ndarray]:
        for k, (model, more) in enumerate(zip(models, options, strict=True)):
            share = n // len(models) + (k < n % len(models))
            first = jax.random.key(seed)
            key = first if k == 0 else jax.random.fold_in(first, k)
            for points in _blocks(model, key, share, more):
                with documents.describes(runs[0].file("run.json")):
                    yield coordinates.to_columns(points)

    write_columns(out, blocks(), coordinates, n)
    seeds = f", shared among {len(runs)} seeds," if len(runs) > 1 else ""
    return f"{n} points ({columns_in_words(coordinates)}){seeds} written to {out}"


def _blocks(model: Model, key: Key, n: int, options: Mapping[str, object]) -> Iterator[np.ndarray]:
    """n draws, a bounded number at a time: the first block is that of ``key`` itself."""
    size = max(1, min(_BLOCK, _NUMBERS // max(1, math.prod(model.manifold.shape))))
    for k in range(-(-n // size)):
        now = key if k == 0 else jax.random.fold_in(key, k)
        # The last of several blocks is drawn whole and cut: one compiled program serves all.
        points = np.asarray(model.sample(now, min(n, size), **options))[: n - k * size]
        bad = int((~np.isfinite(points.reshape(len(points), -1))).any(axis=1).sum())
        if bad:
            raise FloatingPointError(
                f"{bad} of {len(points)} draws are not finite: nothing was written. Fit the model "
                "again, or choose another."
            )
        yield points


def _sampler(model: Model, **stated: object) -> dict[str, object]:
    """The stated options of ``model.sample``, where it has them."""
    stated = {name: value for name, value in stated.items() if value is not None}
    known = inspect.signature(model.sample).parameters
    for name in stated:
        if name not in known:
            options = [f"--{n}" for n in known if n in ("steps", "method")]
            has = f"it has {', '.join(options)}" if options else "its draws are exact"
            raise RunError(f"--{name} is no option of {type(model).__name__}: {has}.")
    if stated.get("method") == "ode" and "steps" in stated:
        raise RunError("--steps are those of --method sde; the ODE chooses its own.")
    return stated
