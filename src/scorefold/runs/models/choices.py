"""The models that can be fitted by name: how each is made, what can be stated of it, what it shows.

A new one is an entry of ``MODELS``, or an entry point of an installed package.
"""

import dataclasses
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import jax
import numpy as np

from scorefold import _installed, losses
from scorefold._types import Document, Key, ReadOnlyDocument
from scorefold.data import LEAKING, Dataset
from scorefold.fields import Architecture
from scorefold.fitting import Description, History, fit
from scorefold.manifolds import Manifold
from scorefold.models import (
    ContinuousFlow,
    FittedFlowMap,
    FittedKernelModel,
    FittedMixture,
    FittedMoserFlow,
    FittedScoreModel,
    FlowMap,
    FlowMatching,
    HeatKernelDensity,
    HeatKernelMixture,
    InformedModel,
    KentMixture,
    KernelModel,
    Model,
    MoserFlow,
    PushforwardScoreModel,
    ScoreModel,
    VonMisesFisherMixture,
    WrappedNormalMixture,
    default_noising,
    started_noising,
)
from scorefold.models.flows._base import FlowModel
from scorefold.models.mixtures.mixture import ParametricMixture
from scorefold.noising import Noising
from scorefold.runs.axes import Shown
from scorefold.runs.errors import RunError
from scorefold.runs.models import pictures
from scorefold.runs.setting import TRAINING, Setting, check_settings

M = TypeVar("M", bound=Model)

LEAST = 20
"""Training points below which no neighbourhoods are learned unless that is asked for: with eight
folds, fewer points have neighbourhoods of the whole data."""

_LOSSES: dict[str, Callable[[Manifold], losses.Loss]] = {
    "denoising": lambda m: losses.Denoising(),
    "consecutive": lambda m: losses.ConsecutiveDenoising(),
    "implicit": lambda m: losses.Implicit(),
    "hutchinson": lambda m: losses.Implicit(divergence="hutchinson"),
    "sliced": lambda m: losses.Sliced(),
}


class ModelTask(NamedTuple):
    """What a model is made for: data, the settings that were stated, and the seed of the
    request."""

    data: Dataset
    stated: ReadOnlyDocument
    seed: int
    progress: bool

    def some(self, *names: str) -> Document:
        """Those of the settings that were stated."""
        return {name: self.stated[name] for name in names if name in self.stated}


@dataclasses.dataclass(frozen=True)
class ModelChoice(Generic[M]):
    """A model by name.

    - ``build``: the description that ``fit`` trains; of one in closed form (``trained`` False),
      the model itself.
    - ``settings``: what can be stated of it, beside ``TRAINING``.
    - ``needs``: training points, at least. ``budget``: seconds of training where neither steps
      nor seconds are stated. ``together``: seeds are trained side by side where the splits allow.
    - ``density``, ``kernels``, ``figures``: log p for pictures; lines (k, m, *shape) that
      show its kernels; and figures of its own from (model, key, keywords of pictures).
      ``numbers``: what ``metrics.json`` says of it beside what is measured.
    - ``check``: raises ``ValueError`` for a manifold that it is not defined on.
    """

    build: Callable[[ModelTask], M | Description[M]]
    settings: tuple[Setting, ...] = ()
    trained: bool = True
    needs: int = 2
    budget: float | None = None
    together: bool = False
    density: Callable[[M], pictures.Density] = lambda model: model.log_prob
    kernels: Callable[[M], np.ndarray | None] = lambda model: None
    figures: Callable[[M, Key, Shown], pictures.Figures] = lambda *_: {}
    numbers: Callable[[M], Document] = lambda model: {}
    check: Callable[[Manifold], object] = lambda manifold: None

    def defined_on(self, manifold: Manifold) -> bool:
        try:
            self.check(manifold)
        except ValueError:
            return False
        return True

    def known(self) -> tuple[Setting, ...]:
        """All that can be stated."""
        return (*self.settings, *(TRAINING if self.trained else ()))

    def fit(self, task: ModelTask, **training: Any) -> tuple[M, History]:
        """The model, fitted to the data of a task by ``fit`` or in closed form."""
        data, key, started = task.data, jax.random.key(task.data.seed), time.monotonic()
        made = self.build(task)
        if isinstance(made, Model):
            return made, _no_steps(key, time.monotonic() - started)
        return _fit_to(data, made)(key=key, **training)


@dataclasses.dataclass(frozen=True)
class DistilledChoice(ModelChoice[Model]):
    """A model that learns from another one, which is fitted to the data first.

    - ``build``: the description of the teacher, which alone is chosen on validation points;
      ``pupil``: the description of the model, from the fitted teacher.

    Steps and rates that are stated are those of both; of seconds each has half. The history is that
    of the pupil, with the seconds of both.
    """

    pupil: Callable[[Model, ModelTask], Description[Model]] = dataclasses.field(kw_only=True)

    def fit(self, task: ModelTask, **training: Any) -> tuple[Model, History]:
        data, out = task.data, training.pop("out", None)
        if training.get("budget") is not None:
            training["budget"] = training["budget"] / 2
        first, second = jax.random.split(jax.random.key(data.seed))
        folder = lambda name: None if out is None else Path(out) / name  # noqa: E731
        asked = self.build(task)
        assert isinstance(asked, Description)
        teacher, before = _fit_to(data, asked)(key=first, out=folder("teacher"), **training)
        pupil = self.pupil(teacher, task)
        model, after = fit(pupil, data.train, key=second, out=folder("pupil"), **training)
        names = ("seconds", "compile_seconds", "train_seconds")
        both = {name: getattr(before, name) + getattr(after, name) for name in names}
        return model, dataclasses.replace(after, **both)


def _fit_to(data: Dataset, asked: Description[M]) -> Callable[..., tuple[M, History]]:
    """``fit``, told the points of a data set and the weights of its rows, where they carry some."""
    return functools.partial(
        fit, asked, data.train, val=data.val, weights=data.weights_of("train"),
        val_weights=data.weights_of("val"),
    )  # fmt: skip


def model_choice(name: str) -> ModelChoice:
    """An entry of ``MODELS``, or a model of an installed package (entry points
    ``scorefold.models``): a ``ModelChoice``, or a description that is made of a manifold.

    **Raises:** ``RunError`` for a name that is neither, and for a package that does not load."""
    if name in MODELS:
        return MODELS[name]
    try:
        found = _installed.find("models", name)
    except ValueError as error:
        raise RunError(f"--model {name}: {error}") from error
    if found is None:
        known = ", ".join((*MODELS, *_installed.names("models")))
        raise RunError(f"no model is called {name!r}: there are {known}.")
    if isinstance(found, ModelChoice):
        return found
    return ModelChoice(lambda task: found(task.data.manifold))


def choose_model(name: str | None, stated: ReadOnlyDocument, data: Dataset) -> str:
    """The name of the model: as stated, or what so many points can bear.

    **Raises:** ``RunError`` for settings of another model and for too few points, before anything
    is trained.
    """
    n = len(data.train)
    found = name or ("kernel" if n >= LEAST else "kde")
    choice = model_choice(found)
    fallback = "" if name else (
        f" ({n} training points are too few for the kernel model: below {LEAST} say "
        "--model kernel to have it all the same)"
    )  # fmt: skip
    check_settings(stated, choice.known(), f"--model {found}{fallback}")
    if not choice.defined_on(data.manifold):
        others = ", ".join(n for n, other in MODELS.items() if other.defined_on(data.manifold))
        raise RunError(f"--model {found} is not defined on {data.manifold.name}: there {others}.")
    different = len(np.unique(np.asarray(data.train).reshape(n, -1), axis=0))
    if n < choice.needs or different < min(choice.needs, 2):
        raise RunError(
            f"{data.name}: {n} training points, {different} of them different, are too few for "
            f"--model {found}, which needs {choice.needs}: "
            + ("use --model kde, or more rows." if n >= 2 and found != "kde" and different > 1 else
               "add rows (a tenth of them is kept to validate, a tenth to test).")
        )  # fmt: skip
    return found


def model_settings() -> dict[Setting, list[str]]:
    """What can be stated of models beside their training, each with the names of the models."""
    found: dict[Setting, list[str]] = {}
    for name, choice in MODELS.items():
        for setting in choice.settings:
            found.setdefault(setting, []).append(name)
    return found


# -- how each is made ------------------------------------------------------------------------------
def _kernel(task: ModelTask) -> KernelModel:
    return KernelModel(
        task.data.manifold,
        # Where the split lets copies of a training point into the test set, so do the folds.
        grouped=task.data.protocol not in LEAKING,
        **task.some("floor", "width", "depth"),
    )


def _score(task: ModelTask) -> ScoreModel:
    manifold = task.data.manifold
    return ScoreModel(
        _noising(task),
        loss=_LOSSES[task.stated.get("loss", "denoising")](manifold),
        network=_network(ScoreModel.network, task),
        **task.some("s_min"),
    )


def _noising(task: ModelTask) -> Noising:
    """The default one, or one that starts from a mixture which is fitted here."""
    manifold, laws = task.data.manifold, task.stated.get("start_laws")
    if laws is None:
        return default_noising(manifold, task.data.train, weights=task.data.weights_of("train"))
    if not manifold.compact:
        raise RunError(f"--start-laws is an option on compact spaces, {manifold.name} is not one.")
    start, _ = _fit_to(task.data, HeatKernelMixture(manifold, laws))(
        key=jax.random.key(task.seed), progress=task.progress
    )
    return started_noising(start)


def _informed(task: ModelTask) -> InformedModel:
    """On a kernel model that is fitted here, with its defaults."""
    kernels = KernelModel(
        task.data.manifold, grouped=task.data.protocol not in LEAKING, **task.some("floor")
    )
    key = jax.random.key(task.seed)
    base, _ = _fit_to(task.data, kernels)(key=key, progress=task.progress)
    network = _network(InformedModel.network, task)
    return InformedModel(base, network=network, **task.some("s_min"))


def _mixture(kind: type[ParametricMixture]) -> ModelChoice:
    """A mixture of parametric laws."""
    return ModelChoice(
        lambda task: kind(task.data.manifold, **task.some("components", "starts", "floor")),
        (_COMPONENTS, _STARTS, _FLOOR), numbers=_laws, check=kind,
    )  # fmt: skip


def _network(default: Architecture, task: ModelTask) -> Architecture:
    return dataclasses.replace(default, **task.some("width", "depth", "products"))


def _flow_matching(task: ModelTask) -> FlowMatching:
    network = _network(FlowMatching.network, task)
    return FlowMatching(task.data.manifold, network=network, **task.some("coupling"))


def _continuous_flow(task: ModelTask) -> ContinuousFlow:
    network = _network(ContinuousFlow.network, task)
    return ContinuousFlow(task.data.manifold, network=network)


def _teacher(task: ModelTask) -> FlowMatching | ScoreModel:
    """Of a flow map."""
    if task.stated.get("teacher", "flow-matching") == "flow-matching":
        return _flow_matching(task)
    if "coupling" in task.stated:
        raise RunError("--coupling is not an option of --teacher score.")
    return _score(task)


def _flow_map(teacher: Model, task: ModelTask) -> FlowMap:
    assert isinstance(teacher, FlowModel | FittedScoreModel)
    return FlowMap(teacher, network=_network(FlowMap.network, task))


def _map_density(model: Model) -> pictures.Density:
    assert isinstance(model, FittedFlowMap)
    return pictures.coarse_density(model.teacher)


def _map_errors(model: Model) -> Document:
    """How far the draws of a map in 1, 2 and 4 steps are from those of the flow whose density is
    stated, root mean square."""
    assert isinstance(model, FittedFlowMap)
    found = model.map_error(jax.random.key(0))
    each = {f"map_error_{k}_steps": v for k, v in zip(found.steps, found.value, strict=True)}
    return {
        "density_of": "the flow of its teacher",
        "map_error": each.pop("map_error_1_steps"),
        **each,
        "map_error_floor": found.floor,
    }


def _moser(task: ModelTask) -> MoserFlow:
    network = _network(MoserFlow.network, task)
    return MoserFlow(task.data.manifold, network=network)


def _pushforward(task: ModelTask) -> PushforwardScoreModel:
    network = _network(PushforwardScoreModel.network, task)
    return PushforwardScoreModel(task.data.manifold, network=network, **task.some("chart", "s_min"))


def _beyond_one(model: FittedMoserFlow) -> Document:
    """By how much the formula that a Moser flow is trained by has more mass than 1."""
    excess, error = model.excess(jax.random.key(0))
    return {"excess_mass": excess, "excess_mass_error": error}


def _kde(task: ModelTask) -> HeatKernelDensity:
    """A kernel density with the bandwidth that leaves out one point best. With so few points the
    validation points are too few to choose by."""
    weights = task.data.weights_of("train")
    return HeatKernelDensity.choose(task.data.manifold, task.data.train, weights=weights)


def _no_steps(key: Key, seconds: float) -> History:
    """The history of a model in closed form."""
    nothing = np.zeros(0)
    words = tuple(int(w) for w in np.asarray(jax.random.key_data(key)).ravel())
    return History(
        step=nothing.astype(np.int64), loss=nothing, val_step=nothing.astype(np.int64),
        val_nll=nothing, steps=0, best_step=0, stopped="closed form", seconds=seconds,
        compile_seconds=0.0, train_seconds=0.0, seed=words,
    )  # fmt: skip


def _floor(model: FittedKernelModel) -> Document:
    form = {"form": model.form} if model.form != "full" else {}
    return {"floor": float(model.covariance.floor), **form}


def _laws(model: FittedMixture) -> Document:
    return {"components": len(model.log_weights)}


_WIDTH = Setting("width", "hidden units (default: of the model, docs/models.md)", "whole", 1, 16384)
_DEPTH = Setting("depth", "hidden layers (default: of the model, docs/models.md)", "whole", 1, 1000)
_FLOOR = Setting("floor", "smallest standard deviation of a kernel (default: the smallest positive "
                 "distance of two training points)", high=1e3)  # fmt: skip
_LOSS = Setting("loss", "default: denoising", "word", choices=tuple(_LOSSES))
_S_MIN = Setting("s_min", "variance-time of the data end (score, pushforward: by the finest scale "
                 "of the data, 1e-6 to 1e-4; informed: the median of the kernels)")  # fmt: skip
_PRODUCTS = Setting("products", "matrix products while training: bfloat16 where the hardware has "
                    "it (default: float32)", "word", choices=("float32", "bfloat16"))  # fmt: skip
_COMPONENTS = Setting("components", "laws of the mixture (default: of 1, 2, 5, 10, 25, 50, 100 the "
                      "best on validation points)", "whole", 1, 10_000)  # fmt: skip
_STARTS = Setting(
    "starts", "first places of the laws that are tried (default: 4)", "whole", 1, 1000
)

_START_LAWS = Setting("start_laws", "heat kernels of the mixture that the score starts from, which "
                      "is fitted first (compact spaces; default: none)",
                      "whole", 1, 10_000)  # fmt: skip
_COUPLING = Setting("coupling", "variance-time of the entropic plan that pairs data and noise in a "
                    "batch (default: none, drawn apart)")  # fmt: skip
_CHART = Setting("chart", "the map of flat space onto the manifold (default: stereographic on S^d, "
                 "exponential elsewhere)", "word",
                 choices=("stereographic", "exponential"))  # fmt: skip
_TEACHER = Setting("teacher", "what a flow map learns from, fitted first, in half of the budget "
                   "(default: flow-matching)", "word",
                   choices=("flow-matching", "score"))  # fmt: skip

USUAL = (_WIDTH, _DEPTH, _FLOOR, _LOSS, _S_MIN, _PRODUCTS)
"""Those that every ``run.json`` has, null where a model has no such thing."""

MODELS: dict[str, ModelChoice] = {
    "kernel": ModelChoice(
        _kernel, (_WIDTH, _DEPTH, _FLOOR), needs=4, kernels=pictures.outlines_of_kernels,
        figures=pictures.shapes_of_kernels, numbers=_floor,
    ),
    "score": ModelChoice(
        _score, (_WIDTH, _DEPTH, _LOSS, _S_MIN, _PRODUCTS, _START_LAWS), budget=20.0, together=True,
        density=pictures.coarse_density, figures=pictures.film_of_noise,
    ),
    "informed": ModelChoice(_informed, (_WIDTH, _DEPTH, _FLOOR, _S_MIN), needs=4),
    "kde": ModelChoice(_kde, trained=False),
    "kent": _mixture(KentMixture),
    "vmf": _mixture(VonMisesFisherMixture),
    "wrapped-normal": _mixture(WrappedNormalMixture),
    "heat-mixture": _mixture(HeatKernelMixture),
    "flow-matching": ModelChoice(
        _flow_matching, (_WIDTH, _DEPTH, _COUPLING), budget=20.0, together=True,
        density=pictures.coarse_density,
    ),
    "flow-map": DistilledChoice(
        _teacher, (_WIDTH, _DEPTH, _COUPLING, _TEACHER), budget=40.0, density=_map_density,
        numbers=_map_errors, pupil=_flow_map,
    ),
    "continuous-flow": ModelChoice(
        _continuous_flow, (_WIDTH, _DEPTH), budget=60.0, density=pictures.coarse_density
    ),
    "moser": ModelChoice(
        _moser, (_WIDTH, _DEPTH), budget=60.0, density=pictures.coarse_density,
        numbers=_beyond_one, check=MoserFlow,
    ),
    "pushforward": ModelChoice(
        _pushforward, (_WIDTH, _DEPTH, _CHART, _S_MIN), budget=20.0, check=PushforwardScoreModel
    ),
}  # fmt: skip
"""By the names of ``--model``."""
