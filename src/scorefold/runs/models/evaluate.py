"""``scorefold evaluate | report``: what a finished run says."""

from __future__ import annotations

import argparse
import json
import warnings
from typing import Any

import numpy as np

from scorefold import ScorefoldWarning
from scorefold.cli.facts import say_warnings
from scorefold.cli.parser import UsageError, add_drop_options
from scorefold.data import DataError, datasets, load
from scorefold.models import Model
from scorefold.runs import documents
from scorefold.runs.axes import add_earth_option
from scorefold.runs.folder import Run
from scorefold.runs.models.generalisation import (
    draw_samples,
    generalisation_lines,
    generalisation_rows,
    mass_line,
)
from scorefold.runs.models.measures import (
    Measures,
    doing,
    take_draws,
    take_generalisation,
    take_likelihood,
    take_mass,
)
from scorefold.runs.models.page import write_run_report
from scorefold.runs.models.summary import summary, verdict_lines

__all__ = ["add_commands"]

_MASS = ("normalisation", "normalisation_error", "normalisation_how", "normalisation_reason")


def add_commands(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="held-out likelihood of a fitted model")
    evaluate.add_argument("run", metavar="DIR", help="the folder of a run, or of several seeds")
    evaluate.add_argument("data", metavar="DATA", nargs="?", help="default: the run's test points")
    evaluate.add_argument("--columns", help="coordinate columns of a file: lat,lon (default: those "
                          "of the run)")  # fmt: skip
    add_drop_options(evaluate)
    evaluate.add_argument(
        "--no-samples", action="store_true", help="likelihood and total mass only"
    )
    evaluate.add_argument("--json", action="store_true", help="print a JSON object")
    evaluate.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    evaluate.set_defaults(command=_evaluate)

    report = commands.add_parser("report", help="write the report of a run again")
    report.add_argument("run", metavar="DIR", help="the folder of a run, or of several seeds")
    report.add_argument("--data-dir", help="folder with data files (SCOREFOLD_DATA_DIR)")
    add_earth_option(report)
    report.set_defaults(command=_report)


# -- evaluate --------------------------------------------------------------------------------------
def _evaluate(arguments: argparse.Namespace) -> int:
    top = Run.open(arguments.run)
    runs = top.seeds or [top]
    found = [_evaluate_one(arguments, run) for run in runs]
    document = found[0] if len(found) == 1 else summary(found)
    if arguments.json:
        print(json.dumps(documents.plain(document), allow_nan=False))
        return 0
    with documents.describes(top.folder / "metrics.json", ValueError):
        lines = _lines(document)
    print("\n".join(lines))
    return 0


def _evaluate_one(arguments: argparse.Namespace, run: Run) -> dict[str, Any]:
    document = _written(arguments, run) if arguments.data is None else _measured(arguments, run)
    if arguments.no_samples:
        document.pop("generalisation", None)
        document.pop("generalisation_reason", None)
    return document


def _written(arguments: argparse.Namespace, run: Run) -> dict[str, Any]:
    """The numbers that ``fit`` wrote for the test points, which must be the same points still.
    They are measured anew, with the keys of ``fit``, where they are missing or another model's."""
    dataset = run.dataset(arguments.data_dir)
    path = run.folder / "metrics.json"
    if path.exists() and (metrics := run.metrics())["model_sha256"] == run.model_digest():
        names = {"test_nll": "nll", "test_nll_standard_error": "nll_standard_error"}
        kept = ("nfe", *_MASS, "generalisation", "generalisation_reason")
        out = {"dataset": metrics["dataset"], "n": metrics["n_test"]}
        for name, value in metrics.items():
            stem = name.removesuffix("_reason")
            if stem in names:
                out[names[stem] + name[len(stem) :]] = value
            elif name in kept:
                out[name] = value
        return out
    warnings.warn(
        f"{path} has no numbers of the model in {run.model_file.name}: they are measured now, and "
        "not written.",
        ScorefoldWarning,
        stacklevel=2,
    )
    model, measures = run.model(), Measures()
    _likelihood(measures, model, dataset.test, "test point")
    samples = take_draws(measures, model, run.seed)
    measures.found.pop("draws", None)
    take_mass(measures, model, samples, dataset.train, run.seed)
    if not arguments.no_samples:
        take_generalisation(measures, model, samples, dataset, run.seed)
    return {"dataset": dataset.name, "n": len(dataset.test), **measures.found}


def _measured(arguments: argparse.Namespace, run: Run) -> dict[str, Any]:
    """Numbers of other points. The total mass is the model's own: that of ``fit`` if known."""
    model = run.model()
    name, points = _points(arguments, run, model)
    measures = Measures()
    _likelihood(measures, model, points, "point")
    own = None
    try:
        own = run.dataset(arguments.data_dir)
    except (DataError, OSError, UsageError) as error:
        if not arguments.no_samples:
            measures.found["generalisation"] = None
            measures.found["generalisation_reason"] = f"no training points: {error}"
            warnings.warn(f"No measures of generalisation: {error}", ScorefoldWarning, stacklevel=2)
    samples = None
    if own is not None and not arguments.no_samples:
        samples = take_draws(measures, model, run.seed)
        take_generalisation(measures, model, samples, own, run.seed, points)
    written = (run.folder / "metrics.json").exists() and run.metrics()
    if written and written["model_sha256"] == run.model_digest():
        measures.found |= {key: written[key] for key in _MASS if key in written}
    else:
        if samples is None:
            samples = take_draws(measures, model, run.seed)
        take_mass(measures, model, samples, points if own is None else own.train, run.seed)
    measures.found.pop("draws", None)
    return {"dataset": name, "n": len(points), **measures.found}


def _likelihood(measures: Measures, model: Model, points: Any, what: str) -> None:
    take_likelihood(measures, model, points, "nll", what)


def _points(arguments: argparse.Namespace, run: Run, model: Model) -> tuple[str, Any]:
    with documents.describes(run.folder / "run.json"):
        dataset = load(
            arguments.data,
            **{} if arguments.data_dir is None else {"data_dir": arguments.data_dir},
            **_reading(arguments, run.coordinates()),
        )
    if dataset.manifold.name != model.manifold.name:
        raise UsageError(
            f"{arguments.data} is on {dataset.manifold.name}, the model on {model.manifold.name}."
        )
    say_warnings(dataset)
    return dataset.name, np.asarray(dataset.coordinates.to_points(dataset.values))


def _reading(arguments: argparse.Namespace, coordinates: Any) -> dict[str, Any]:
    """How to read a table of one's own: as the run's own data were read."""
    if arguments.data in {row.name for row in datasets()}:
        return {}
    stated = {name: getattr(arguments, name) for name in ("columns", "drop", "drop_value")}
    stated = {name: value for name, value in stated.items() if value is not None}
    return {"like": coordinates, "protocol": "random", **stated}


def _lines(document: dict[str, Any]) -> list[str]:
    def number(name: str) -> str:
        value = document.get(name)
        if value is None:
            reason = document.get(f"{name}_reason")
            return f"not measured{f' ({reason})' if reason else ''}"
        seeds = "runs" in document
        error = document.get(f"{name}_std" if seeds else _ERRORS.get(name, ""))
        return f"{value:.4f}" + (f" ± {error:.4f}" if error is not None else "")

    seeds = f", mean ± std over {len(document['runs'])} seeds" if "runs" in document else ""
    mass = number("normalisation") if seeds else mass_line(document)
    nfe = "" if document.get("nfe") is None else f", {document['nfe']:.0f} evaluations each"
    lines = [
        f"{document['dataset']}: NLL {number('nll')} nats over {document['n']} points{seeds}",
        f"total mass {mass}{nfe}",
    ]
    found = document.get("generalisation")
    if "runs" in document:
        return lines + ([f"{a:<15} {b}" for a, b in verdict_lines(found)] if found else [])
    return lines + (generalisation_lines(found) if found else [])


_ERRORS = {"nll": "nll_standard_error", "normalisation": "normalisation_error"}


# -- report ----------------------------------------------------------------------------------------
def _report(arguments: argparse.Namespace) -> int:
    top = Run.open(arguments.run)
    for run in top.seeds or [top]:
        dataset = run.dataset(arguments.data_dir)
        history, metrics, model = run.history(), run.metrics(), run.model()
        earth = run.earth if arguments.earth is None else arguments.earth
        if metrics["generalisation"] is not None:
            with documents.describes(run.folder / "metrics.json", ValueError):
                generalisation_rows(metrics["generalisation"])
        with run.writing(), doing("drawing the report"):
            samples = draw_samples(model, run.seed)
            print(write_run_report(run, model, dataset, metrics, history, samples, earth=earth))
    return 0
