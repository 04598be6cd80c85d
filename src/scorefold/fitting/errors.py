"""What can end a run early."""

from __future__ import annotations

__all__ = ["NonFiniteLoss"]


class NonFiniteLoss(ArithmeticError):
    """The loss or its gradient was not finite at ``step``; ``rows`` are rows of the data.

    The state was left as it was before that step, and the last checkpoint is untouched.
    """

    def __init__(self, message: str, *, step: int, rows: tuple[int, ...]) -> None:
        super().__init__(message)
        self.step = step
        self.rows = rows
