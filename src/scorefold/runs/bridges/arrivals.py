"""What is said of drawn ends of a bridge beside real ones."""

from __future__ import annotations

import math
from typing import Any

from scorefold.bridges.arrivals import LEAST, EndGap

__all__ = ["gap_numbers", "missed_line", "text"]


def gap_numbers(gap: EndGap) -> dict[str, Any]:
    """What ``metrics.json`` holds of an arrival."""
    found: dict[str, Any] = {"miss": gap.value, "miss_floor": gap.floor, "missed": gap.missed}
    if gap.missed is None:
        found["missed_reason"] = f"fewer than {LEAST} points on one side"
    return found


def missed_line(name: str, gap: EndGap) -> str:
    """One line for stderr."""
    return (
        f"the bridge misses {name}: points carried there are {text(gap.value)} standard deviations "
        f"from real ones along the worst line, where chance stays below {text(gap.floor)}. Train "
        "longer (--steps), or take another --variance."
    )


def text(value: float | None) -> str:
    """A number with three decimals, or a dash where there is none."""
    return "–" if value is None or not math.isfinite(value) else f"{value:.3f}"
