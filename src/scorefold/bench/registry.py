"""The tables by name. A table's module is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from scorefold.bench.contract import Table

ABOUT = {
    "earth": "likelihoods of all models on earthquakes, floods, fires and volcanoes",
    "so3": "likelihoods on mixtures of rotations, beside the true ones",
    "hyperbolic": "likelihoods on mixtures on hyperbolic spaces, beside the true ones",
    "wpo": "likelihoods of closed-form kernel models",
    "torus": "wrapped normal laws on tori up to T^1000, and torsion angles",
    "complexity": "network passes, seconds and memory of losses and phases against the dimension",
    "samples": "draws in 1 to 100 steps beside fresh data",
    "bridge": "Schrödinger bridges beside exact ones and held-out points",
    "theory": "theorems on the decay of noise, the reversed walk, its steps and its targets",
}
"""What each is of. The module ``scorefold.bench.NAME`` has the table as ``TABLE``."""


def find_table(name: str) -> Table:
    """**Raises:** ``ValueError`` for a name that no table has."""
    if name not in ABOUT:
        raise ValueError(f"no table is called {name!r}: there are {', '.join(ABOUT)}.")
    table: Table = import_module(f"scorefold.bench.{name}").TABLE
    return table
