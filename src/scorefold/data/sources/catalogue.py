"""The public questions: which data sets are there, and what is wrong with one."""

import os
from dataclasses import dataclass
from typing import Any

from scorefold.data.columns.audit import Audit
from scorefold.data.dataset import Dataset
from scorefold.data.laws.synthetic import SYNTHETIC, target
from scorefold.data.sources.loading import load
from scorefold.data.sources.registry import REGISTRY


@dataclass(frozen=True)
class Listing:
    """One line of the catalogue."""

    name: str
    title: str
    manifold: str
    licence: str
    protocols: tuple[str, ...]
    note: str


def datasets() -> tuple[Listing, ...]:
    """Every data set known by name: registered files first, then synthetic targets."""
    files = [
        Listing(e.name, e.title, e.manifold, e.licence, e.protocols, e.note)
        for e in REGISTRY.values()
    ]
    made = [
        Listing(t.name, t.title, t.manifold, "none needed: synthetic", ("random",), "")
        for t in map(target, SYNTHETIC)
    ]
    return (*files, *made)


def audit(data: Dataset | str | os.PathLike, **options: Any) -> Audit:
    """The audit of a data set, or of a name or path read with ``load(data, **options)``.

    Rows of a file that cannot be points are named under ``problems`` and left out of the rest.
    """
    if isinstance(data, Dataset):
        return data.audit
    return load(data, **{"drop": True, **options}).audit
