"""What ``run.json`` says: where the data of a run are, how they were read, digests of the points
that are computed with and of the bytes of files, what was stated, and the version."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scorefold._types import Document, ReadOnlyDocument, Values
from scorefold._version import __version__
from scorefold.fitting.fingerprint import describe
from scorefold.runs import documents
from scorefold.runs.reading import is_named, is_pipe

_IDENTITY = ("seed", "seeds", "bridge", "options", "settings", "points")


def described(
    data: str | Sequence[str],
    *,
    options: ReadOnlyDocument,
    settings: ReadOnlyDocument,
    earth: bool,
    **found: object,
) -> Document:
    """The document of a run: of one table (``data`` a name), or of several. ``found``: what only
    such a run has."""
    names = [data] if isinstance(data, str) else list(data)
    paths = [n if is_named(n) or is_pipe(n) else str(Path(n).resolve()) for n in names]
    files = ["pipe" if is_pipe(n) else None if is_named(n) else file_digest(n) for n in names]
    one = isinstance(data, str)
    return {
        **({"data": paths[0], "file": files[0]} if one else {"data": paths, "files": files}),
        "options": dict(options),
        "settings": dict(settings),
        "earth": earth,
        "scorefold": __version__,
        **found,
    }


def identity(description: ReadOnlyDocument, names: Sequence[str] = _IDENTITY) -> dict[str, str]:
    """The fields that make a run another one, as they look in a file, a line each."""
    found = documents.plain(description)
    return {
        name: value
        for key in names
        for name, value in describe(found.get(key), key).items()
        if not value.startswith("dict of")
    }


def point_digests(parts: Mapping[str, Values]) -> Document:
    """Of points to train, to validate and to test: dtype, shape, SHA-256; a list of them for
    lists of arrays."""

    def digest(rows: Values, name: str) -> str:
        return describe(np.asarray(rows), name)[name]

    return {name: [digest(one, name) for one in rows] if isinstance(rows, list | tuple)
            else digest(rows, name) for name, rows in parts.items()}  # fmt: skip


def file_digest(path: str | os.PathLike) -> str | None:
    """SHA-256 of the bytes of a file; None if it is none."""
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
