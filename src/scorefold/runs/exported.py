"""A finished run as a folder in the shape of the Hugging Face Hub."""

import os
from pathlib import Path

import equinox as eqx
import jax

from scorefold._files import write_whole
from scorefold._types import Document, ReadOnlyDocument
from scorefold._warnings import warn
from scorefold.data import REGISTRY
from scorefold.fitting import DamagedFile
from scorefold.hub import CONFIG, model_card, save_pretrained
from scorefold.hub.pretrained import FILES, configuration
from scorefold.runs.errors import RunError
from scorefold.runs.folder import Run
from scorefold.runs.models.summary import run_lines

_PICTURE = "density.png"
_DRAWN = ("density-data-and-samples.png", "density.png")
_NOT_SHOWN = {"model", "model_sha256", "command", "device", "git", "dataset", "manifold"}


def export(
    folder: str | os.PathLike,
    out: str | os.PathLike,
    *,
    title: str | None = None,
    licence: str | None = None,
    data_licence: str | None = None,
    intended_use: str | None = None,
) -> str:
    """Write weights, ``config.json`` (with how columns of the table become points) and a model
    card of what was measured to the folder ``out``; returns what to say.

    **Arguments:** ``licence``: of the weights; ``data_licence``: of the data (default: what is
    known of a data set by name); what is not stated is said not to be.
    **Raises:** ``RunError`` for a folder without one finished and measured run, and an ``out`` that
    holds anything else.
    """
    run, out = Run.open(folder), Path(out)
    described = run.single()
    numbers = run.measured()
    if numbers is None:
        raise RunError(f"{run.folder}: its model was not measured: scorefold evaluate {run.folder}")
    _refuse(out, run)
    model = run.model()
    picture = next((run.file(name) for name in _DRAWN if run.file(name).exists()), None)
    models = run.kind == "model"
    unstated = [name for name, value in (("--licence", licence), ("--intended-use", intended_use))
                if value is None]  # fmt: skip
    card = model_card(
        model, title,
        licence=licence,
        data=_data(described, numbers, data_licence),
        numbers=run_lines(numbers) if models else _scalars(numbers),
        test_nll=numbers.get("test_nll"),
        warnings=[*numbers.get("warnings", []), *_held(model, numbers.get("n_train"))],
        intended_use=intended_use,
        picture=None if picture is None else _PICTURE,
    )  # fmt: skip
    if picture is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / _PICTURE, picture.read_bytes())
    save_pretrained(model, out, card=card, more={"coordinates": described.get("coordinates")})
    if unstated:
        warn(f"export: not stated, and the card says so: {', '.join(unstated)}.")
    for line in _held(model, numbers.get("n_train")):
        warn(f"export: {line}")
    return f"{out}: model.safetensors, {CONFIG} and README.md, for load_pretrained or an upload."


def _refuse(out: Path, run: Run) -> None:
    """A folder may be new, empty, or an earlier export."""
    if out.exists() and not out.is_dir():
        raise RunError(f"--out {out}: a file is there; name a folder.")
    if out.exists() and out.resolve() == run.folder.resolve():
        raise RunError(f"--out {out}: the folder of the run itself; name another.")
    if out.exists() and not {path.name for path in out.iterdir()} <= {*FILES, _PICTURE}:
        raise RunError(f"--out {out}: holds other files; name a new folder.")
    if (out / CONFIG).exists():
        try:
            configuration(out)
        except DamagedFile as error:
            raise RunError(f"--out {error}") from error


def _held(model: eqx.Module, n_train: object) -> list[str]:
    """Whether the weights hold as many points as there were to train, of a bridge at one end."""
    if isinstance(n_train, list):
        n_train = min(n_train, default=0)
    if not isinstance(n_train, int):
        return []
    shape = getattr(getattr(model, "manifold", None), "shape", None)
    arrays = [a for a in jax.tree.leaves(model) if eqx.is_inexact_array(a)]
    if n_train and any(a.shape[1:] == shape and len(a) >= n_train for a in arrays if a.ndim):
        return [f"the weights hold {n_train} points or more of the space, as kernels do: who has "
                "the model has the training points."]  # fmt: skip
    return []


def _data(
    described: ReadOnlyDocument, numbers: ReadOnlyDocument, licence: str | None
) -> dict[str, str]:
    """What is known of the data; of files their names, not where they lie."""
    names = described["data"] if isinstance(described["data"], list) else [described["data"]]
    known = [REGISTRY[name] for name in names if name in REGISTRY]
    found = {"Data set": ", ".join(Path(name).name for name in names)}
    if known:
        found["Title"] = "; ".join(e.title for e in known)
        found["Source"] = "; ".join(e.citation for e in known)
    stated = licence or "; ".join(dict.fromkeys(e.licence for e in known))
    found["Licence"] = stated or "not stated"
    if isinstance(numbers.get("n_train"), int) and "protocol" in numbers:
        found["Points"] = (
            f"{numbers['n_train']} to train, {numbers['n_val']} to validate, {numbers['n_test']} "
            f"to test, protocol {numbers['protocol']}, seed {numbers['seed']}"
        )
    return found


def _scalars(numbers: ReadOnlyDocument) -> list[tuple[str, str]]:
    plain: Document = {
        name: value for name, value in numbers.items()
        if isinstance(value, int | float | str) and name not in _NOT_SHOWN
    }  # fmt: skip
    return [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
        for name, value in plain.items()
    ]
