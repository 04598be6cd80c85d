"""The one class of warnings."""

__all__ = ["ScorefoldWarning"]


class ScorefoldWarning(UserWarning):
    """Something that holds but should be known: the message says what and by how much."""
