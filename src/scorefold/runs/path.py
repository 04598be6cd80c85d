"""The one path of every run: open, describe, fit, measure, save, report."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scorefold._mesh import one_device
from scorefold._oneline import one_line
from scorefold._processes import leads, several, wait_for_all
from scorefold._provenance import provenance
from scorefold._types import Document, ReadOnlyDocument
from scorefold._version import __version__
from scorefold._warnings import warn
from scorefold.runs import documents
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.measures import take_all
from scorefold.runs.models.request import FitRequest
from scorefold.runs.opening import opened, reopened
from scorefold.runs.request import Finished, Job, Problem, Request, in_columns


@dataclass(frozen=True)
class Outcome:
    """What a request gave: the folder, the numbers of its ``metrics.json``, and these in words."""

    run: Run
    metrics: Document
    text: str


def carry_out(request: FitRequest | BridgeRequest, listener: Listener | None = None) -> Outcome:
    """Fit what a request asks for, measure it, and draw its page. What is there already, of this
    request with ``resume``, is not done again. Of several processes (see ``use_mesh``) that train
    together, the first writes, measures and draws, on devices of its own.

    **Raises:** ``RunError`` for what cannot be carried out, ``DataError`` for what cannot be read,
    before anything is written; what ``fit`` raises.
    """
    listener = listener or Listener()
    job = opened(request)
    if not leads():
        fit_missing(job)
        wait_for_all()
        return Outcome(Run(job.folder), {}, "trained with the others; the first process measures.")
    with claimed(job.described, request.resume):
        for line in job.first.announced():
            listener.tell(line)
        for line in job.first.warnings:
            warn(line)
        listener.stage(
            "stopped before this training saved a state; the same command with --resume goes on "
            f"with what is in {job.folder}"
        )
        fit_missing(job)
        listener.stage(
            f"stopped while measuring and drawing; the model is in {job.folder}, and the same "
            "command with --resume does the rest"
        )
        listener.check()
        # The other processes of a run have gone home: this one measures by itself.
        with one_device() if several() else contextlib.nullcontext():
            metrics = job.summary([
                _finish(run, problem, request, listener) for run, problem in job.problems.items()
            ])  # fmt: skip
        if len(job.problems) > 1:
            Run(job.folder).write("metrics.json", metrics)
    wait_for_all()
    return Outcome(Run(job.folder), metrics, in_columns(job.first.lines(metrics), job.folder, 16))


def draw_again(
    folder: str | os.PathLike,
    *,
    earth: bool | None = None,
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> Iterator[Path]:
    """Draw the page of a finished run again, those of all its seeds; ``earth``: with coastlines
    (default: as it was). Yields each page when it is there.

    **Raises:** ``RunError`` for a folder that is no finished run, and for data that have changed;
    ``DataError`` for data that cannot be read.
    """
    top = Run.open(folder)
    for run in top.seeds or [top]:
        problem = reopened(run, data_dir)
        course, metrics, fitted = run.history(), run.metrics(), run.model()
        with documents.describes(run.file("metrics.json"), ValueError):
            tables = problem.tables(metrics)
        earthly = run.description["earth"] if earth is None else earth
        with run.writing(), (listener or Listener()).doing("drawing the report"):
            subject = problem.subject(fitted)
            page = problem.page(Finished(run.folder, subject, metrics, tables, course, earthly))
        yield page


def fit_missing(job: Job) -> None:
    """Train what has no model yet, and save each as soon as it is there."""
    missing = [run for run in job.problems if not run.model_file.exists()]
    if missing and not job.fit_together():
        for run in missing:
            run.keep(*job.problems[run].fit(run))


def _finish(run: Run, problem: Problem, request: Request, listener: Listener) -> Document:
    """Measure and draw what is missing, from the model in the file."""
    metrics = _measured_before(run, problem)
    drawn = not request.report or run.file("report.html").exists()
    if metrics is not None and drawn:
        return metrics
    fitted, course = run.model(), run.history()
    subject = problem.subject(fitted)
    if metrics is None:
        started = time.perf_counter()
        run.write("metrics.json", {
            **problem.facts(fitted, course),
            **take_all(problem.measures().values(), subject, listener),
            "evaluate_seconds": time.perf_counter() - started,
            "warnings": listener.warned(),
            "model_sha256": run.model_digest(),
            "command": listener.command or repr(request),
            **provenance(),
        })  # fmt: skip
        metrics = run.metrics()
    if not drawn:
        try:
            with listener.doing("drawing the report"):
                earth, tables = run.description["earth"], problem.tables(metrics)
                problem.page(Finished(run.folder, subject, metrics, tables, course, earth))
        except OSError:
            raise
        except Exception as error:
            # The model and its numbers are there; a picture is not worth an error.
            warn(f"the report could not be drawn: {one_line(f'{type(error).__name__}: {error}')}")
    return metrics


def _measured_before(run: Run, problem: Problem) -> Document | None:
    """All numbers of the model in the folder, if they have been measured."""
    try:
        found = run.measured()
    except RunError as error:
        warn(f"{error} It is measured anew.")
        return None
    names = [measure.names[0] for measure in problem.measures().values()]
    return found if found is not None and all(name in found for name in names) else None


@contextlib.contextmanager
def claimed(described: Mapping[Run, ReadOnlyDocument], resume: bool) -> Iterator[None]:
    """Hold the locks of the folders of ``described``, whose ``run.json`` says then what is in each.

    A command that is refused changes nothing: first look, then lock, look again, and only then
    write.

    **Raises:** ``RunError`` if a folder holds another run, or one without ``resume``;
    ``DirectoryInUse`` if another process writes there.
    """
    for run, wanted in described.items():
        run.refuse_another(wanted, resume)
    with contextlib.ExitStack() as stack:
        for run in sorted(described, key=lambda run: len(run.folder.parts)):
            stack.enter_context(run.writing())
            run.refuse_another(described[run], resume)
        for run, wanted in described.items():
            if resume and run.holds():
                version = run.description["scorefold"]
                if version != __version__:
                    warn(
                        f"{run.folder} was begun with scorefold {version}, this is {__version__}: "
                        "the result may differ from that of an uninterrupted run."
                    )
            run.write("run.json", wanted)
        yield
