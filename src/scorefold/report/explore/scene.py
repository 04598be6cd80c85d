"""What a page lets its reader explore: stages that turn or pan, and charts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scorefold._types import Document
from scorefold.report._text import visible
from scorefold.report.explore.encode import floats, levels

Shape = Literal["globe", "torus", "flat", "cloud"]
"""The unit sphere, a torus of revolution, a rectangle, a box of three coordinates."""


@dataclass(frozen=True)
class Ruler:
    """One axis of a stage: what is written beside it, and its range. ``round``: it is a whole turn
    that begins again at the other end."""

    label: str
    low: float
    high: float
    round: bool = False


@dataclass(frozen=True)
class Layer:
    """Something to be shown or hidden by its name. One of

    - ``points``: (n, 3);
    - ``lines``: pieces of (m, 3);
    - ``moving``: (times, n, 3) at ``times``.
    """

    name: str
    colour: str
    points: np.ndarray | None = None
    lines: Sequence[np.ndarray] = ()
    moving: np.ndarray | None = None
    times: Sequence[float] = ()
    shown: bool = True

    def document(self) -> Document:
        found: Document = {"name": visible(self.name), "colour": self.colour, "shown": self.shown}
        if self.points is not None:
            found["points"] = floats(self.points)
        elif self.moving is not None:
            found |= {"moving": floats(self.moving), "times": [float(t) for t in self.times]}
        else:
            pieces = [piece for piece in self.lines if len(piece) > 1] or [np.zeros((0, 3))]
            found["lines"] = floats(np.concatenate(pieces))
            found["lengths"] = [len(piece) for piece in pieces]
        return found


@dataclass(frozen=True)
class Body:
    """One picture of a stage: log p in nats on the grid of the surface, (rows, columns) from the
    lower left, and layers over it."""

    title: str
    layers: Sequence[Layer]
    raster: np.ndarray | None = None
    how: str = "model density"

    def document(self) -> Document:
        found: Document = {
            "title": visible(self.title), "layers": [layer.document() for layer in self.layers]
        }  # fmt: skip
        if self.raster is not None:
            found |= {"raster": levels(self.raster), "how": self.how}
        return found


@dataclass(frozen=True)
class Stage:
    """Bodies side by side, seen by one camera.

    ``layers`` are in all of them; ``grid`` and ``labels``: lines, and words at places, that help
    the eye; ``half``: half of the width and height of a flat one, ``disk``: its radius if it is
    round; ``facing``: where the camera is first; ``earth``: latitudes are said as north and south;
    ``limits`` of the colours in nats; ``same``: a place is one point in all bodies.
    """

    title: str
    shape: Shape
    rulers: Sequence[Ruler]
    unit: str
    bodies: Sequence[Body]
    layers: Sequence[Layer] = ()
    grid: Sequence[np.ndarray] = ()
    labels: Sequence[tuple[str, Sequence[float]]] = ()
    half: tuple[float, float] = (1.0, 1.0)
    facing: Sequence[float] = (1.0, 0.0, 0.4)
    columns: int = 1
    disk: float = 0.0
    earth: bool = False
    limits: tuple[float, float] = (0.0, 1.0)
    same: bool = True

    def document(self) -> Document:
        return {
            "title": visible(self.title), "shape": self.shape, "unit": self.unit,
            "rulers": [{"label": visible(s.label), "low": s.low, "high": s.high, "round": s.round}
                       for s in self.rulers],
            "bodies": [body.document() for body in self.bodies],
            "layers": [layer.document() for layer in self.layers],
            "grid": Layer("grid", "", lines=self.grid).document(),
            "labels": [{"text": visible(text), "at": [float(c) for c in at]}
                       for text, at in self.labels],
            "half": list(self.half), "facing": [float(c) for c in self.facing],
            "columns": self.columns, "disk": self.disk, "earth": self.earth,
            "limits": list(self.limits), "same": self.same,
        }  # fmt: skip


@dataclass(frozen=True)
class Series:
    """A line of a chart through (x, y); ``marks``: dots instead."""

    name: str
    x: np.ndarray
    y: np.ndarray
    marks: bool = False
    faint: bool = False

    def document(self) -> Document:
        x, y = (np.asarray(a, np.float64) for a in (self.x, self.y))
        seen = np.isfinite(x) & np.isfinite(y)
        return {"name": visible(self.name), "x": floats(x[seen]), "y": floats(y[seen]),
                "marks": self.marks, "faint": self.faint}  # fmt: skip


@dataclass(frozen=True)
class Curves:
    """A chart of lines over one axis."""

    title: str
    x: str
    y: str
    series: Sequence[Series]

    def document(self) -> Document:
        return {"title": visible(self.title), "x": visible(self.x), "y": visible(self.y),
                "series": [one.document() for one in self.series]}  # fmt: skip


@dataclass(frozen=True)
class Scene:
    """All that a page lets its reader explore."""

    stages: Sequence[Stage] = ()
    curves: Sequence[Curves] = ()

    def document(self) -> Document:
        return {
            "colours": _cividis(),
            "stages": [stage.document() for stage in self.stages],
            "curves": [one.document() for one in self.curves],
        }


def _cividis() -> str:
    """256 colours of the static pictures, as bytes."""
    from matplotlib import colormaps

    table = np.rint(255 * colormaps["cividis"](np.arange(256))[:, :3]).astype(np.uint8)
    return base64.b64encode(table.tobytes()).decode("ascii")
