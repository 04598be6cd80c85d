"""Arrays as text that a page can hold: base64, finite, and safe within a ``<script>`` element."""

from __future__ import annotations

import base64
import json
import math

import numpy as np

from scorefold._types import Document, ReadOnlyDocument

_STEPS = 65534
"""Levels of a quantised array; level 0 is where there is no number."""


def floats(values: np.ndarray) -> Document:
    """An array as little-endian float32: ``{"shape", "f4"}``.

    **Raises:** ``ValueError`` if a number is not finite in float32.
    """
    array = np.asarray(values, "<f4")
    if not np.isfinite(array).all():
        raise ValueError("values: numbers that a page draws must be finite.")
    return {"shape": list(array.shape), "f4": base64.b64encode(array.tobytes()).decode("ascii")}


def levels(values: np.ndarray) -> Document:
    """An array in 65,534 even levels from its smallest finite number to its largest,

        v = low + (k − 1)(high − low)/65533,   k ≥ 1,

    so within (high − low)/131066 of what it was: ``{"shape", "low", "high", "u2"}``; k = 0 stands
    for what is not finite.
    """
    array = np.asarray(values, np.float64)
    finite = np.isfinite(array)
    low, high = (float(f(array[finite])) if finite.any() else 0.0 for f in (np.min, np.max))
    span = high - low if high > low and math.isfinite(high - low) else 1.0
    scaled = (np.where(finite, array, low) - low) / span
    step = np.where(finite, 1 + np.rint(scaled * (_STEPS - 1)), 0).astype("<u2")
    return {"shape": list(array.shape), "low": low, "high": low + span,
            "u2": base64.b64encode(step.tobytes()).decode("ascii")}  # fmt: skip


def decoded(found: ReadOnlyDocument) -> np.ndarray:
    """The array of ``floats`` or ``levels``, as the page reads it; NaN for what is not finite."""
    if "f4" in found:
        return np.frombuffer(base64.b64decode(found["f4"]), "<f4").reshape(found["shape"])
    step = np.frombuffer(base64.b64decode(found["u2"]), "<u2").reshape(found["shape"])
    value = found["low"] + (step - 1.0) * ((found["high"] - found["low"]) / (_STEPS - 1))
    return np.where(step == 0, np.nan, value)


def script_json(document: ReadOnlyDocument) -> str:
    """JSON for the inside of a ``<script>`` element: no ``<``, ``>`` or ``&`` in it, so that no
    name can end the element."""
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
