"""What is not an error and should still be known."""

import sys
import warnings

_PASSED_OVER = {"beartype", "contextlib", "equinox", "functools", "jax", "jaxtyping", "scorefold"}
"""Packages whose frames lie between a user's line and the warning."""


class ScorefoldWarning(UserWarning):
    """Something that holds but should be known: the message says what and by how much."""


def warn(message: str) -> None:
    """Warn of the line outside of scorefold that the call came from."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _PASSED_OVER:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, ScorefoldWarning, stacklevel=level)
