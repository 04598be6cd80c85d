"""Several finished runs on one page: their laws side by side, their numbers in one table."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scorefold import report
from scorefold._types import ReadOnlyDocument
from scorefold.runs import documents
from scorefold.runs.errors import RunError
from scorefold.runs.exploration import Exploration, scene_of_runs
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.meanings import MEANINGS
from scorefold.runs.opening import reopened
from scorefold.runs.request import Finished
from scorefold.runs.tables import check_out

_MOST = 8
"""Runs that can be told apart side by side."""


def compare(
    folders: Sequence[str | os.PathLike],
    out: str | os.PathLike = "comparison.html",
    *,
    earth: bool | None = None,
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> Path:
    """Write the page ``out`` (``.html``) on two or more finished runs on one manifold, all of
    models or all of bridges; of a folder of several seeds each is one. ``earth``: with coastlines
    (default: as the runs have them). Returns the page.

        runs.compare(["runs/kernel", "runs/score"], "both.html")

    **Raises:** ``RunError`` for a folder that is no finished run, for runs that cannot be compared,
    for data that have changed, and for a page that cannot be written; ``DataError`` for data that
    cannot be read.
    """
    out, listener = Path(out), listener or Listener()
    check_out(out, [], "", (".html",))
    tops = [Run.open(folder) for folder in folders]
    runs = _named([run for top in tops for run in top.seeds or [top]])
    if not 2 <= len(runs) <= _MOST:
        raise RunError(f"report: {len(runs)} runs to compare; give from 2 to {_MOST}.")
    kinds = {name: run.kind for name, run in runs.items()}
    _alike(kinds, "is of a", "only models, or only bridges, can be compared")
    manifolds = {name: run.coordinates().manifold.name for name, run in runs.items()}
    _alike(manifolds, "is on", "only runs on one manifold can be compared")
    frames = {name: _frame(run) for name, run in runs.items()}
    _alike(frames, "has columns", "runs are drawn in the columns, units and origin of one table")
    explored: dict[str, Exploration] = {}
    numbers: dict[str, ReadOnlyDocument] = {}
    digests = set()
    for name, run in runs.items():
        problem = reopened(run, data_dir)
        metrics, course = run.metrics(), run.history()
        earthly = run.description["earth"] if earth is None else earth
        subject = problem.subject(run.model())
        with (
            listener.doing(f"preparing {name}"),
            documents.describes(run.file("metrics.json"), ValueError),
        ):
            done = Finished(run.folder, subject, metrics, {}, course, earthly)
            explored[name] = problem.exploration(done)
        numbers[name] = metrics
        digests.add(repr(run.single()["points"]))
    same = len(digests) == 1
    with listener.doing("drawing the comparison"):
        return report.write_report(
            out, title=f"{len(runs)} runs compared", metrics={}, notes=_notes(same),
            figures=_figures(explored), tables={"Numbers side by side": _table(numbers)},
            findings=_findings(explored, numbers, same), meanings=MEANINGS,
            scene=scene_of_runs(explored, _data(explored, same)), beside=False,
        )  # fmt: skip


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by the shortest ends of their paths that tell them apart."""
    paths = [Path(os.path.abspath(run.folder)).parts for run in runs]
    if len(set(paths)) < len(paths):
        raise RunError("report: a run is named twice.")
    most = max(map(len, paths))
    for depth in range(1, most + 1):
        names = ["/".join(parts[-depth:]) for parts in paths]
        if len(set(names)) == len(names):
            return dict(zip(names, runs, strict=True))
    raise AssertionError("different paths have different ends")


def _frame(run: Run) -> str:
    """Columns, units and origin of its (first) table, in words."""
    found = run.coordinates()
    parts = zip(found.columns, found.column_units, found.origin, strict=True)
    return ", ".join(
        name + ("" if unit == "none" else f" in {unit}") + (f" from {zero:.9g}" if zero else "")
        for name, unit, zero in parts
    )


def _alike(found: Mapping[str, str], verb: str, words: str) -> None:
    (first, kind), *others = found.items()
    for name, other in others:
        if other != kind:
            raise RunError(f"{first} {verb} {kind}, {name} {verb} {other}: {words}.")


def _data(explored: Mapping[str, Exploration], same: bool) -> dict[str, np.ndarray]:
    """The data of all, once if they are the same points."""
    first = next(iter(explored.values()))
    if same:
        return dict(first.data)
    found = {}
    for name, one in explored.items():
        *_, (held, points) = one.data.items()
        found[f"{held} of {name}"] = points
    return found


def _table(numbers: Mapping[str, ReadOnlyDocument]) -> list[list[str]]:
    """Numbers and words of all runs, a row a name; nested ones and provenance are left out."""
    kinds = (int, float, str, bool)
    wanted = [
        key for key in dict.fromkeys(key for one in numbers.values() for key in one)
        if key not in _LEFT and any(isinstance(one.get(key), kinds) for one in numbers.values())
    ]  # fmt: skip
    rows = [["number", *numbers]]
    for key in wanted:
        values = (one.get(key) for one in numbers.values())
        rows.append([report.name_in_words(key), *map(report.value_in_words, values)])
    return rows


_LEFT = ("model_sha256", "command", "git", "device", "seed", "best_step")


def _findings(
    explored: Mapping[str, Exploration], numbers: Mapping[str, ReadOnlyDocument], same: bool
) -> list[report.Finding]:
    """Which run is likeliest on the same points; then what is said of each."""
    found = []
    nll = {
        name: one["test_nll"] for name, one in numbers.items() if one.get("test_nll") is not None
    }
    if same and len(nll) == len(numbers):
        best, second, *_ = sorted(nll, key=lambda name: nll[name])
        gap = nll[second] - nll[best]
        found.append(report.Finding(
            f"{best} gives the held-out points the highest likelihood: NLL {nll[best]:.3f} nats, "
            f"{gap:.3f} below {second}. The points are the same for all runs.",
            "note", "likelihood",
        ))  # fmt: skip
    elif len(nll) == len(numbers):
        found.append(report.Finding("The test points of these runs differ: their likelihoods "
                                    "cannot be compared.", "bad", "likelihood"))  # fmt: skip
    return found + [
        one._replace(text=f"{name}: {one.text}")
        for name, run in explored.items()
        for one in run.findings
        if one.state != "good"
    ]


def _figures(explored: Mapping[str, Exploration]) -> dict:
    """The draws of all, of bridges where their paths end, for paper and for browsers without
    scripts."""
    first = next(iter(explored.values()))
    drawn = {}
    for name, run in explored.items():
        draws, ways = run.shown.draws, run.shown.ways
        drawn[name] = np.asarray(ways[:, -1] if draws is None and ways is not None else draws)
    *_, (held, points) = first.data.items()
    figure = report.picture(
        first.manifold, samples=drawn, data={held: np.asarray(points)}, axes=first.axes,
        earth=first.earth,
    )  # fmt: skip
    return {"Draws of each run" if first.shown.ways is None else "Where paths end": figure}


def _notes(same: bool) -> list[str]:
    return [
        "All pictures are turned together; what is under the pointer is said for each. "
        + ("The points are the same for all runs." if same else
           "The runs were fitted to different points, or split differently.")
    ]  # fmt: skip
