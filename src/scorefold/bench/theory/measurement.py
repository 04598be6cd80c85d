"""What one experiment on a theorem found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from scorefold._types import ReadOnlyDocument


@dataclass(frozen=True)
class Measurement:
    """``values``: numbers by name, None for what could not be measured, with its reason in
    ``missing``; ``floors``: the same numbers for a perfect method; ``more``: lists of numbers that
    figures are drawn from; ``seconds`` of wall clock, compilation included."""

    values: Mapping[str, float | None]
    floors: Mapping[str, float] = field(default_factory=dict)
    more: ReadOnlyDocument = field(default_factory=dict)
    seconds: float = 0.0
    missing: Mapping[str, str] = field(default_factory=dict)
