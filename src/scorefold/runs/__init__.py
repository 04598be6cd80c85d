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
goes by a ``Listener``. ``Run`` is the folder; ``evaluate`` and ``draw_again`` work on every kind,
``write_draws`` on models, ``carry`` on bridges. What cannot be done is a ``RunError``.

``MODELS``, ``BRIDGES`` and the measures (``MEASURES``, ``END_MEASURES``, ``SNAPSHOT_MEASURES``)
are dictionaries by name: an entry more is known to all of these, and to the command line.
"""

from scorefold.runs.bridges.carry import carry
from scorefold.runs.bridges.choices import BRIDGES, BridgeChoice
from scorefold.runs.bridges.ends_measures import END_MEASURES
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.snapshots_measures import SNAPSHOT_MEASURES
from scorefold.runs.errors import RunError
from scorefold.runs.evaluation import Evaluation, evaluate
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.measures import Measure
from scorefold.runs.models.choices import MODELS, ModelChoice, ModelTask
from scorefold.runs.models.draws import write_draws
from scorefold.runs.models.measures import MEASURES
from scorefold.runs.models.request import FitRequest
from scorefold.runs.path import Outcome, carry_out, draw_again
from scorefold.runs.reading import Reading
from scorefold.runs.setting import Setting

__all__ = [
    "BRIDGES",
    "END_MEASURES",
    "MEASURES",
    "MODELS",
    "SNAPSHOT_MEASURES",
    "BridgeChoice",
    "BridgeRequest",
    "Evaluation",
    "FitRequest",
    "Listener",
    "Measure",
    "ModelChoice",
    "ModelTask",
    "Outcome",
    "Reading",
    "Run",
    "RunError",
    "Setting",
    "carry",
    "carry_out",
    "draw_again",
    "evaluate",
    "write_draws",
]
