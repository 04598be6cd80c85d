"""Credible regions of a fitted model: their numbers as JSON, on S² their outlines as GeoJSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from scorefold._files import write_whole
from scorefold._types import Document, Key
from scorefold._warnings import warn
from scorefold.data import DataError, Dataset
from scorefold.models import Model
from scorefold.regions import (
    CredibleRegion,
    calibrated_region,
    credible_region,
    feature_collection,
)
from scorefold.runs import documents
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.models.request import ModelProblem
from scorefold.runs.opening import reopened
from scorefold.runs.tables import check_out

_ENDINGS = (".geojson", ".json")


def write_regions(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    mass: Sequence[float] = (0.5, 0.9),
    *,
    n: int = 20_000,
    seed: int = 0,
    resolution: int = 128,
    calibrate: bool = False,
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> str:
    """Write the regions that hold each ``mass`` of the model of a run, with level, area and the
    coverage of the run's test points: numbers (``.json``), on S² outlines with these numbers
    (``.geojson``). Returns them in words. ``n``, ``seed``: of the draws that set the levels;
    ``calibrate``: the run's validation points set them, so that the regions hold shares of the data
    in the place of the model's mass.

    **Raises:** ``RunError`` for a folder without one model, a file that cannot be written, and, to
    calibrate, data that cannot be read or are too few.
    """
    out = Path(out)
    check_out(out, [], "", _ENDINGS)
    run = Run.open(folder, "model")
    run.single()
    check_out(out, run.files, f"the table that {run.folder} was fitted to", _ENDINGS)
    model, listener = run.model(), listener or Listener()
    if out.suffix == ".geojson" and model.manifold.picture != "sphere":
        raise RunError(f"--out {out}: GeoJSON is of S^2, and the model is on "
                       f"{model.manifold.name}: choose the ending .json.")  # fmt: skip
    listener.stage(f"stopped; {out} was not written")
    key = jax.random.key(seed)
    try:
        dataset, reason = _dataset(run, data_dir), ""
    except (DataError, OSError, RunError) as error:
        if calibrate:
            raise RunError(f"--calibrate needs the data of the run: {error}") from error
        warn(f"No coverage of test points: {error}")
        dataset, reason = None, f"no test points: {error}"
    draws = np.asarray(model.sample(key, n))
    if calibrate:
        assert dataset is not None
        regions = [_calibrated(model, dataset, m, key, draws) for m in mass]
    else:
        regions = [credible_region(model, m, key=key, draws=draws) for m in mass]
    numbers = [_numbers(region, dataset, reason) for region in regions]
    if out.suffix == ".geojson":
        document = feature_collection(regions, resolution, numbers)
    else:
        document = {"manifold": model.manifold.name, "draws": n, "seed": seed, "regions": numbers}
    write_whole(out, json.dumps(documents.plain(document), allow_nan=False) + "\n")
    volume = model.manifold.volume
    return "\n".join([*(_line(one, volume) for one in numbers), f"written to {out}"])


def _dataset(run: Run, data_dir: str | None) -> Dataset:
    problem = reopened(run, data_dir)
    assert isinstance(problem, ModelProblem)
    return problem.dataset


def _calibrated(
    model: Model, dataset: Dataset, mass: float, key: Key, draws: np.ndarray
) -> CredibleRegion:
    weights, groups = dataset.weights_of("val"), dataset.groups_of("val")
    points = np.asarray(dataset.val)
    try:
        return calibrated_region(
            model, points, mass, key=key, draws=draws, weights=weights, groups=groups
        )
    except ValueError as error:
        said = str(error).removeprefix("held_out: ")
        raise RunError(f"--calibrate, by the validation points of the run: {said}") from error


def _numbers(region: CredibleRegion, dataset: Dataset | None, reason: str) -> Document:
    names = ("mass", "mass_error", "level", "level_error", "area", "area_error", "held_out")
    found: Document = {name: getattr(region, name) for name in names}
    if dataset is None:
        return {**found, "coverage": None, "coverage_reason": reason}
    weights, groups = dataset.weights_of("test"), dataset.groups_of("test")
    single = groups is not None and len(np.unique(groups)) == 1
    share = region.coverage(
        np.asarray(dataset.test), weights=weights, groups=None if single else groups
    )
    if single:
        why = "all test points are of one group, which has no error"
        return {**found, "coverage": share.value, "coverage_error": None,
                "coverage_n": share.n, "coverage_reason": why}  # fmt: skip
    return {
        **found,
        "coverage": share.value,
        "coverage_error": share.standard_error,
        "coverage_n": share.n,
    }


def _line(found: Document, volume: float) -> str:
    whole = f" ({100 * found['area'] / volume:.3g} % of the space)" if np.isfinite(volume) else ""
    error = found.get("coverage_error")
    inside = "" if found["coverage"] is None else (
        f", {found['coverage']:.3f}{'' if error is None else f' ± {error:.3f}'} of "
        f"{found['coverage_n']} test points inside"
    )  # fmt: skip
    return (
        f"{100 * found['mass']:g} %: log p ≥ {found['level']:.4g} ± {found['level_error']:.2g}, "
        f"area {found['area']:.4g} ± {found['area_error']:.2g}{whole}{inside}"
    )
