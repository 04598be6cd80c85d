"""What is said of drawn ends of a bridge beside real ones."""

import math

from scorefold._types import Document, ReadOnlyDocument
from scorefold.bridges.arrivals import LEAST, EndGap
from scorefold.metrics import EndDistance

_ADVICE = "Train longer (--steps), or take another --variance."


def distance_numbers(found: EndDistance) -> Document:
    """What ``metrics.json`` holds of a distance."""
    return {"w1": found.value, "floor": found.floor, "ratio": found.ratio,
            "ratio_std": found.ratio_std, "n": found.n}  # fmt: skip


def gap_numbers(gap: EndGap) -> Document:
    """What ``metrics.json`` holds of an arrival."""
    found: Document = {"miss": gap.value, "miss_floor": gap.floor, "missed": gap.missed}
    if gap.missed is None:
        found["missed_reason"] = f"fewer than {LEAST} points on one side"
    return found


def missed_line(name: str, gap: EndGap, advice: str = _ADVICE) -> str:
    """One line for stderr."""
    return (
        f"the bridge misses {name}: points carried there are {text(gap.value)} standard deviations "
        f"from real ones along the worst line, where chance stays below {text(gap.floor)}. {advice}"
    )


def ratio(end: ReadOnlyDocument) -> str:
    """The ratio of a distance to its floor, in words."""
    return f"{text(end['ratio'])} ± {text(end['ratio_std'])}"


def miss(end: ReadOnlyDocument) -> str:
    """How far an arrival is from real points, in words."""
    chance = f"(chance below {text(end['miss_floor'])})"
    return f"{text(end['miss'])} {chance}" + (": MISSED" if end["missed"] else "")


def text(value: float | None, kind: str = "f") -> str:
    """A number with three decimals, or ("g") with four digits; a dash where there is none."""
    known = value is not None and math.isfinite(value)
    return format(value, ".3f" if kind == "f" else ".4g") if known else "–"
