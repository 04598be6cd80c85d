"""The names of ``scorefold.runs``, in one place: its ``__getattr__`` hands them out."""

from scorefold.runs.bibliography import cite
from scorefold.runs.bridges.carry import carry
from scorefold.runs.bridges.choices import BRIDGES, BridgeChoice
from scorefold.runs.bridges.ends_measures import END_MEASURES
from scorefold.runs.bridges.request import BridgeRequest
from scorefold.runs.bridges.snapshots_measures import SNAPSHOT_MEASURES
from scorefold.runs.comparison import compare
from scorefold.runs.doctor import Check, examine, installation
from scorefold.runs.errors import RunError
from scorefold.runs.evaluation import Evaluation, evaluate
from scorefold.runs.exported import export
from scorefold.runs.folder import Run
from scorefold.runs.listener import Listener
from scorefold.runs.measures import Measure
from scorefold.runs.models.choices import MODELS, ModelChoice, ModelTask
from scorefold.runs.models.draws import write_draws
from scorefold.runs.models.measures import MEASURES
from scorefold.runs.models.request import FitRequest
from scorefold.runs.path import Outcome, carry_out, draw_again
from scorefold.runs.reading import Reading
from scorefold.runs.regions import write_regions
from scorefold.runs.setting import Setting

__all__ = [
    "BRIDGES",
    "END_MEASURES",
    "MEASURES",
    "MODELS",
    "SNAPSHOT_MEASURES",
    "BridgeChoice",
    "BridgeRequest",
    "Check",
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
    "cite",
    "compare",
    "draw_again",
    "evaluate",
    "examine",
    "export",
    "installation",
    "write_draws",
    "write_regions",
]
