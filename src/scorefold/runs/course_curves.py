"""The course of a training as charts that can be read off."""

from collections.abc import Sequence

import numpy as np

from scorefold import report
from scorefold.bridges import AlternationHistory
from scorefold.fitting import History

_MOST = 1500
"""Records of a chart: more cannot be told apart."""


def course_curves(
    course: History | AlternationHistory, validation: str, ends: tuple[str, str] = ("A", "B")
) -> list[report.Curves]:
    """Loss and validation of a training, or distance and change half-step by half-step;
    ``validation``: what the validation measured."""
    if isinstance(course, AlternationHistory):
        return _half_steps(course, ends)
    found = []
    if len(course.step):
        kept = np.unique(np.linspace(0, len(course.step) - 1, _MOST).round().astype(int))
        mean = report.smooth(np.asarray(course.loss, float), len(course.loss) / 50)
        step = np.asarray(course.step, float)[kept]
        found.append(report.Curves("Training loss", "step", "training loss", [
            report.Series("each record", step, np.asarray(course.loss)[kept], faint=True),
            report.Series("moving average", step, mean[kept]),
        ]))  # fmt: skip
    if len(course.val_step):
        series = report.Series("validation", course.val_step, course.val_nll, marks=True)
        found.append(report.Curves("Validation while training", "step", validation, [series]))
    return found


def _half_steps(course: AlternationHistory, ends: Sequence[str]) -> list[report.Curves]:
    toward, number = np.asarray(course.toward), np.arange(1, len(course.toward) + 1)
    gaps, changes = [], []
    for end, name, floor in zip("ab", ends, course.floor, strict=True):
        of = toward == end
        gaps += [
            report.Series(f"at {name}", number[of], course.gap[of], marks=True),
            report.Series(
                f"fresh points of {name}", number[[0, -1]], np.full(2, floor), faint=True
            ),
        ]
        changes.append(report.Series(f"at {name}", number[of], course.change[of], marks=True))
    return [
        report.Curves("Distance by half-steps", "half-step", "sliced W₂", gaps),
        report.Curves("Change by half-steps", "half-step", "nats", changes),
    ]
