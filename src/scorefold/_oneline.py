"""Text from files and users, made fit for one line of a terminal."""

import re


def one_line(text: object, limit: int = 500) -> str:
    """``str(text)`` as one printable line of at most ``limit`` characters.

    Line breaks become blanks. Characters that do not print are escaped as in Python (``\\x1b``):
    control characters, separators of lines, marks of direction, halves of surrogate pairs. What is
    too long loses its middle to `` … ``.
    """
    words = str(text)
    if len(words) > 100 * limit:
        # The middle goes anyway: the work does not grow with it.
        words = words[: 50 * limit] + words[-50 * limit :]
    lines = (line.strip(" \t") for line in re.split(r"[\r\n]+", words))
    joined = " ".join(line for line in lines if line)
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in joined
    )
    if len(shown) <= limit:
        return shown
    head = 2 * (limit - 3) // 3
    return f"{shown[:head]} … {shown[len(shown) - (limit - 3 - head) :]}"
