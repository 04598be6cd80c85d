"""``scorefold sample | evaluate | report``: what a finished run is for."""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold.cli.axes import add_earth_option
from scorefold.cli.generalisation import (
    draw_samples,
    generalisation_lines,
    mass_line,
    mass_numbers,
    measured,
)
from scorefold.cli.parser import UsageError, count
from scorefold.cli.report import write_run_report
from scorefold.cli.run import Run
from scorefold.data import DataError, Dataset, datasets, load
from scorefold.fitting import History
from scorefold.metrics import held_out
from scorefold.models import Model

__all__ = ["add_commands"]

_WRITERS = (".csv", ".tsv", ".parquet", ".npy")


def add_commands(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw from a fitted model")
    sample.add_argument("run", metavar="DIR", help="the folder of a run")
    sample.add_argument("-n", type=count, default=1000, help="how many (default: 1000)")
    sample.add_argument("--out", metavar="FILE", required=True, help=", ".join(_WRITERS))
    sample.add_argument("--seed", type=int, default=0)
    score = sample.add_argument_group("score model")
    score.add_argument("--method", choices=["sde", "ode"], help="default: sde")
    score.add_argument("--steps", type=count, help="of the SDE (default: 200)")
    sample.set_defaults(command=_sample)

    evaluate = commands.add_parser("evaluate", help="held-out likelihood of a fitted model")
    evaluate.add_argument("run", metavar="DIR", help="the folder of a run")
    evaluate.add_argument("data", metavar="DATA", nargs="?", help="default: the run's test points")
    evaluate.add_argument("--columns", help="coordinate columns of a file: lat,lon")
    evaluate.add_argument(
        "--no-samples", action="store_true", help="likelihood and total mass only"
    )
    evaluate.add_argument("--json", action="store_true", help="print a JSON object")
    evaluate.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    evaluate.set_defaults(command=_evaluate)

    report = commands.add_parser("report", help="write the report of a run again")
    report.add_argument("run", metavar="DIR", help="the folder of a run")
    report.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_earth_option(report)
    report.set_defaults(command=_report)


def _sample(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if out.suffix not in _WRITERS:
        raise UsageError(f"--out {out}: the ending must be one of {', '.join(_WRITERS)}.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}.")
    run = Run.open(arguments.run)
    coordinates, model = run.coordinates(), run.model()
    key = jax.random.key(arguments.seed)
    points = model.sample(key, arguments.n, **_sampler(arguments, model))
    write_columns(out, coordinates.to_columns(points), coordinates.columns)
    units = "" if coordinates.units == "none" else f" in {coordinates.units}"
    print(f"{arguments.n} points ({', '.join(coordinates.columns)}{units}) written to {out}")
    return 0


def _sampler(arguments: argparse.Namespace, model: Model) -> dict[str, Any]:
    """The stated options of ``model.sample``, where it has them."""
    stated = {name: getattr(arguments, name) for name in ("method", "steps")}
    stated = {name: value for name, value in stated.items() if value is not None}
    known = inspect.signature(model.sample).parameters
    for name in stated:
        if name not in known:
            raise UsageError(
                f"--{name} is an option of score models; draws of {type(model).__name__} are "
                "exact, without simulation."
            )
    if stated.get("method") == "ode" and "steps" in stated:
        raise UsageError("--steps are those of --method sde; the ODE chooses its own.")
    return stated


def write_columns(path: Path, columns: np.ndarray, names: tuple[str, ...]) -> None:
    """A table of numbers, in the format that the ending of ``path`` names."""
    import pandas as pd

    if path.suffix == ".npy":
        np.save(path, columns, allow_pickle=False)
        return
    table = pd.DataFrame(columns, columns=list(names))
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def _evaluate(arguments: argparse.Namespace) -> int:
    run = Run.open(arguments.run)
    model = run.model()
    name, points, dataset = _points(arguments, run, model)
    found = held_out(model, points)
    samples = None if arguments.no_samples or dataset is None else draw_samples(model, run.seed)
    mass = _mass(run, model, samples, points if dataset is None else dataset.train)
    document: dict[str, Any] = {
        "dataset": name,
        "n": found.n,
        "nll": found.nll,
        "nll_standard_error": found.standard_error,
        "nfe": found.nfe,
        **mass,
    }
    if samples is not None and dataset is not None:
        other = None if arguments.data is None else points
        document["generalisation"] = measured(model, samples, dataset, run.seed, other)
    if arguments.json:
        print(json.dumps(document, allow_nan=False))
        return 0
    error = "" if found.standard_error is None else f" ± {found.standard_error:.4f}"
    print(f"{name}: NLL {found.nll:.4f}{error} nats over {found.n} points")
    print(f"total mass {mass_line(mass)}, {found.nfe:.0f} evaluations each")
    for line in generalisation_lines(document.get("generalisation", {})):
        print(line)
    return 0


def _mass(run: Run, model: Model, samples: np.ndarray | None, points: Any) -> dict[str, Any]:
    """The total mass as the fit of the run measured it; anew where it did not."""
    if (run.folder / "metrics.json").exists():
        stored = run.read("metrics.json")
        found = {k: v for k, v in stored.items() if k.startswith("normalisation")}
        if {"normalisation", "normalisation_error"} <= set(found):
            return found
    draws = draw_samples(model, run.seed) if samples is None else samples
    return mass_numbers(model, draws, points, run.seed)


def _points(
    arguments: argparse.Namespace, run: Run, model: Model
) -> tuple[str, Any, Dataset | None]:
    """(name, points to evaluate, the data of the run or None if they cannot be had)."""
    if arguments.data is None:
        dataset = run.dataset(arguments.data_dir)
        return dataset.name, dataset.test, dataset
    dataset = load(
        arguments.data,
        **{} if arguments.data_dir is None else {"data_dir": arguments.data_dir},
        **_reading(arguments, run.coordinates()),
    )
    if dataset.manifold.name != model.manifold.name:
        raise UsageError(
            f"{arguments.data} is on {dataset.manifold.name}, the model on {model.manifold.name}."
        )
    points = dataset.coordinates.to_points(dataset.values)
    if arguments.no_samples:
        return dataset.name, points, None
    try:
        return dataset.name, points, run.dataset(arguments.data_dir)
    except (DataError, OSError) as error:
        print(f"No measures of generalisation: {error}", file=sys.stderr)
        return dataset.name, points, None


def _reading(arguments: argparse.Namespace, coordinates: Any) -> dict[str, Any]:
    """How to read a table of one's own: as the run's own data were read."""
    if arguments.data in {row.name for row in datasets()}:
        return {}
    return {
        "manifold": coordinates.manifold,
        "columns": arguments.columns or list(coordinates.columns),
        "degrees": coordinates.degrees,
        "protocol": "random",
    }


def _report(arguments: argparse.Namespace) -> int:
    run = Run.open(arguments.run)
    dataset = run.dataset(arguments.data_dir)
    history = History.from_json((run.folder / "history.json").read_text())
    metrics, model = run.read("metrics.json"), run.model()
    samples = draw_samples(model, run.seed)
    if "generalisation" not in metrics:
        metrics["generalisation"] = measured(model, samples, dataset, run.seed)
    earth = run.earth if arguments.earth is None else arguments.earth
    path = write_run_report(run, model, dataset, metrics, history, samples, earth=earth)
    print(path)
    return 0
