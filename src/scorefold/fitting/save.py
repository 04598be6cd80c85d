"""``save`` and ``load``: a model in one file that needs nothing else."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import equinox as eqx

from scorefold._types import Document
from scorefold.fitting import codec, container
from scorefold.fitting.errors import DamagedFile

_FORMAT = "scorefold model"
_VERSION = 2


def save(path: str | Path, model: eqx.Module, metadata: Document | None = None) -> None:
    """Write a model, its full configuration and its arrays, to one safetensors file.

    The file is complete or absent: it is written beside ``path`` and renamed. A link called
    ``path`` is replaced, never followed. ``metadata`` is any JSON object of moderate size, kept in
    the file for readers (``load`` ignores it).

    A class from outside scorefold is written by its name, and ``load`` must be told of it.

    **Raises:** ``TypeError`` naming the field that cannot be stored (a function other than the
    usual activations, a class that no name leads to); ``ValueError`` for metadata that cannot be;
    ``DiskFull``; ``OSError``.
    """
    document, arrays = codec.encode(model)
    header = {"format": _FORMAT, "version": _VERSION, "model": document, "metadata": metadata or {}}
    container.write(Path(path), arrays, header)


def load(path: str | Path, *, also: Iterable[type] = ()) -> Any:
    """The model in a file written by ``save``, bit for bit, from the file alone.

    Files are data: a class or function outside scorefold's own tables is refused, and nothing in
    the file is executed. ``also``: classes from elsewhere that the file may use, as
    ``load(path, also=[MyManifold])``; those that installed packages have entry points for
    (``scorefold.manifolds``, ``scorefold.models``) need not be named. A flipped bit or a missing
    byte is noticed, and so is a value that a field of its class cannot have. Pipes, folders and
    devices are not opened.

    **Raises:** ``DamagedFile`` saying in one line what is wrong and where; ``FileNotFoundError``;
    ``PermissionError``.
    """
    arrays, header = container.read(Path(path))
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise DamagedFile(f"{path}: not a scorefold model file (a checkpoint, perhaps).")
    if header.get("version") != _VERSION:
        raise DamagedFile(
            f"{path}: version {header.get('version')!r}; this scorefold reads {_VERSION}."
        )
    try:
        return codec.decode(header.get("model"), arrays, also)
    except DamagedFile as error:
        raise DamagedFile(f"{path}: {error}") from error
