"""The one class of warnings of the library."""

from __future__ import annotations

__all__ = ["ScorefoldWarning"]


class ScorefoldWarning(UserWarning):
    """Something that holds but should be known: the message says what and by how much."""
