"""What is not an error and should still be known."""


class ScorefoldWarning(UserWarning):
    """Something that holds but should be known: the message says what and by how much."""
