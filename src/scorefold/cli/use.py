"""``scorefold sample | evaluate | report``: what a finished run is for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from scorefold.cli.parser import UsageError, count
from scorefold.cli.report import write_run_report
from scorefold.cli.run import Run
from scorefold.data import datasets, load
from scorefold.fitting import History
from scorefold.metrics import held_out, total_mass

__all__ = ["add_commands"]

_WRITERS = (".csv", ".tsv", ".parquet", ".npy")


def add_commands(commands: Any) -> None:
    sample = commands.add_parser("sample", help="draw from a fitted model")
    sample.add_argument("run", metavar="DIR", help="the folder of a run")
    sample.add_argument("-n", type=count, default=1000, help="how many (default: 1000)")
    sample.add_argument("--out", metavar="FILE", required=True, help=", ".join(_WRITERS))
    sample.add_argument("--seed", type=int, default=0)
    sample.add_argument("--method", choices=["sde", "ode"], default="sde")
    sample.add_argument("--steps", type=count, default=200, help="of the SDE")
    sample.set_defaults(command=_sample)

    evaluate = commands.add_parser("evaluate", help="held-out likelihood of a fitted model")
    evaluate.add_argument("run", metavar="DIR", help="the folder of a run")
    evaluate.add_argument("data", metavar="DATA", nargs="?", help="default: the run's test points")
    evaluate.add_argument("--columns", help="coordinate columns of a file: lat,lon")
    evaluate.add_argument("--json", action="store_true", help="print a JSON object")
    evaluate.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    evaluate.set_defaults(command=_evaluate)

    report = commands.add_parser("report", help="write the report of a run again")
    report.add_argument("run", metavar="DIR", help="the folder of a run")
    report.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    report.set_defaults(command=_report)


def _sample(arguments: argparse.Namespace) -> int:
    out = Path(arguments.out)
    if out.suffix not in _WRITERS:
        raise UsageError(f"--out {out}: the ending must be one of {', '.join(_WRITERS)}.")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.parent}.")
    run = Run.open(arguments.run)
    coordinates, model = run.coordinates(), run.model()
    steps = {"steps": arguments.steps} if arguments.method == "sde" else {}
    key = jax.random.key(arguments.seed)
    points = model.sample(key, arguments.n, method=arguments.method, **steps)
    write_columns(out, coordinates.to_columns(points), coordinates.columns)
    units = "" if coordinates.units == "none" else f" in {coordinates.units}"
    print(f"{arguments.n} points ({', '.join(coordinates.columns)}{units}) written to {out}")
    return 0


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
    if arguments.data is None:
        dataset = run.dataset(arguments.data_dir)
        name, points, around = dataset.name, dataset.test, dataset.train
    else:
        coordinates = run.coordinates()
        dataset = load(
            arguments.data,
            **{} if arguments.data_dir is None else {"data_dir": arguments.data_dir},
            **_reading(arguments, coordinates),
        )
        if dataset.manifold.name != model.manifold.name:
            raise UsageError(
                f"{arguments.data} is on {dataset.manifold.name}, the model on "
                f"{model.manifold.name}."
            )
        points = around = dataset.coordinates.to_points(dataset.values)
        name = dataset.name
    found = held_out(model, points)
    mass = total_mass(model, around, jax.random.key(0))
    document = {
        "dataset": name,
        "n": found.n,
        "nll": found.nll,
        "nll_standard_error": found.standard_error if found.n > 1 else None,
        "nfe": found.nfe,
        "normalisation": mass.value,
        "normalisation_error": mass.error,
    }
    if arguments.json:
        print(json.dumps(document, allow_nan=False))
    else:
        nll = f"{found.nll:.4f} ± {found.standard_error:.4f}"
        print(f"{name}: NLL {nll} nats over {found.n} points")
        print(f"total mass {mass.value:.4f} ± {mass.error:.4f}, {found.nfe:.0f} evaluations each")
    return 0


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
    path = write_run_report(run, run.model(), dataset, run.read("metrics.json"), history)
    print(path)
    return 0
