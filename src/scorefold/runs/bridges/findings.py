"""What the numbers of a bridge say, in plain words."""

from collections.abc import Sequence

from scorefold._types import ReadOnlyDocument
from scorefold.report import Finding
from scorefold.runs.bridges.arrivals import ratio, text


def arrival_findings(ends: Sequence[tuple[str, ReadOnlyDocument]]) -> list[Finding]:
    """Whether the bridge arrives at each of its ends or snapshots, by name."""
    return [_arrival(name, end) for name, end in ends]


def _arrival(name: str, end: ReadOnlyDocument) -> Finding:
    near = f"their distance is {ratio(end)} times that of fresh points"
    if end["missed"] is None:
        return Finding(f"Whether the bridge arrives at {name} cannot be told: too few points; "
                       f"{near}.", "note", "arrival")  # fmt: skip
    if end["missed"]:
        return Finding(
            f"The bridge MISSES {name}: carried points differ from real ones beyond chance, by "
            f"{text(end['miss'])} standard deviations along the worst line; {near}.",
            "bad", "arrival",
        )  # fmt: skip
    return Finding(f"The bridge arrives at {name}: carried points differ from real ones by "
                   f"no more than chance; {near}.", "good", "arrival")  # fmt: skip
