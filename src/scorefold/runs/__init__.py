"""Runs: data in; a folder with a model or a bridge, its numbers and a report out.

    from scorefold import runs

    done = runs.carry_out(runs.FitRequest(data="airports", model="kernel", out="airports"))
    done.metrics["test_nll"]                    # nats
    run = runs.Run.open("airports")
    run.model().log_prob(points)

    ends = ("earthquake", "fire")
    runs.carry_out(runs.BridgeRequest(data=ends, steps=500, out="bridge"))
    runs.carry("bridge", "here.csv", "there.csv")

What is asked for is a ``FitRequest`` (a model for one table) or a ``BridgeRequest`` (a bridge
between two, or through many); ``carry_out`` takes both along one path: open, describe, fit,
measure, save, report. The command line does the same, and hears how it
goes by a ``Listener``. ``Run`` is the folder; ``evaluate``, ``draw_again`` and ``compare`` work on
every kind, ``write_draws`` and ``write_regions`` on models, ``carry`` on bridges. What cannot be
done is a ``RunError``.

``MODELS``, ``BRIDGES`` and the measures (``MEASURES``, ``END_MEASURES``, ``SNAPSHOT_MEASURES``)
are dictionaries by name: an entry more is known to all of these, and to the command line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scorefold.runs._public import *  # noqa: F403


def __getattr__(name: str) -> object:
    """Names are imported when the first of them is asked for: what is wrong with a command line is
    said before JAX is imported."""
    if not name.startswith("_") or name == "__all__":
        public = import_module("scorefold.runs._public")
        if name == "__all__" or name in public.__all__:
            return getattr(public, name)
    raise AttributeError(f"module 'scorefold.runs' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *import_module("scorefold.runs._public").__all__})
