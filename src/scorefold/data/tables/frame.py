"""Columns side by side as a ``pandas.DataFrame``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from scorefold._oneline import one_line

if TYPE_CHECKING:
    import pandas as pd


def frame(columns: dict[str, np.ndarray], notes: Sequence[str]) -> pd.DataFrame:
    """The frame, with ``notes`` in its ``attrs``. Text is ``object``, whatever pandas prefers."""
    import pandas as pd

    if {values.dtype for values in columns.values()} == {np.dtype(np.float64)}:
        table = pd.DataFrame(np.column_stack(list(columns.values())), columns=list(columns))
    else:
        table = pd.DataFrame(
            {name: pd.Series(values, dtype=values.dtype) for name, values in columns.items()}
        )
    table.attrs["notes"] = tuple(map(one_line, notes))
    return table
