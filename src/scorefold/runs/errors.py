"""What is wrong with a request for a run, or with the folder of one."""

from scorefold._oneline import one_line


class RunError(Exception):
    """A request that cannot be carried out as it is, or a folder that cannot be used: one
    printable line."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))
