"""Training curves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scorefold.report._text import plain
from scorefold.report.panels import BLUE, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure


def smooth(values: np.ndarray, span: float) -> np.ndarray:
    """Exponential moving average without bias at the start; NaN and inf are passed over:

    m_k = Σ_{j≤k} a^{k−j} v_j / Σ_{j≤k} a^{k−j},   a = 1 − 1/span.
    """
    keep = 1.0 - 1.0 / max(span, 1.0)
    total = weight = 0.0
    out = np.full(len(values), np.nan)
    for k, value in enumerate(values):
        total, weight = total * keep, weight * keep
        if np.isfinite(value):
            total, weight = total + value, weight + 1.0
        if weight > 0:
            out[k] = total / weight
    return out


def training_curves(
    history: object,
    *,
    title: str = "",
    validation: str = "validation loss",
    chosen: float | None = None,
) -> Figure:
    """Loss (each record faint, its moving average over a fiftieth of the run bold), validation
    with the best one marked and, where recorded, the learning rate. ``validation``: what the
    validation measured.

    ``history`` has arrays ``step`` and ``loss``, and may have ``val_step`` with ``val_nll`` and
    ``learning_rate`` (one value per record of the loss). ``chosen``: the validation NLL of the
    model that was returned, where it was measured with more care than training takes; the mark of
    the best step then says this number.
    """
    step, loss = (np.asarray(getattr(history, k), float) for k in ("step", "loss"))
    val_step, val_nll, rate = (
        np.asarray(value if (value := getattr(history, k, None)) is not None else [], float)
        for k in ("val_step", "val_nll", "learning_rate")
    )
    panels = ["loss"] + ["val"] * bool(val_nll.size) + ["rate"] * bool(rate.size)
    figure = new_figure(4.2 * len(panels), 3.4)
    for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.set_xlabel("step")
        axes.grid(color="0.9")
        axes.tick_params(labelsize=8)
        if panel == "loss":
            _draw_loss(axes, step, loss)
        elif panel == "val":
            _draw_validation(axes, val_step, val_nll, validation, chosen)
        else:
            axes.plot(step, rate, color="0.2", lw=1.4)
            axes.set_ylabel("learning rate")
            axes.ticklabel_format(axis="y", scilimits=(-2, 3))
    figure.suptitle(plain(title))
    return figure


def _draw_loss(axes: Panel, step: np.ndarray, loss: np.ndarray) -> None:
    axes.set_ylabel("training loss")
    axes.plot(step, loss, color=BLUE, lw=0.6, alpha=0.35, label="each record")
    axes.plot(step, smooth(loss, len(loss) / 50), color=BLUE, lw=1.8, label="moving average")
    finite = loss[np.isfinite(loss)]
    if finite.size:
        # A few wild batches must not flatten the curve.
        low, high = np.quantile(finite, [0.005, 0.98])
        margin = 0.08 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)
    lost = len(loss) - finite.size
    if lost:
        axes.plot([], [], " ", label=f"{lost} not finite")
    axes.legend(fontsize=8)


def _draw_validation(
    axes: Panel, step: np.ndarray, nll: np.ndarray, name: str, chosen: float | None
) -> None:
    axes.set_ylabel(name)
    axes.plot(step, nll, color=ORANGE, lw=1.4, marker="o", ms=3)
    if np.isfinite(nll).any():
        best = int(np.nanargmin(np.where(np.isfinite(nll), nll, np.nan)))
        value = nll[best] if chosen is None else chosen
        label = f"{'best' if chosen is None else 'model'}: {value:.3f} at step {step[best]:,.0f}"
        axes.plot(step[best], nll[best], "*", ms=13, color="black", label=label)
        axes.legend(fontsize=8)
