"""What is wrong with a run, or with an installation: checks, each a verdict in words."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from scorefold import _cache
from scorefold._jaxlib import ADVICE, sums_are_right
from scorefold._oneline import one_line
from scorefold._provenance import provenance
from scorefold._types import Document
from scorefold.data import DataError
from scorefold.fitting import DamagedFile
from scorefold.manifolds import Sphere
from scorefold.metrics import draws_against_density
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.models.measures import MEASURES, MeasuredModel
from scorefold.runs.models.request import ModelProblem
from scorefold.runs.opening import reopened

Verdict = Literal["ok", "note", "unknown", "wrong"]

DRAWS = 1000
"""That are tested against the density, at most."""
CHANCE = 1e-3
"""Of a false alarm, below which draws are said not to be of the density."""
_MASS, _LEAK, _DEFECT, _PRECISION, _SAME = 0.01, 0.01, 1e-4, 0.02, 2e-3
_PACKAGES = {
    "pandas": "data frames", "pyarrow": "Parquet tables", "h5py": "HDF5 and .h5ad tables",
    "netCDF4": "winds and currents on grids", "plotly": "tables of bench as pages",
    "sklearn": "peers of bench", "ott": "peers of bench",
}  # fmt: skip


class Check(NamedTuple):
    """``name``: what was looked at; ``verdict``: "ok", "note" (to be known), "unknown" (it could
    not be told, and why) or "wrong"; ``words``: one line."""

    name: str
    verdict: Verdict
    words: str


def examine(
    folder: str | os.PathLike, *, data_dir: str | None = None, listener: Listener | None = None
) -> list[tuple[str, list[Check]]]:
    """The checks of a finished run, or of each seed below a folder, by the name of its folder:
    digests of its data and of its model, its history, versions and device, repeated points in
    training and test parts, the test NLL measured anew, the total mass, draws on the manifold and
    against the density (``metrics.draws_against_density``), memorisation, float32 against float64;
    of a bridge, whether its laws arrive. What is damaged is a check that is wrong.

    **Raises:** ``RunError`` for a folder that is no finished run.
    """
    top, listener = Run.open(folder), listener or Listener()
    found = [(str(run.folder), _whole(run, data_dir, listener)) for run in top.seeds or [top]]
    return found if not top.seeds else [(str(top.folder), list(_of_seeds(top))), *found]


def _whole(run: Run, data_dir: str | None, listener: Listener) -> list[Check]:
    found: list[Check] = []
    try:
        for check in _of_run(run, data_dir, listener):
            found.append(check)
    except (RunError, DamagedFile, OSError, ValueError) as error:
        found.append(Check("files", "wrong", one_line(str(error))))
    return found


def _of_seeds(top: Run) -> Iterator[Check]:
    try:
        top.metrics()
        yield Check("numbers", "ok", "metrics.json sums up the seeds")
    except (RunError, OSError) as error:
        yield Check("numbers", "wrong", one_line(str(error)))


def _of_run(run: Run, data_dir: str | None, listener: Listener) -> Iterator[Check]:
    try:
        numbers, words = run.measured(), "metrics.json is missing, or of another model file"
    except RunError as error:
        numbers, words = None, one_line(str(error))
    if numbers is None:
        yield Check("numbers", "wrong", words)
    else:
        yield Check("numbers", "ok", "metrics.json is of the model that is there")
    try:
        run.history()
    except (RunError, OSError, ValueError) as error:
        yield Check("history", "wrong", one_line(str(error)))
    yield from _versions(numbers or {})
    try:
        problem = reopened(run, data_dir)
        yield Check("data", "ok", "the points are those that were fitted")
    except (RunError, DataError, OSError) as error:
        gone = isinstance(error, RunError) and "has changed" in str(error)
        yield Check("data", "wrong" if gone else "unknown", one_line(str(error)))
        problem = None
    fitted = run.model()
    if run.kind == "bridge":
        yield from _arrivals(numbers or {})
        return
    dataset = problem.dataset if isinstance(problem, ModelProblem) else None
    if dataset is not None:
        leak = dataset.audit.leak
        words = (
            f"{100 * leak:.2g} % of the test points are also training points ({dataset.protocol})"
        )
        yield Check("leak", "wrong" if leak > _LEAK else "ok", words)
    points = None if dataset is not None else np.zeros((0, *fitted.manifold.shape), np.float32)
    subject = MeasuredModel(fitted, dataset, run.single()["seed"], points)
    for name, check in (
        ("likelihood", _likelihood), ("total mass", _mass), ("draws", _on_the_manifold),
        ("draws and density", _draws), ("memorisation", _memory), ("precision", _precision),
    ):  # fmt: skip
        with listener.doing(f"looking at {name}"):
            yield _guarded(name, check, subject, numbers or {})


def _guarded(
    name: str,
    check: Callable[[MeasuredModel, Document], tuple[Verdict, str]],
    subject: MeasuredModel,
    numbers: Document,
) -> Check:
    try:
        return Check(name, *check(subject, numbers))
    except Exception as error:
        return Check(name, "unknown", one_line(f"{type(error).__name__}: {error}"))


# -- of a model ------------------------------------------------------------------------------------
def _likelihood(subject: MeasuredModel, numbers: Document) -> tuple[Verdict, str]:
    if not len(subject.test):
        return "unknown", "the test points are not there"
    now, then = MEASURES["likelihood"].of(subject)["test_nll"], numbers.get("test_nll")
    if now is None:
        return "wrong", "log p is not finite at a test point"
    if then is None:
        return "unknown", f"test NLL {now:.4f} nats; metrics.json has none"
    same = abs(now - then) <= _SAME * max(1.0, abs(now))
    words = f"test NLL {now:.4f} nats" + (", as metrics.json says" if same else
                                         f"; metrics.json says {then:.4f}")  # fmt: skip
    return ("ok" if same else "wrong"), words


def _mass(subject: MeasuredModel, numbers: Document) -> tuple[Verdict, str]:
    known = numbers.get("normalisation") is not None or numbers.get("normalisation_reason")
    found = numbers if known else MEASURES["mass"].of(subject)
    value, error = found["normalisation"], found.get("normalisation_error") or 0.0
    if value is None:
        return "unknown", f"cannot be measured: {found.get('normalisation_reason')}"
    words = f"{value:.4f} ± {error:.1g} ({found.get('normalisation_how')})"
    return ("wrong" if abs(value - 1.0) > max(_MASS, 4.0 * error) else "ok"), words


def _on_the_manifold(subject: MeasuredModel, _: Document) -> tuple[Verdict, str]:
    m, rows = subject.model.manifold, jnp.asarray(subject.draws)
    bad = int((~np.isfinite(np.asarray(rows)).reshape(len(rows), -1).all(axis=1)).sum())
    if bad:
        return "wrong", f"{bad} of {len(rows)} are not finite"
    off = float(jnp.max(jax.vmap(m.defect)(rows)))
    words = f"{len(rows)} lie on {m.name} within {off:.1g}"
    return ("wrong" if off > _DEFECT else "ok"), words


def _draws(subject: MeasuredModel, _: Document) -> tuple[Verdict, str]:
    model, key = subject.model, jax.random.fold_in(jax.random.key(subject.seed), 10)
    try:
        found = draws_against_density(model.manifold, model.log_prob, subject.draws[:DRAWS], key)
    except ValueError as error:  # log p is no number at a draw
        return "wrong", one_line(str(error))
    if math.isinf(found.z):
        return "wrong", "log p is −∞ at more than one draw in a thousand"
    words = (
        f"of {found.n} draws and {found.tests} tests the worst is {found.z:.1f} standard errors "
        f"off (p = {found.p_value:.2g})"
    )
    return ("wrong" if found.p_value < CHANCE else "ok"), words


def _memory(subject: MeasuredModel, numbers: Document) -> tuple[Verdict, str]:
    found = numbers.get("generalisation")
    if found is None:
        return "unknown", str(numbers.get("generalisation_reason") or "not measured")
    said = {name: part["verdict"] for name, part in found.items()
            if isinstance(part, dict) and isinstance(part.get("verdict"), str)}  # fmt: skip
    copies = [name.replace("_", " ") for name, words in said.items() if "copies" in words]
    if copies:
        return "wrong", f"draws copy training points, by {' and '.join(copies)}"
    return "ok", f"{len(said)} measures, none says that draws copy training points"


def _precision(subject: MeasuredModel, _: Document) -> tuple[Verdict, str]:
    rows = np.asarray(subject.test if len(subject.test) else subject.draws)[:100]
    narrow = np.asarray(subject.model.log_prob(rows.astype(np.float32)), np.float64)
    with jax.enable_x64(True):
        wide = jax.tree.map(
            lambda a: jnp.asarray(a, jnp.float64)
            if hasattr(a, "dtype") and a.dtype == jnp.float32 else a, subject.model,
        )  # fmt: skip
        exact = np.asarray(wide.log_prob(rows.astype(np.float64)), np.float64)
    apart = np.abs(narrow - exact)
    if not np.isfinite(apart).all():
        return "wrong", f"log p is not finite at {int((~np.isfinite(apart)).sum())} of {len(rows)}"
    words = f"log p in float32 and float64 differs by {apart.max():.2g} nats at most"
    return (
        "wrong" if apart.mean() > _PRECISION else "ok"
    ), f"{words}, {apart.mean():.2g} in the mean"


# -- of a bridge -----------------------------------------------------------------------------------
def _arrivals(numbers: Document) -> Iterator[Check]:
    rows: list[tuple[object, object]] = []
    for key in ("ends", "arrivals"):
        found = numbers.get(key)
        rows += list(found.items()) if isinstance(found, dict) else list(enumerate(found or []))
    told = [(name, row) for name, row in rows if isinstance(row, dict) and "missed" in row]
    for name, row in told:
        missed = row["missed"]
        verdict: Verdict = "unknown" if missed is None else "wrong" if missed else "ok"
        words = str(row.get("missed_reason") or f"its law is {row['miss']:.2g} deviations from the "
                    f"points (chance: {row['miss_floor']:.2g})")  # fmt: skip
        yield Check(f"arrival {name}", verdict, words)
    if not told:
        yield Check("arrivals", "unknown", "metrics.json says nothing of where its laws arrive")


# -- of an installation ----------------------------------------------------------------------------
def _versions(numbers: Document) -> Iterator[Check]:
    then, now = numbers.get("versions"), provenance()
    here = now["versions"]
    assert isinstance(here, dict)
    if not isinstance(then, dict):
        yield Check("versions", "unknown", "not recorded")
    else:
        other = [f"{n} {then[n]} there, {here.get(n)} here" for n in then if then[n] != here.get(n)]
        words = (
            "; ".join(other)
            or f"scorefold {here['scorefold']}, jax {here['jax']}, as it was fitted"
        )
        yield Check("versions", "note" if other else "ok", words)
        if numbers.get("device") != now["device"]:
            words = f"fitted on {numbers.get('device')}, here is {now['device']}"
            yield Check("device", "note", words)


def installation() -> list[Check]:
    """The checks of what is installed: versions, devices and how exactly they compute, the cache of
    compiled programs, free space, packages that some files need."""
    return [Check(*each) for each in _installed()]


def _installed() -> Iterator[tuple[str, Verdict, str]]:
    here = provenance()
    yield "versions", "ok", ", ".join(f"{n} {v}" for n, v in dict(here["versions"]).items())  # type: ignore[call-overload]
    devices = jax.devices()
    yield "devices", "ok", f"{len(devices)} × {devices[0].device_kind}, {os.cpu_count()} cores"
    yield _products()
    yield _sums()
    yield _heat()
    yield _compiled()
    free = shutil.disk_usage(".").free / 2**30
    yield (
        "disk",
        "note" if free < 1.0 else "ok",
        f"{free:.1f} GiB free in the folder that you are in",
    )
    for name, what in _PACKAGES.items():
        if importlib.util.find_spec(name) is None:
            yield f"package {name}", "note", f"not installed: {what} need it"
    data = os.environ.get("SCOREFOLD_DATA_DIR")
    if data:
        there = os.path.isdir(data)
        words = f"SCOREFOLD_DATA_DIR = {data}" + ("" if there else ": there is no such folder")
        yield "data", "ok" if there else "wrong", words


def _products() -> tuple[str, Verdict, str]:
    """Products of matrices at the precision that the library asks for."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 256, 256)).astype(np.float32)
    started = time.perf_counter()
    found = jnp.matmul(jnp.asarray(a), jnp.asarray(b), precision="highest").block_until_ready()
    seconds = time.perf_counter() - started
    exact = a.astype(np.float64) @ b.astype(np.float64)
    off = float(np.abs(np.asarray(found) - exact).max() / np.abs(exact).max())
    words = f"products of matrices in float32 are right to {off:.1g} (first one in {seconds:.1f} s)"
    return "precision", "wrong" if off > 1e-5 else "ok", words


def _sums() -> tuple[str, Verdict, str]:
    """Sums of products that versions of jaxlib got wrong."""
    if sums_are_right():
        return "sums", "ok", "sums of products of many rows are right"
    return "sums", "wrong", f"sums of products of many rows are wrong. {ADVICE}"


def _heat() -> tuple[str, Verdict, str]:
    """The heat kernel of the sphere beside its eigenfunction series in NumPy."""
    m, s, angle = Sphere(2), 0.3, 1.1
    x = jnp.asarray([math.sin(angle), 0.0, math.cos(angle)], jnp.float32)
    found = float(m.heat.log_prob(x, m.origin(jnp.float32), jnp.float32(s)))
    n = np.arange(40)
    polynomials = np.polynomial.legendre.legvander(float(x @ m.origin(jnp.float32)), 39).ravel()
    series = np.sum((2 * n + 1) * np.exp(-0.5 * n * (n + 1) * s) * polynomials) / (4 * math.pi)
    off = abs(found - math.log(series))
    return (
        "heat kernel",
        "wrong" if off > 1e-4 else "ok",
        f"log p on S^2 is right to {off:.1g} nats",
    )


def _compiled() -> tuple[str, Verdict, str]:
    folder = _cache.compilation_folder()
    if folder is None:
        return (
            "compiled programs",
            "note",
            "not kept (SCOREFOLD_COMPILATION_CACHE=0): starts are slow",
        )
    if not folder.is_dir() and not os.access(_existing(folder), os.W_OK):
        return "compiled programs", "wrong", f"{folder} cannot be written: starts are slow"
    size = sum(f.stat().st_size for f in folder.glob("*") if f.is_file()) if folder.is_dir() else 0
    return "compiled programs", "ok", f"{size / 2**20:.0f} MiB kept in {folder}"


def _existing(folder: os.PathLike) -> str:
    path = os.path.abspath(folder)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path
