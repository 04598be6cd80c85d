"""The model card: what a model is, what was measured, what it is for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import numpy as np

from scorefold._oneline import one_line
from scorefold.citations import citations
from scorefold.models import Model

_METRIC = "negative-log-likelihood"


def kind_of(model: eqx.Module) -> str:
    """The name of a model: its description's where it has one, else that of its class."""
    return type(getattr(model, "description", model)).__name__


def model_card(
    model: eqx.Module,
    title: str | None = None,
    *,
    licence: str | None = None,
    data: Mapping[str, str] | None = None,
    numbers: Sequence[tuple[str, str]] = (),
    test_nll: float | None = None,
    warnings: Sequence[str] = (),
    intended_use: str | None = None,
    picture: str | None = None,
) -> str:
    """The Markdown of a model card with its YAML header, as the Hub reads it.

    **Arguments:** ``title``; ``licence``: of the weights, by its identifier (``"cc-by-4.0"``);
    ``data``: what is known of the data, by the words to say it under (``"Data set"``,
    ``"Licence"``, …), of which the entry ``"Data set"`` names it in the header; ``numbers``: what
    was measured, in words; ``test_nll``: mean of −log p at held-out points, in nats; ``warnings``:
    lines; ``intended_use``; ``picture``: a file in the folder. What is not stated is said not to
    be.
    """
    kind, space = kind_of(model), getattr(getattr(model, "manifold", None), "name", None)
    title = one_line(title or f"{kind}{f' on {space}' if space else ''}")
    data = {one_line(k): one_line(v) for k, v in (data or {}).items()}
    size = sum(np.size(leaf) for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_inexact_array)))
    header = _header(title, licence, data.get("Data set"), test_nll, kind, space)
    nothing = "Not stated."
    parts = [
        header,
        f"# {_plain(title)}",
        f"A `{kind}`{f' on {space}' if space else ''} of "
        f"scorefold, made of {size} numbers.",
        *([f"![{_plain(title)}]({picture})"] if picture else []),
        "## How to use it",
        "```python\nimport jax\nfrom scorefold.hub import load_pretrained\n\n"
        'model = load_pretrained("DIR")   # this folder, downloaded\n'
        + _use(model)
        + "```",
        "## Data",
        "\n".join(f"- {_plain(name)}: {_plain(value)}" for name, value in data.items()) or nothing,
        "## Measured",
        _table(numbers) or "Nothing.",
        "## Intended use and limits",
        _plain(intended_use) if intended_use else nothing,
        *(["What was warned of:", "\n".join(f"- {_plain(w)}" for w in warnings)]
          if warnings else []),
        "## Built on",
        f"```bibtex\n{citations(model).rstrip()}\n```",
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _header(
    title: str,
    licence: str | None,
    dataset: str | None,
    test_nll: float | None,
    kind: str,
    space: str | None,
) -> str:
    """YAML: every value is JSON, which YAML contains."""
    tags = ["density-estimation", "manifolds", kind, *([space] if space else [])]
    lines = [
        "---",
        "library_name: scorefold",
        *([f"license: {_yaml(licence)}"] if licence else []),
        f"tags: {_yaml(tags)}",
    ]
    if test_nll is not None:
        name = dataset or "not stated"
        result = {
            "task": {"type": "density-estimation"},
            "dataset": {"type": name, "name": name, "split": "test"},
            "metrics": [{"type": _METRIC, "name": "test NLL in nats", "value": test_nll}],
        }
        lines.append(f"model-index: {_yaml([{'name': title, 'results': [result]}])}")
    return "\n".join([*lines, "---"])


def _yaml(value: object) -> str:
    """JSON is YAML, but for pairs of surrogates and numbers like 1e-05."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"(?<=[ \[])(-?\d+)(e[-+]?\d+)", r"\1.0\2", text)


def _plain(text: object) -> str:
    """One line that Markdown shows as it stands."""
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", one_line(text))


def _use(model: eqx.Module) -> str:
    if isinstance(model, Model):
        return "points = model.sample(jax.random.key(0), 1000)\nmodel.log_prob(points)   # nats\n"
    if hasattr(model, "sample_forward"):
        return "model.sample_forward(jax.random.key(0), points)   # towards the last end\n"
    return "model\n"


def _table(numbers: Sequence[tuple[str, str]]) -> str:
    if not numbers:
        return ""
    rows = [f"| {_cell(a)} | {_cell(b)} |" for a, b in numbers]
    return "\n".join(["| what | value |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return _plain(text)
