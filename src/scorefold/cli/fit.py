"""``scorefold fit``: data in; a model, its numbers and a report out."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from scorefold import data
from scorefold._fixed import trainable
from scorefold._provenance import provenance
from scorefold.cli.generalisation import draw_samples, measured
from scorefold.cli.models import add_model_options, build_model
from scorefold.cli.parser import UsageError, add_data_options, count, data_options
from scorefold.cli.report import write_run_report
from scorefold.cli.run import Run
from scorefold.data import Dataset
from scorefold.fitting import History, fit, fit_seeds, save
from scorefold.metrics import held_out, reference_nll, total_mass
from scorefold.models import KernelModel, Model

__all__ = ["add_commands"]

_BUDGET = 20.0


def add_commands(commands: Any) -> None:
    parser = commands.add_parser("fit", help="fit a model to data")
    add_data_options(parser)
    add_model_options(parser)
    parser.add_argument("--seeds", type=count, default=1, metavar="N", help="seed, seed + 1, …")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--budget", type=float, metavar="SECONDS", help="training time per seed")
    length.add_argument("--steps", type=count, metavar="N", help="training steps")
    parser.add_argument("--out", metavar="DIR", help="default: runs/DATA-MODEL-PROTOCOL-SEED")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted run")
    parser.add_argument("--batch-size", type=count, help="kernel: 256, score: 512")
    parser.add_argument("--learning-rate", type=float, help="default: 2e-3")
    parser.add_argument("--weight-decay", type=float, default=0.0)
    parser.add_argument("--no-report", action="store_true", help="numbers only")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(command=_fit)


def _fit(arguments: argparse.Namespace) -> int:
    options = data_options(arguments)
    options.setdefault("protocol", "grouped")
    seeds = range(arguments.seed, arguments.seed + arguments.seeds)
    sets = [data.load(arguments.data, seed=s, **options) for s in seeds]
    folder = Path(arguments.out or _folder(arguments, sets[0]))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f"{folder}: {error.strerror}. Choose by --out a folder that can be written."
        ) from error
    runs = [Run(folder / f"seed-{s}") for s in seeds] if len(seeds) > 1 else [Run(folder)]
    for run, seed, dataset in zip(runs, seeds, sets, strict=True):
        if run.model_file.exists() and not arguments.resume:
            raise UsageError(
                f"{run.folder} already holds a finished run: choose another --out, or go on with "
                "it by --resume."
            )
        run.folder.mkdir(parents=True, exist_ok=True)
        run.describe(arguments.data, options, seed, dataset)
    print(_facts(sets[0]), file=sys.stderr)
    results = _train(arguments, sets, list(seeds), runs, folder)
    summary = _finish(arguments, list(seeds), sets, runs, results)
    if len(seeds) > 1:
        Run(folder).write("metrics.json", summary)
    print(_lines(summary, folder))
    return 0


def _folder(arguments: argparse.Namespace, dataset: Dataset) -> str:
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(dataset.name).stem)
    last = f"{arguments.seed}" if arguments.seeds == 1 else f"{arguments.seeds}-seeds"
    return f"runs/{name}-{arguments.model}-{dataset.protocol}-{last}"


def _facts(dataset: Dataset) -> str:
    audit = dataset.audit
    n, v, t = len(dataset.train), len(dataset.val), len(dataset.test)
    return (
        f"{dataset.name} on {dataset.manifold.name}: {n} training, {v} validation, {t} test "
        f"points, protocol {dataset.protocol}; {audit.duplicates} repeated rows, "
        f"{100 * audit.leak:.1f} % of test points are also training points."
        f"{_doubt(dataset)}"
    )


def _doubt(dataset: Dataset) -> str:
    """A remark on angles whose range suits the other unit than the stated one."""
    degrees, peak = dataset.coordinates.degrees, float(np.abs(dataset.values).max())
    if degrees is False and peak > 4 * np.pi:
        return f" Angles reach {peak:.6g} radians: if they are degrees, say --degrees."
    if degrees and peak <= 2 * np.pi:
        return f" Angles reach {peak:.6g} degrees: if they are radians, say --radians."
    return ""


# -- training ------------------------------------------------------------------------------------
def _train(
    arguments: argparse.Namespace,
    sets: list[Dataset],
    seeds: list[int],
    runs: list[Run],
    folder: Path,
) -> list[tuple[Model, History]]:
    """(model, history) of each seed; side by side under ``vmap`` where the parts of the splits
    have equal sizes and the models are the same, otherwise one after another."""
    length: dict[str, Any] = {"budget": arguments.budget, "steps": arguments.steps}
    if arguments.model == "score" and arguments.budget is None and arguments.steps is None:
        length["budget"] = _BUDGET
    settings = {
        "batch_size": arguments.batch_size,
        "learning_rate": arguments.learning_rate,
        "weight_decay": arguments.weight_decay,
        "resume": arguments.resume,
        "progress": not arguments.quiet,
        **length,
    }
    models = [build_model(arguments, dataset) for dataset in sets]
    keys = [jax.random.key(seed) for seed in seeds]
    sizes = {(d.train.shape, d.val.shape) for d in sets}
    alike = len(sizes) == 1 and all(eqx.tree_equal(m, models[0]) for m in models)
    if len(seeds) > 1 and alike and arguments.model == "score":
        if settings["budget"] is not None:
            settings["budget"] *= len(seeds)
        train, val = (jnp.stack([getattr(d, part) for d in sets]) for part in ("train", "val"))
        return fit_seeds(
            models[0], train, val=val, keys=keys, stacked=True, out=folder / "checkpoints",
            **settings,
        )  # fmt: skip
    return [
        fit(model, dataset.train, val=dataset.val, key=key, out=run.checkpoints, **settings)
        for model, dataset, key, run in zip(models, sets, keys, runs, strict=True)
    ]


# -- numbers -------------------------------------------------------------------------------------
def _finish(
    arguments: argparse.Namespace, seeds: list[int], sets: list[Any], runs: list[Any], results: Any
) -> dict[str, Any]:
    documents = []
    for seed, dataset, run, (model, history) in zip(seeds, sets, runs, results, strict=True):
        samples = draw_samples(model, seed)
        metrics = _measure(arguments, seed, dataset, model, history, samples)
        save(run.model_file, model, {"metrics": metrics})
        run.write("metrics.json", metrics)
        (run.folder / "history.json").write_text(history.to_json() + "\n")
        if not arguments.no_report:
            write_run_report(run, model, dataset, metrics, history, samples)
        documents.append(metrics)
    return documents[0] if len(documents) == 1 else _summary(documents)


def _measure(
    arguments: argparse.Namespace,
    seed: int,
    dataset: Dataset,
    model: Model,
    history: History,
    samples: np.ndarray,
) -> dict[str, Any]:
    started = time.perf_counter()
    test, val = held_out(model, dataset.test), held_out(model, dataset.val)
    mass = total_mass(model, dataset.train, jax.random.fold_in(jax.random.key(seed), 7))
    found = measured(model, samples, dataset.train, dataset.test, seed)
    reference = reference_nll(dataset.manifold, dataset.train, dataset.test)
    params = jax.tree.leaves(eqx.filter(model, trainable(model)))
    more = {}
    if isinstance(model, KernelModel) and model.covariance is not None:
        more["floor"] = float(model.covariance.floor)
    return {
        "model": arguments.model,
        "dataset": dataset.name,
        "manifold": dataset.manifold.name,
        "protocol": dataset.protocol,
        "seed": seed,
        "n_train": len(dataset.train),
        "n_val": len(dataset.val),
        "n_test": len(dataset.test),
        "test_nll": test.nll,
        "test_nll_standard_error": test.standard_error,
        "val_nll": val.nll,
        "reference": reference.name,
        "reference_nll": reference.nll,
        "nfe": test.nfe,
        "normalisation": mass.value,
        "normalisation_error": mass.error,
        "generalisation": found,
        "steps": history.steps,
        "best_step": history.best_step,
        "stopped": history.stopped,
        "train_seconds": history.seconds - history.compile_seconds,
        "compile_seconds": history.compile_seconds,
        "evaluate_seconds": time.perf_counter() - started,
        "params": sum(int(p.size) for p in params),
        **more,
        "command": "scorefold " + shlex.join(sys.argv[1:]),
        **provenance(),
    }


def _summary(documents: list[dict[str, Any]]) -> dict[str, Any]:
    """One document for several seeds: means, standard deviations over seeds, and the parts."""
    out = dict(documents[0])
    out["seed"] = [d["seed"] for d in documents]
    del out["generalisation"]  # verdicts have no mean: they stand in the parts
    for name, value in documents[0].items():
        if isinstance(value, float):
            values = np.array([d[name] for d in documents])
            out[name] = float(values.mean())
            if name in ("test_nll", "val_nll", "reference_nll", "nfe", "normalisation"):
                out[f"{name}_std"] = float(values.std(ddof=1))
    out["runs"] = documents
    return out


def _lines(metrics: dict[str, Any], folder: Path) -> str:
    def shown(name: str) -> str:
        spread = f" ± {metrics[name + '_std']:.3f} (std over seeds)" if "runs" in metrics else ""
        return f"{metrics[name]:.4f}{spread}"

    lines = [
        ("test NLL", f"{shown('test_nll')} nats, {metrics['n_test']} points"),
        ("validation NLL", f"{shown('val_nll')} nats"),
        (metrics["reference"], f"{shown('reference_nll')} nats, to be beaten by the test NLL"),
        ("total mass", f"{metrics['normalisation']:.4f} ± {metrics['normalisation_error']:.4f}"),
        ("evaluations", f"{metrics['nfe']:.0f} a likelihood"),
        *_verdicts(metrics),
        ("time", f"{metrics['compile_seconds'] + metrics['train_seconds']:.1f} s for "
                 f"{metrics['steps']} steps, {metrics['compile_seconds']:.1f} s of it compiling"),
        ("written to", str(folder)),
    ]  # fmt: skip
    return "\n".join(f"{name:<15} {text}" for name, text in lines)


def _verdicts(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    """What departs from fresh data, a line each, or one line that says nothing does."""
    if "generalisation" not in metrics:
        return []
    found = {k: v for k, v in metrics["generalisation"].items() if isinstance(v, dict)}
    fine = "consistent with fresh data"
    words = {k: v["verdict"] for k, v in found.items() if "verdict" in v}
    odd = [f"{k.replace('_', ' ')}: {v}" for k, v in words.items() if v != fine]
    return [("generalisation", f"{len(words) - len(odd)} of {len(words)} measures {fine}"),
            *(("", line) for line in odd)]  # fmt: skip
