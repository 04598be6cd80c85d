"""JSON documents of a run: written whole and always, read with bounds and against a shape."""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scorefold._files import write_whole
from scorefold._types import Document, ReadOnlyDocument
from scorefold.runs.errors import RunError

_LARGEST = 8 * 2**20
_NUMBER, _WHOLE, _WORD = "a number", "a whole number", "a line of text"

Shape = type | str | tuple | list | dict | None
"""A kind of value, a tuple of shapes (any will do), a list (each entry has the shape) or a
dictionary of those that must be there, by name."""
METRICS = {
    **dict.fromkeys(("model", "dataset", "manifold", "protocol"), str),
    **dict.fromkeys(("seed", "n_train", "n_val", "n_test"), _WHOLE),
    **dict.fromkeys(
        ("test_nll", "test_nll_standard_error", "val_nll", "reference_nll", "nfe", "normalisation",
         "normalisation_error"),
        (_NUMBER, None),
    ),
    "reference": (str, None),
    "generalisation": (dict, None),
    "steps": _WHOLE,
    "train_seconds": _NUMBER,
    "compile_seconds": _NUMBER,
    "model_sha256": str,
}  # fmt: skip
SUMMARY = {"seed": [_WHOLE], "runs": [METRICS]}
BRIDGE_METRICS = {"model": str, "seed": _WHOLE, "model_sha256": str}
HISTORY = {
    "step": [_WHOLE],
    "loss": [(_NUMBER, None)],
    "val_step": [_WHOLE],
    "val_nll": [(_NUMBER, None)],
    "steps": _WHOLE,
    "best_step": _WHOLE,
    "stopped": str,
    "seconds": _NUMBER,
    "compile_seconds": _NUMBER,
    "train_seconds": _NUMBER,
    "seed": [_WHOLE],
}
_FITTED = {
    "data": _WORD,
    "file": (_WORD, None),
    "options": dict,
    "settings": dict,
    "earth": bool,
    "scorefold": str,
}
SNAPSHOT_HISTORY = {
    "method": str,
    "inner": [_NUMBER],
    "compared": dict,
    "course": dict,
    "seconds": _NUMBER,
    "floor": [_NUMBER],
    "coherence": (_NUMBER, None),
}
RUN = {**_FITTED, "seed": _WHOLE, "coordinates": dict, "points": {"train": str, "val": str,
                                                                  "test": str}}  # fmt: skip
SEEDS = {**_FITTED, "seeds": [_WHOLE]}
BRIDGE = {"bridge": [str], "data": [_WORD], "files": [(_WORD, None)], "options": dict,
          "settings": dict, "points": dict, "coordinates": dict, "seed": _WHOLE, "earth": bool,
          "scorefold": str}  # fmt: skip


def write(path: Path, document: ReadOnlyDocument) -> None:
    """Write a JSON object, whole or not at all. Numbers that are not finite become null, with the
    reason beside them; nothing that a computation can return keeps it from being written."""
    write_whole(path, text(document))


def text(document: ReadOnlyDocument) -> str:
    """The JSON of a document."""
    return json.dumps(plain(document), indent=1, allow_nan=False) + "\n"


def read(path: Path, shape: Shape) -> Document:
    """The document in a file, which must have the shape.

    **Raises:** ``RunError`` naming the file and what is wrong with it.
    """
    try:
        if not path.is_file():
            raise RunError(f"{path} is missing, or not a file.")
        if path.stat().st_size > _LARGEST:
            raise RunError(f"{path} is damaged (larger than {_LARGEST} bytes).")
        document = json.loads(path.read_bytes(), parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged ({error or 'nested too deeply'}).") from error
    check(path, document, shape)
    return document


def check(path: Path, document: object, shape: Shape) -> None:
    """**Raises:** ``RunError`` if a document that was read from ``path`` has not the shape."""
    if wrong := _wrong(document, shape, ""):
        raise RunError(f"{path} is damaged, or of another program ({wrong}).")


@contextmanager
def describes(path: Path, *more: type[Exception]) -> Iterator[None]:
    """Within, a document whose shape was right is used; what its values cannot mean is damage,
    as are exceptions of the types ``more``."""
    meaningless: tuple[type[Exception], ...] = (KeyError, TypeError, AttributeError)
    meaningless += (IndexError, OverflowError, *more)
    try:
        yield
    except meaningless as error:
        words = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise RunError(f"{path} is damaged, or of another version ({words}).") from error


def plain(document: Mapping) -> Document:
    """A document as JSON has it, whatever it holds; numbers that are not finite become None."""
    out: Document = {}
    for key, entry in document.items():
        out[str(key)] = found = _plain(entry)
        lost = found is None or (isinstance(found, list) and None in found)
        if lost and entry is not None and f"{key}_reason" not in document:
            out[f"{key}_reason"] = "not a finite number"
    return out


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**63 else float(value) if abs(value) < 2**1000 else str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return _plain(np.asarray(value).tolist())
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def _wrong(value: object, shape: Shape, where: str) -> str:
    """What is wrong first, in words; empty if nothing is."""
    if isinstance(shape, tuple):
        found = [_wrong(value, one, where) for one in shape]
        return "" if "" in found else found[0]
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{where or 'it'} is not a list"
        return next((w for w in (_wrong(v, shape[0], f"an entry of {where}") for v in value) if w),
                    "")  # fmt: skip
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{where or 'it'} is not an object"
        for name, inner in shape.items():
            if name not in value:
                return f"no {name}" + (f" in {where}" if where else "")
            if wrong := _wrong(value[name], inner, name):
                return wrong
        return ""
    if shape is None:
        return "" if value is None else f"{where} is not null"
    if isinstance(shape, type):
        right = isinstance(value, shape)
    elif shape == _WORD:
        right = isinstance(value, str) and 0 < len(value) < 5000 and "\0" not in value
    elif isinstance(value, bool):
        right = False
    elif shape == _NUMBER:
        right = isinstance(value, int | float) and abs(value) < 2**1000
    else:
        right = isinstance(value, int) and 0 <= value < 2**53
    return "" if right else f"{where or 'it'} is not {_KINDS.get(shape, shape)}"


_KINDS: dict[Shape, str] = {str: "text", dict: "an object", bool: "true or false"}


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is not a finite number")
    return value
