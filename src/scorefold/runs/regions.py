"""Credible regions of a fitted model: their numbers as JSON, on S² their outlines as GeoJSON."""

import json
import os
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from scorefold._files import write_whole
from scorefold._types import Document
from scorefold._warnings import warn
from scorefold.data import DataError
from scorefold.regions import CredibleRegion, credible_region, feature_collection
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
    data_dir: str | None = None,
    listener: Listener | None = None,
) -> str:
    """Write the regions that hold each ``mass`` of the model of a run, with level, area and the
    coverage of the run's test points: numbers (``.json``), on S² outlines with these numbers
    (``.geojson``). Returns them in words. ``n``, ``seed``: of the draws that set the levels.

    **Raises:** ``RunError`` for a folder without one model and a file that cannot be written.
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
    draws = np.asarray(model.sample(key, n))
    regions = [credible_region(model, m, key=key, draws=draws) for m in mass]
    points, weights, reason = _held_out(run, data_dir)
    numbers = [_numbers(region, points, weights, reason) for region in regions]
    if out.suffix == ".geojson":
        document = feature_collection(regions, resolution, numbers)
    else:
        document = {"manifold": model.manifold.name, "draws": n, "seed": seed, "regions": numbers}
    write_whole(out, json.dumps(documents.plain(document), allow_nan=False) + "\n")
    volume = model.manifold.volume
    return "\n".join([*(_line(one, volume) for one in numbers), f"written to {out}"])


def _held_out(run: Run, data_dir: str | None) -> tuple[np.ndarray | None, np.ndarray | None, str]:
    """The test points of the run and their weights, or why there are none."""
    try:
        problem = reopened(run, data_dir)
        assert isinstance(problem, ModelProblem)
        return np.asarray(problem.dataset.test), problem.dataset.weights_of("test"), ""
    except (DataError, OSError, RunError) as error:
        warn(f"No coverage of test points: {error}")
        return None, None, f"no test points: {error}"


def _numbers(
    region: CredibleRegion, points: np.ndarray | None, weights: np.ndarray | None, reason: str
) -> Document:
    names = ("mass", "level", "level_error", "area", "area_error")
    found: Document = {name: getattr(region, name) for name in names}
    if points is None:
        return {**found, "coverage": None, "coverage_reason": reason}
    share = region.coverage(points, weights=weights)
    return {
        **found,
        "coverage": share.value,
        "coverage_error": share.standard_error,
        "coverage_n": share.n,
    }


def _line(found: Document, volume: float) -> str:
    whole = f" ({100 * found['area'] / volume:.3g} % of the space)" if np.isfinite(volume) else ""
    inside = "" if found["coverage"] is None else (
        f", {found['coverage']:.3f} ± {found['coverage_error']:.3f} of {found['coverage_n']} test "
        "points inside"
    )  # fmt: skip
    return (
        f"{100 * found['mass']:g} %: log p ≥ {found['level']:.4g} ± {found['level_error']:.2g}, "
        f"area {found['area']:.4g} ± {found['area_error']:.2g}{whole}{inside}"
    )
