"""The data of a request, and those of a finished run as they were."""

from dataclasses import replace

from scorefold.fitting.fingerprint import differences
from scorefold.runs import documents
from scorefold.runs.bridges.ends import open_ends
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.snapshots import open_snapshots
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.identity import identity
from scorefold.runs.models.request import FitRequest, open_fit
from scorefold.runs.reading import is_snapshots
from scorefold.runs.request import Job, Problem


def opened(request: FitRequest | BridgeRequest) -> Job:
    """The data of a request, read, and whether it can be carried out; nothing is written.

    **Raises:** ``RunError``, ``DataError``.
    """
    if isinstance(request, FitRequest):
        return open_fit(request)
    many = is_snapshots(request.data) or request.time is not None
    return open_snapshots(request) if many else open_ends(request)


def reopened(run: Run, data_dir: str | None = None) -> Problem:
    """The problem of a run, its data read and split as they were.

    **Raises:** ``RunError`` if they came from a pipe, or have changed since; ``DataError`` if they
    cannot be read any more.
    """
    found, names = run.single(), [name for name, _ in run.sources]
    if any(digest == "pipe" for _, digest in run.sources):
        raise RunError(
            f"the data of {run.folder} came from a pipe and cannot be read again: give DATA."
        )
    with documents.describes(run.file("run.json")):
        request = (FitRequest if run.kind == "model" else BridgeRequest).of(found)
        problem = opened(replace(request, data_dir=data_dir, out=run.folder)).first
    changed = differences(*(identity(one, ["points"]) for one in (found, problem.described)))
    if changed:
        lines = [f"{n}: {then} there, {now} here" for n, (then, now) in changed.items()]
        raise RunError(
            f"{', '.join(names)} has changed since {run.folder} was fitted "
            f"({'; '.join(lines[:6])}): its numbers would be those of other points. Restore it, or "
            "fit again into another --out."
        )
    return problem
