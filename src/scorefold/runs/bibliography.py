"""What runs are built on, as BibTeX."""

import os

from scorefold.citations import citations
from scorefold.runs.folder import Run


def cite(*folders: str | os.PathLike) -> str:
    """BibTeX of scorefold and of the works that the models and bridges in these folders are built
    on, each once (``citations``).

    **Raises:** ``RunError`` for a folder that holds no finished run.
    """
    runs = [Run.open(folder) for folder in folders]
    return citations(*(one.model() for run in runs for one in run.seeds or [run]))
