"""Names as text: what a table, a file or a person calls things is shown as it is, not obeyed."""

import unicodedata

_LONGEST = 80


def visible(text: object) -> str:
    """``text`` with control characters, directions of writing and halves of surrogate pairs shown
    as escapes (``\\x1b``, ``\\u202e``)."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in _HIDDEN else c
        for c in str(text)
    )


def plain(text: object) -> str:
    """``text`` for matplotlib: no formulas (``$``), no hidden legend entries (a leading ``_``), one
    line, the middle of very long names left out."""
    shown = visible(text)
    if len(shown) > _LONGEST:
        shown = f"{shown[: _LONGEST // 2]}…{shown[-_LONGEST // 2 + 1 :]}"
    shown = shown.replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown


_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
