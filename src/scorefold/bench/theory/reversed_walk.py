"""Theorem 2 of the poster, measured: how far the reversed walk ends from the data.

    W₁(L(Y_N), p₀) ≤ C (e^{−λ₁T} + √(T/2) M + e^T γ^{1/2})      (De Bortoli et al. 2022)

Each of the three terms is swept with the others small. T is the variance-time at which the noising
dX = dB ends (generator ½Δ), γ the step, M the largest error of the score.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import jax
import numpy as np

from scorefold.bench.contract import Measurement
from scorefold.bench.theory import reversed_circle, reversed_sphere
from scorefold.bench.theory.orders import known
from scorefold.bench.theory.reversed_sweeps import Sweeps, sweep_horizon, sweep_size, sweep_step
from scorefold.report.panels import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

CIRCLE, SPHERE = "S^1", "S^2"
HORIZON, ADVERSE, ROTATION, STEP = "T", "M, adverse", "M, rotation", "γ"
"""What is swept. The error of the score pushes against one function, or is a rotation."""
SWEEPS: dict[str, Callable[[Sweeps], Measurement]] = {
    HORIZON: sweep_horizon,
    ADVERSE: sweep_size,
    ROTATION: sweep_size,
    STEP: sweep_step,
}
_STEPS = {"quick": 25, "default": 200, "full": 1000}
"""Of a walk on the circle in a unit of time, where γ must not count."""
_DRAWS = {"quick": (2000, 32), "default": (20_000, 128), "full": (500_000, 512)}
"""On the sphere, and steps where γ must not count."""
Found = Mapping[tuple[str, str], Measurement]


def on_circle(length: str, adverse: bool = True) -> Sweeps:
    """By quadrature; the error of the score pushes against one function, or is a rotation."""
    law, rate = reversed_circle.data_law(), _STEPS[length]
    return Sweeps(
        walk=functools.partial(reversed_circle.walk_error, law, adverse=adverse),
        limit=functools.partial(reversed_circle.reversal_error, law),
        gap=law.manifold.spectral_gap, floor=0.0, fine=lambda T: round(rate * T),
        limits=(0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 12.0), horizons=(1.0, 2.0, 4.0, 6.0),
        sizes=(0.1, 0.2, 0.4, 0.8), steps=(10, 20, 40, 80, 160, 320), long=4.0,
        growth=(0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0), held_step=2.0 / rate, held_size=0.2,
    )  # fmt: skip


def on_sphere(length: str) -> Sweeps:
    """By draws, but for the limit of small steps."""
    n, steps = _DRAWS[length]
    growth = (0.4, 0.8, 1.6, 3.2, 6.4)
    return Sweeps(
        walk=functools.partial(reversed_sphere.walk_error, jax.random.key(0), n),
        limit=reversed_sphere.reversal_error,
        gap=reversed_sphere.SPHERE.spectral_gap, floor=_floor(n), fine=lambda T: steps,
        limits=(0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0), horizons=(0.25, 0.5, 1.0),
        sizes=(0.1, 0.2, 0.4, 0.8), steps=(2, 4, 8, 16, 32), long=1.6,
        growth=growth[:-1] if length == "quick" else growth, held_step=0.1, held_size=0.4,
    )  # fmt: skip


@functools.cache
def _floor(n: int) -> float:
    return reversed_sphere.floor(jax.random.key(1), n)


def measure(space: str, swept: str, length: str) -> Measurement:
    """One sweep on one space; the circle in 64 bits."""
    began = time.perf_counter()
    if space == CIRCLE:
        with jax.enable_x64(True):
            found = SWEEPS[swept](on_circle(length, adverse=swept != ROTATION))
    else:
        found = SWEEPS[swept](on_sphere(length))
    return dataclasses.replace(found, seconds=time.perf_counter() - began)


def cells(length: str) -> Iterator[tuple[str, str, Callable[[], Measurement]]]:
    """(space, what is swept, what measures it)."""
    for space in (CIRCLE, SPHERE):
        for swept in SWEEPS:
            if space == CIRCLE or swept != ROTATION:
                yield space, swept, functools.partial(measure, space, swept, length)


def sentence(found: Found) -> str:
    """What one sees, with the numbers in it, of the sweeps that are there."""

    def each(swept: str, value: str, form: str) -> str:
        values = {s: found[s, swept].values[value] for s in (CIRCLE, SPHERE) if (s, swept) in found}
        return " and ".join(f"{v:{form}} on {space}" for space, v in values.items())

    parts = []
    if each(HORIZON, "order", ""):
        parts.append(
            f"T is tight: W₁ falls like e^(−aT), a = {each(HORIZON, 'order', '.3f')}, which is λ₁ "
            "and not the λ₁/2 at which p_T nears the uniform law, since the way back forgets as "
            "much again"
        )
    if each(ADVERSE, "order", ""):
        parts.append(
            f"M is linear (order {each(ADVERSE, 'order', '.2f')}), but bounded in T where the "
            f"theorem has √T: an adverse error grows like T^a with a = "
            f"{each(ADVERSE, 'growth', '.2f')} at the longest T"
        )
    if each(STEP, "order", ""):
        parts.append(
            f"γ is not tight: its order is {each(STEP, 'order', '.2f')}, not 1/2, and nothing "
            f"grows like e^T, which overshoots by {each(STEP, 'overshoot', '.0e')} at the longest "
            "T if it is made to fit the shortest above 1/2"
        )
    floor = max((m.floors["W₁"] for m in found.values()), default=0.0)
    how = f"Quadrature on S^1, draws on S^2 (floor of W₁ {floor:.4f} rad)"
    return f"{how}. {'; '.join(parts)}."


def figure(found: Found) -> Figure:
    """A row for each space: against T, M and γ, and what T does at fixed M or γ."""
    spaces = [space for space in (CIRCLE, SPHERE) if any(space == s for s, _ in found)]
    drawn = new_figure(14.0, 3.4 * len(spaces))
    for space, row in zip(spaces, drawn.subplots(len(spaces), 4, squeeze=False), strict=True):
        mine = {swept: m for (s, swept), m in found.items() if s == space}
        floor = max(m.floors["W₁"] for m in mine.values())
        if HORIZON in mine:
            _draw_horizon(row[0], mine[HORIZON])
        for swept, colour in ((ADVERSE, COLOURS[1]), (ROTATION, COLOURS[2])):
            if swept in mine:
                _draw_power(row[1], mine[swept], "M", colour, swept)
        if STEP in mine:
            _draw_power(row[2], mine[STEP], "gamma", COLOURS[0], "γ")
        _draw_growth(row[3], mine)
        row[0].set_ylabel(f"{space}:  W₁ to the data (rad)")
        for axes in row:
            if floor and axes is not row[3]:
                axes.axhline(floor, color="0.6", lw=0.9, label="floor: exact draws")
            axes.grid(color="0.92")
            if axes.get_legend_handles_labels()[0]:
                axes.legend(fontsize=7)
            axes.tick_params(labelsize=8)
    return drawn


def _draw_horizon(axes: Panel, m: Measurement) -> None:
    t, limit = np.asarray(m.more["T"]), np.asarray(m.more["limit"])
    rate, half = known(m.values, "order"), 0.5 * m.more["gap"]
    axes.semilogy(t, limit, color=COLOURS[0], lw=1.6, label=f"γ → 0: ∝ e^(−{rate:.3f} T)")
    gamma = " to ".join(f"{g:.2g}" for g in sorted({min(m.more["gamma"]), max(m.more["gamma"])}))
    axes.plot(m.more["walked"], m.more["seen"], "o", color=COLOURS[1], ms=4, label=f"γ = {gamma}")
    axes.plot(t, limit[0] * np.exp(-half * (t - t[0])), ":", color="0.3", label="∝ e^(−λ₁T/2)")
    axes.set_xlabel("T (variance-time)")


def _draw_power(axes: Panel, m: Measurement, swept: str, colour: str, name: str) -> None:
    x, seen = np.asarray(m.more[swept]), np.asarray(m.more["seen"])
    order, predicted = known(m.values, "order"), known(m.values, "order, bound")
    axes.loglog(x, seen, "o-", color=colour, ms=4, label=f"{name}: order {order:.2f}")
    end = np.argmin(x)
    guide = seen[end] * (x / x[end]) ** predicted
    axes.plot(x, guide, ":", color=colour, label=f"order {predicted:g}, as in the theorem")
    axes.set_xlabel(name.partition(",")[0])
    _plain_ticks(axes, x)


def _draw_growth(axes: Panel, mine: Mapping[str, Measurement]) -> None:
    bounds = {ADVERSE: (np.sqrt, "√T"), ROTATION: (None, ""), STEP: (np.exp, "e^T")}
    colours = {STEP: COLOURS[0], ADVERSE: COLOURS[1], ROTATION: COLOURS[2]}
    for swept, (bound, name) in bounds.items():
        if swept not in mine:
            continue
        t, seen = (np.asarray(mine[swept].more[k]) for k in ("T", "by_time"))
        over = "W₁/γ" if swept == STEP else f"W₁/M, {swept.partition(', ')[2]}"
        axes.loglog(t, seen, "o-", color=colours[swept], ms=4, label=over)
        if bound is not None:
            guide = np.max((seen / bound(t))[t > 0.5]) * bound(t)
            axes.plot(t, guide, ":", color=colours[swept], label=f"∝ {name}, as in the theorem")
        _plain_ticks(axes, t)
    axes.set(xlabel="T, with γ or M held", ylim=(0.05, 30.0))


def _plain_ticks(axes: Panel, x: np.ndarray) -> None:
    """Ticks of a logarithmic axis at the numbers that were measured."""
    axes.set_xticks(x, [f"{v:.3g}" for v in x])
    axes.minorticks_off()
