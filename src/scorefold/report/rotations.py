"""Rotations: three Euler angles, and where the three axes go."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from scorefold.manifolds import SO3
from scorefold.report.axes import UNNAMED, Axes
from scorefold.report.density import LogProb, evaluate
from scorefold.report.lines import draw_histograms, turn_ticks
from scorefold.report.maps import Mollweide
from scorefold.report.panels import BLUE, ORANGE
from scorefold.report.views import View

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import FigureBase
    from matplotlib.patches import Patch

_MAP = Mollweide(earth=False)
_NAMES = ("φ", "θ", "ψ")
_PRODUCT = "$R_z R_y R_x$"


def euler_angles(rotations: np.ndarray) -> np.ndarray:
    """Angles (φ, θ, ψ) with R = R_z(φ) R_y(θ) R_x(ψ), φ and ψ in [−π, π], θ in [−π/2, π/2];
    (n, 3, 3) → (n, 3), radians. At θ = ±π/2 only φ ∓ ψ is defined; any split is returned."""
    r = np.asarray(rotations, dtype=np.float64)
    phi = np.arctan2(r[:, 1, 0], r[:, 0, 0])
    theta = np.arctan2(-r[:, 2, 0], np.hypot(r[:, 0, 0], r[:, 1, 0]))
    psi = np.arctan2(r[:, 2, 1], r[:, 2, 2])
    return np.stack([phi, theta, psi], -1)


def from_euler_angles(angles: np.ndarray) -> np.ndarray:
    """R_z(φ) R_y(θ) R_x(ψ) of (n, 3) radians, shape (n, 3, 3)."""
    (cf, ct, cp), (sf, st, sp) = np.cos(angles).T, np.sin(angles).T
    rows = [
        [cf * ct, cf * st * sp - sf * cp, cf * st * cp + sf * sp],
        [sf * ct, sf * st * sp + cf * cp, sf * st * cp - cf * sp],
        [-st, ct * sp, ct * cp],
    ]
    return np.moveaxis(np.array(rows), -1, 0)


def euler_marginals(
    log_prob: LogProb, *, around: int = 48, convention: Literal["ZYX", "ZXZ"] = "ZYX"
) -> list[tuple[np.ndarray, np.ndarray]]:
    """The densities of the three Euler angles (per radian) of a law on SO(3), by quadrature: nodes
    (m,) and values (m,) for each angle.

    ``"ZYX"``: R_z(φ) R_y(θ) R_x(ψ), dvol = cos θ dφ dθ dψ, θ in [−π/2, π/2]. ``"ZXZ"``: Bunge's
    (φ₁, Φ, φ₂) of ``SO3.from_euler``, dvol = sin Φ dφ₁ dΦ dφ₂, Φ in [0, π]. 8π² in total.
    The rule has ``around``²·``around``/2 nodes; with the default (spacing 7.5°) it is accurate to
    1e-4 for densities no narrower than 0.1 rad.
    """
    bunge = convention == "ZXZ"
    full = 2 * math.pi * (np.arange(around) + 0.5) / around - math.pi
    half = math.pi * (np.arange(around // 2) + 0.5) / (around // 2)
    half = half if bunge else half - math.pi / 2
    grid = np.stack(np.meshgrid(full, half, full, indexing="ij"), -1).reshape(-1, 3)
    if bunge:
        rotations = np.asarray(SO3().from_euler(grid, convention="ZXZ", degrees=False))
    else:
        rotations = from_euler_angles(grid)
    step = 2 * math.pi / around
    weighted = np.exp(evaluate(log_prob, rotations)).reshape(around, around // 2, around)
    weighted = weighted * (np.sin if bunge else np.cos)(half)[None, :, None] * step**2
    return [
        (full, weighted.sum((1, 2))), (half, weighted.sum((0, 2))), (full, weighted.sum((0, 1))),
    ]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class AxisView(View):
    """Where a rotation takes the axis x, y or z: column ``axis`` of R, on a Mollweide map."""

    axis: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        return _MAP.extent

    def project(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return _MAP.project(points[:, :, self.axis])

    def inside(self, xy: np.ndarray) -> np.ndarray:
        return _MAP.inside(xy)

    def area(self, xy: np.ndarray) -> np.ndarray:
        return _MAP.area(xy)

    def decorate(self, axes: Panel, *, filled: bool) -> Patch | None:
        return _MAP.decorate(axes, filled=filled)


def draw_euler(
    figure: FigureBase, sets: Mapping[str, np.ndarray], log_prob: LogProb | None, written: Axes
) -> None:
    """Histograms of the three Euler angles, one row a set, with the uniform law dotted and, where
    ``log_prob`` is given, its marginals (``euler_marginals``) in black on every row. The angles are
    those of the table where it has Euler angles, with its names, units and ranges."""
    rows = max(len(sets), 1)
    grid = figure.subplots(rows, 3, sharex="col", sharey="col", squeeze=False)
    bunge = written.convention == "ZXZ"
    own = written if bunge else UNNAMED
    curves = None
    if log_prob is not None:
        curves = euler_marginals(log_prob, convention="ZXZ" if bunge else "ZYX")
    shown = list(sets.items()) or [("", np.zeros((0, 3, 3)))]
    for row, (label, rotations) in enumerate(shown):
        if bunge:
            angles = SO3().to_euler(rotations, convention="ZXZ", degrees=False)
        else:
            angles = euler_angles(rotations)
        for column, axes in enumerate(grid[row]):
            low, full = own.turn(column, "radians")
            middle = column == 1
            if middle:
                low, full = (0.0 if bunge else -0.25 * full), 0.5 * full
            scale = (full * (2.0 if middle else 1.0)) / (2.0 * math.pi)
            turned = angles[:, column] * scale
            turned = turned if middle else (turned - low) % full + low
            if label:
                draw_histograms(
                    axes, {label: turned}, (low, low + full), bins=72,
                    colours=(BLUE if row % 2 == 0 else ORANGE,),
                )  # fmt: skip
            x = np.linspace(low, low + full, 181)
            weight = (np.sin if bunge else np.cos)(x / scale) / 2.0
            uniform = weight if middle else np.full(181, 0.5 / math.pi)
            axes.plot(x, uniform / scale, color="0.35", ls=":", lw=1.2, label="uniform law")
            if curves is not None:
                curve = _through(*curves[column], middle=middle, bunge=bunge)
                p = curve(x / scale) / scale
                axes.plot(x, p, color="black", lw=1.3, label="model density")
            turn_ticks(axes.xaxis, low, full)
            axes.tick_params(labelsize=8)
            if row == rows - 1:
                name = "" if bunge else f"{_NAMES[column]} of {_PRODUCT}"
                axes.set_xlabel(own.label(column, name, "radians"), fontsize=9)
        unit = "1/°" if own.unit(0) == "degrees" else "1/rad"
        grid[row, 0].set_ylabel(f"density ({unit})", fontsize=9)
        grid[row, 1].set_title(f"{label}, n = {len(rotations):,}" if label else "", fontsize=10)
    for axes in grid[0]:  # shared with the rows below: room for the highest bar of all
        axes.autoscale(axis="y")
        axes.set_ylim(bottom=0.0)
    handles, labels = grid[0, 0].get_legend_handles_labels()
    kept = [(h, t) for h, t in zip(handles, labels, strict=True) if "n = " not in t]
    figure.legend(*zip(*kept, strict=True), loc="outside lower center", ncols=2, fontsize=9)


def _through(
    nodes: np.ndarray, values: np.ndarray, *, middle: bool, bunge: bool
) -> Callable[[np.ndarray], np.ndarray]:
    """The cubic spline through a marginal: periodic for the outer angles, and 0 at both ends of the
    middle one."""
    from scipy.interpolate import CubicSpline

    if middle:
        low = 0.0 if bunge else -math.pi / 2
        return CubicSpline(np.r_[low, nodes, low + math.pi], np.r_[0.0, values, 0.0])
    turn = 2.0 * math.pi
    spline = CubicSpline(np.r_[nodes, nodes[0] + turn], np.r_[values, values[0]], 0, "periodic")
    return lambda x: spline((x - nodes[0]) % turn + nodes[0])
