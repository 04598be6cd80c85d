"""``save_pretrained`` and ``load_pretrained``: a model in a folder of the Hub's shape."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import equinox as eqx

from scorefold._files import write_whole
from scorefold._types import Document, ReadOnlyDocument
from scorefold._version import __version__
from scorefold.fitting import DamagedFile, load, save
from scorefold.hub.card import kind_of, model_card

CONFIG = "config.json"
"""The file of the configuration: a folder with one is whole."""
WEIGHTS, CARD = "model.safetensors", "README.md"
FILES = (CONFIG, WEIGHTS, CARD)
_LIBRARY = "scorefold"
_LARGEST = 2**20


def save_pretrained(
    model: eqx.Module,
    folder: str | os.PathLike,
    *,
    card: str | None = None,
    more: ReadOnlyDocument | None = None,
) -> Path:
    """Write ``model.safetensors``, ``README.md`` and ``config.json`` to a folder, which is made if
    it is not there. Other files in it are left alone; the configuration comes last, so that a
    folder with one is whole.

    **Arguments:** ``model``: a model, a bridge, or anything that ``save`` takes; ``card``: the
    Markdown of ``README.md`` (default: ``model_card(model)``); ``more``: JSON values for the
    configuration, such as how columns of a table become points.
    **Raises:** ``DamagedFile`` for a folder that holds a model of another library; what ``save``
    raises.
    """
    folder = Path(folder)
    if (folder / CONFIG).exists():
        configuration(folder)
        (folder / CONFIG).unlink()
    folder.mkdir(parents=True, exist_ok=True)
    save(folder / WEIGHTS, model)
    manifold = getattr(model, "manifold", None)
    config: Document = {
        "library_name": _LIBRARY,
        "scorefold_version": __version__,
        "model": kind_of(model),
        "manifold": getattr(manifold, "name", None),
        "shape": list(getattr(manifold, "shape", ())),
        "sha256": _digest(folder / WEIGHTS),
        **(more or {}),
    }
    text = json.dumps(config, indent=1, allow_nan=False) + "\n"
    write_whole(folder / CARD, model_card(model) if card is None else card)
    write_whole(folder / CONFIG, text)
    return folder


def load_pretrained(folder: str | os.PathLike, *, also: Iterable[type] = ()) -> eqx.Module:
    """The model of a folder that ``save_pretrained`` wrote, or that was downloaded since; other
    files in it are not looked at. ``also``: as for ``load``.

    **Raises:** ``FileNotFoundError`` for what is no such folder (a name on the Hub is downloaded
    by its own tools first); ``DamagedFile`` where the configuration is of another library, or the
    weights are not those that it names; what ``load`` raises.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"no folder {folder}. A model on the Hub is downloaded first: hf download "
            f"{folder} --local-dir DIR; then load_pretrained('DIR')."
        )
    if not (folder / CONFIG).exists():
        raise FileNotFoundError(
            f"{folder} holds no {CONFIG}: give a folder of save_pretrained or of scorefold export."
        )
    config = configuration(folder)
    if not (folder / WEIGHTS).exists():
        raise FileNotFoundError(f"{folder} holds no {WEIGHTS}: download the whole folder.")
    found = _digest(folder / WEIGHTS)
    if config.get("sha256") != found:
        raise DamagedFile(
            f"{folder / WEIGHTS}: not the weights that {CONFIG} names (sha256 {found[:12]} there, "
            f"{str(config.get('sha256'))[:12]} named): download both anew."
        )
    return load(folder / WEIGHTS, also=also)


def configuration(folder: Path) -> Document:
    """The configuration in a folder; that of another library is refused."""
    path = folder / CONFIG
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise DamagedFile(f"{path}: no file of at most {_LARGEST} bytes.")
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DamagedFile(f"{path}: no JSON ({error}).") from error
    library = config.get("library_name") if isinstance(config, dict) else None
    if library != _LIBRARY:
        words = "library_name", "model_type", "_class_name"
        other = next((config[w] for w in words if isinstance(config, dict) and w in config), "")
        raise DamagedFile(
            f"{path}: a model of another library ({str(other)[:40]!r}), not of scorefold."
        )
    return config


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
