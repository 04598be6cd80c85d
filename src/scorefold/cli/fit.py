"""``scorefold fit``: data in; a model, its numbers and a report out."""

from __future__ import annotations

import argparse
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from scorefold import ScorefoldWarning, data
from scorefold.cli.facts import say_warnings
from scorefold.cli.notices import one_line
from scorefold.cli.parser import (
    UsageError,
    add_data_options,
    count,
    data_options,
    few,
    positive,
    real,
    whole,
)
from scorefold.data import Dataset
from scorefold.fitting import fit, fit_seeds
from scorefold.runs.axes import add_earth_option, on_earth
from scorefold.runs.folder import Run, description, description_of_seeds, is_pipe, settled
from scorefold.runs.models.choices import (
    LEAST,
    add_model_options,
    build_model,
    choose_model,
    fit_kde,
)
from scorefold.runs.models.generalisation import draw_samples
from scorefold.runs.models.measures import doing, measure_run
from scorefold.runs.models.page import write_run_report
from scorefold.runs.models.summary import run_lines, summary

__all__ = ["add_commands"]

_BUDGET = 20.0
_SETTINGS = ("steps", "budget", "batch_size", "learning_rate", "weight_decay", "width", "depth",
             "floor", "loss", "s_min", "products")  # fmt: skip


def add_commands(commands: Any) -> None:
    parser = commands.add_parser("fit", help="fit a model to data")
    add_data_options(parser)
    add_model_options(parser)
    add_earth_option(parser)
    parser.add_argument(
        "--seeds", type=few, default=1, metavar="N", help="seed, seed + 1, … (default: 1)"
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument(
        "--budget", type=positive, metavar="SECONDS",
        help="training time per seed (score: 20 if no steps are given)",
    )  # fmt: skip
    length.add_argument(
        "--steps", type=count, metavar="N",
        help="training steps (kernel: 400, up to 1600 while validation falls; informed: 600 more)",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="default: runs/DATA-MODEL-PROTOCOL-SEED")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument(
        "--batch-size", type=whole(1, 2**20), metavar="N",
        help="kernel: 256, score: 512, informed: 128",
    )  # fmt: skip
    parser.add_argument(
        "--learning-rate", type=real(1e-30, 10.0), metavar="X",
        help="the peak (kernel: 5e-3, score: 2e-3, informed: 3e-4)",
    )  # fmt: skip
    parser.add_argument("--weight-decay", type=real(0.0, 100.0), metavar="X", help="default: 0")
    parser.add_argument("--no-report", action="store_true", help="numbers only")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(command=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    options = data_options(arguments)
    options.setdefault("protocol", "grouped")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    if seeds[-1] >= 2**31:
        raise UsageError(f"--seed {arguments.seed} with --seeds {arguments.seeds}: seeds must stay "
                         "below 2^31.")  # fmt: skip
    if len(seeds) > 1 and is_pipe(arguments.data):
        raise UsageError(f"{arguments.data} can be read once only: save it to a file for --seeds.")
    sets = [data.load(arguments.data, seed=s, **options) for s in seeds]
    names = {choose_model(arguments, dataset) for dataset in sets}
    if len(names) > 1:
        raise UsageError(f"the splits of these seeds lie on both sides of {LEAST} training points: "
                         "state --model kernel or --model kde.")  # fmt: skip
    (name,) = names
    folder = Path(arguments.out or _folder(arguments, name, sets[0]))
    runs = [Run(folder / f"seed-{s}") for s in seeds] if len(seeds) > 1 else [Run(folder)]
    settings = {"model": name, **{key: getattr(arguments, key) for key in _SETTINGS}}
    earth = on_earth(arguments.earth, sets[0].name)
    described = {run: description(arguments.data, options, settings, dataset, earth)
                 for run, dataset in zip(runs, sets, strict=True)}  # fmt: skip
    if len(seeds) > 1:
        described[Run(folder)] = description_of_seeds(
            arguments.data, options, settings, sets, earth
        )
    with settled(described, arguments.resume):
        print(_facts(sets[0]), file=sys.stderr)
        say_warnings(sets[0])
        if name == "kde" and arguments.model is None:
            print(f"{len(sets[0].train)} training points are too few to learn the shapes of "
                  f"kernels from (below {LEAST}): a kernel density of one bandwidth is fitted, "
                  "--model kde.", file=sys.stderr)  # fmt: skip
        arguments.stops.note = (
            "stopped before this training saved a state; the same command with --resume goes on "
            f"with what is in {folder}"
        )
        _train(arguments, name, sets, list(seeds), runs, folder)
        document = _finish(arguments, name, sets, runs, folder)
    print(run_lines(document, folder))
    return 0


def _folder(arguments: argparse.Namespace, model: str, dataset: Dataset) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(dataset.name).stem)
    last = f"{arguments.seed}" if arguments.seeds == 1 else f"{arguments.seeds}-seeds"
    return f"runs/{name}-{model}-{dataset.protocol}-{last}"


def _facts(dataset: Dataset) -> str:
    audit = dataset.audit
    n, v, t = len(dataset.train), len(dataset.val), len(dataset.test)
    return (
        f"{dataset.name} on {dataset.manifold.name}: {n} training, {v} validation, {t} test "
        f"points, protocol {dataset.protocol}; {audit.duplicates} repeated rows, "
        f"{100 * audit.leak:.1f} % of test points are also training points."
    )


# -- training ------------------------------------------------------------------------------------
def _train(
    arguments: argparse.Namespace,
    name: str,
    sets: list[Dataset],
    seeds: list[int],
    runs: list[Run],
    folder: Path,
) -> None:
    """Train what has no model yet and save each as soon as it is there: side by side under
    ``vmap`` where the parts of the splits have equal sizes and the models are the same, otherwise
    one after another."""
    if all(run.model_file.exists() for run in runs):
        return
    length: dict[str, Any] = {"budget": arguments.budget, "steps": arguments.steps}
    if name == "score" and arguments.budget is None and arguments.steps is None:
        length["budget"] = _BUDGET
    settings = {
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "weight_decay": arguments.weight_decay or 0.0,
        "resume": arguments.resume,
        "progress": not arguments.quiet,
        **length,
    }
    keys = [jax.random.key(seed) for seed in seeds]
    sizes = {(d.train.shape, d.val.shape) for d in sets}
    if len(seeds) > 1 and len(sizes) == 1 and name == "score":
        models = [build_model(name, arguments, dataset) for dataset in sets]
        if all(eqx.tree_equal(m, models[0]) for m in models):
            if settings["budget"] is not None:
                settings["budget"] *= len(seeds)
            train, val = (jnp.stack([getattr(d, part) for d in sets]) for part in ("train", "val"))
            found = fit_seeds(
                models[0], train, val=val, keys=keys, stacked=True, out=folder / "checkpoints",
                **settings,
            )  # fmt: skip
            for run, (model, history) in zip(runs, found, strict=True):
                run.keep(model, history)
            return
    for dataset, key, run in zip(sets, keys, runs, strict=True):
        if run.model_file.exists():
            continue
        model = build_model(name, arguments, dataset)
        if name == "kde":
            run.keep(*fit_kde(model, dataset, key))
        else:
            run.keep(*fit(model, dataset.train, val=dataset.val, key=key, out=run.checkpoints,
                          **settings))  # fmt: skip


# -- numbers -------------------------------------------------------------------------------------
def _finish(
    arguments: argparse.Namespace,
    name: str,
    sets: list[Dataset],
    runs: list[Run],
    folder: Path,
) -> dict[str, Any]:
    """Measure and draw what is missing, from the models in the files."""
    arguments.stops.note = (
        f"stopped while measuring and drawing; the model is in {folder}, and the same command with "
        "--resume does the rest"
    )
    arguments.stops.check()
    found = [_finish_one(arguments, name, dataset, run)
             for dataset, run in zip(sets, runs, strict=True)]  # fmt: skip
    if len(found) == 1:
        return found[0]
    document = summary(found)
    Run(folder).write("metrics.json", document)
    return document


def _finish_one(
    arguments: argparse.Namespace, name: str, dataset: Dataset, run: Run
) -> dict[str, Any]:
    metrics = _measured_before(run)
    drawn = (run.folder / "report.html").exists() or arguments.no_report
    if metrics is not None and drawn:
        return metrics
    model, history, samples = run.model(), run.history(), None
    if metrics is None:
        metrics, samples = measure_run(arguments, run, dataset, name, model, history)
        run.write("metrics.json", metrics)
        metrics = run.metrics()
    if not drawn:
        try:
            with doing("drawing the report", arguments.quiet):
                samples = draw_samples(model, dataset.seed) if samples is None else samples
                write_run_report(run, model, dataset, metrics, history, samples, earth=run.earth)
        except OSError:
            raise
        except Exception as error:
            # The model and its numbers are there; a picture is not worth an error.
            warnings.warn(
                f"the report could not be drawn: {one_line(f'{type(error).__name__}: {error}')}",
                ScorefoldWarning,
                stacklevel=2,
            )
    return metrics


def _measured_before(run: Run) -> dict[str, Any] | None:
    """The numbers in ``metrics.json``, if they are those of the model in the folder."""
    if not (run.folder / "metrics.json").exists():
        return None
    try:
        metrics = run.metrics()
    except UsageError as error:
        warnings.warn(f"{error} It is measured anew.", ScorefoldWarning, stacklevel=2)
        return None
    return metrics if metrics["model_sha256"] == run.model_digest() else None
