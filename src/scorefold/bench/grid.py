"""A table of one's own: data sets × protocols × methods × seeds, from a TOML file."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from scorefold import data
from scorefold._oneline import one_line
from scorefold._types import Document, ReadOnlyDocument
from scorefold.bench.contract import Cell, Measurement, Table, TableMeasure, TableRequest
from scorefold.bench.curves import learning_curves
from scorefold.bench.fitted import Method, file_hash, likelihood
from scorefold.data._errors import nearest
from scorefold.runs.errors import RunError
from scorefold.runs.models.choices import MODELS, choose_model, model_choice
from scorefold.runs.reading import Reading, is_named
from scorefold.runs.setting import TRAINING, check_settings

_READING = tuple(field.name for field in fields(Reading) if field.name != "protocol")
_TOP = ("title", "data", "protocols", "seeds", "methods")
_LARGEST = 2**20
_MOST = 100_000
_TRAINING = tuple(setting.name for setting in TRAINING)


@dataclasses.dataclass(frozen=True)
class GridData:
    """A data set of a grid: ``name`` in the table, ``source`` a name or a file, how it is read."""

    name: str
    source: str
    reading: ReadOnlyDocument


def grid_table(path: str | Path) -> Table:
    """The table that a file describes:

        title = "Events"                                    # of the table
        data = ["airports", {file = "my.csv", manifold = "S^2", columns = "lat,lon"}]
        protocols = ["grouped"]                             # default
        seeds = 2                                           # 0 and 1; default 1

        [methods.kernel]                                    # a name, and options of ``fit``
        steps = 200

        [methods.score]
        model = "score"                                     # default: the name
        width = [64, 128]                                   # a method for each value

    Files stand where the TOML file does. Options of a method are those of ``fit --model``.

    **Raises:** ``ValueError`` with the line of what is unknown or out of range, and the nearest
    word.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise ValueError("is no file.")
        if path.stat().st_size > _LARGEST:
            raise ValueError("too large a file.")
        text = path.read_text(encoding="utf-8")
        found = tomllib.loads(text)
    except (UnicodeDecodeError, OSError, ValueError, RecursionError) as error:
        raise ValueError(one_line(f"{path}: {error}")) from error
    try:
        return _table(found, path)
    except _Wrong as wrong:
        line = _line_of(text, wrong.word)
        place = f"{path}, line {line}" if line else f"{path}"
        raise ValueError(f"{place}: {wrong}") from None
    except RunError as error:
        raise ValueError(f"{path}: {error}") from error


class _Wrong(ValueError):
    """``word``: where it stands in the file."""

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word


def _line_of(text: str, word: str) -> int | None:
    """Where it is a key, or else a word."""
    lines = [line.split("#")[0] for line in text.splitlines()]
    for number, line in enumerate(lines, start=1):
        if line.split("=")[0].strip().strip("\"'") == word:
            return number
    for number, line in enumerate(lines, start=1):
        words = "".join(" " if c in "\"'.[]{}=," else c for c in line).split()
        if word in words or word in line.split('"') or word in line.split("'"):
            return number
    return None


def _unknown(word: object, known: Sequence[str], what: str) -> _Wrong:
    return _Wrong(str(word), str(nearest(what, str(word), known)))


def _table(found: Document, path: Path) -> Table:
    for key in found:
        if key not in _TOP:
            raise _unknown(key, _TOP, "key of a grid")
    for key in ("data", "methods"):
        if not found.get(key):
            raise _Wrong(key, f"{key}: a grid needs some.")
    seeds = found.get("seeds", 1)
    if type(seeds) is not int or not 1 <= seeds <= 1000:
        raise _Wrong("seeds", f"seeds: {seeds!r:.60} is not a whole number from 1 to 1,000.")
    title = found.get("title", path.stem)
    if not (isinstance(title, str) and title.isprintable()):
        raise _Wrong("title", "title: must be a line of text.")
    sets = _data(found["data"], path.parent)
    protocols = found.get("protocols", ["grouped"])
    if not (isinstance(protocols, list) and protocols):
        raise _Wrong("protocols", "protocols: must be a list of words.")
    for word in protocols:
        if not isinstance(word, str) or word not in data.PROTOCOLS:
            raise _unknown(word, data.PROTOCOLS, "protocol")
    if len(set(protocols)) < len(protocols):
        raise _Wrong("protocols", "protocols: one stands there twice.")
    methods = _methods(found["methods"], _MOST // (len(sets) * len(protocols) * seeds))

    def cells(request: TableRequest) -> Iterator[Cell]:
        hashes = {one.name: _hash_of_data(one, request.data_dir) for one in sets}
        every = itertools.product(range(request.seeds or seeds), methods.items(), protocols, sets)
        for seed, (name, method), protocol, one in every:
            make = functools.partial(_measure, request.data_dir, one, protocol, method, seed)
            yield Cell(one.name, protocol, name, seed, make, hashes[one.name], _hash(method))

    return Table(
        name=f"grid {path.stem}",
        title=title,
        measures={
            "test_nll": TableMeasure("test NLL (nats)"),
            "val_nll": TableMeasure("validation NLL (nats)"),
        },
        data=tuple(one.name for one in sets),
        protocols=tuple(protocols),
        methods=tuple(methods),
        cells=cells,
        figures=_figures,
    )


def _hash_of_data(one: GridData, data_dir: str | None) -> str:
    """Of its content, where it comes from and how it is read."""
    content = data_dir if is_named(one.source) else file_hash(one.source)
    return _digest((content, Path(one.source).name, one.reading))


def _hash(method: Method) -> str:
    return _digest((method.model, method.stated, method.trained))


def _digest(stated: object) -> str:
    text = json.dumps(stated, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _data(found: object, folder: Path) -> list[GridData]:
    if not isinstance(found, list):
        raise _Wrong("data", "data: must be a list of names, files and tables { file = … }.")
    sets = []
    for entry in found:
        known = ("name", "file", *_READING)
        if isinstance(entry, str):
            entry = {"name": entry} if is_named(entry) else {"file": entry}
        if not isinstance(entry, dict):
            raise _Wrong("data", f"data: {entry!r:.60} is neither a name nor a table.")
        for key, value in entry.items():
            if key not in known:
                raise _unknown(key, known, "key of data")
            _check_kind(key, value)
        if not entry.keys() & {"name", "file"}:
            raise _Wrong("data", "data: a table there needs name or file.")
        file = entry.get("file")
        source = str(folder / str(file)) if file is not None else str(entry.get("name"))
        name = str(entry.get("name", Path(str(file)).stem))
        _check_name("data", name)
        if file is not None and is_named(name):
            raise _Wrong(name, f"data: {name!r} is a known data set, no file: state another name.")
        if file is None and not is_named(source):
            raise _unknown(source, [row.name for row in data.datasets()], "data set")
        if file is not None and not Path(source).is_file():
            raise _Wrong(str(file), f"no file {source}.")
        reading = {k: v for k, v in entry.items() if k in _READING}
        if "drop_value" in reading:
            codes = reading["drop_value"]
            reading["drop_value"] = [
                str(v) for v in (codes if isinstance(codes, list) else [codes])
            ]
        sets.append(GridData(name, source, reading))
    if len({one.name for one in sets}) < len(sets):
        raise _Wrong("data", "data: two of them have one name: state name = … for one.")
    return sets


_KINDS: dict[str, tuple[type, ...]] = {
    "drop": (bool,), "degrees": (bool,), "drop_value": (str, int, float, list)
}  # fmt: skip


def _check_kind(key: str, value: object) -> None:
    kinds = _KINDS.get(key, (str,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        words = {bool: "true or false", str: "text"}.get(kinds[0], "text")
        words = "a number, text or a list of them" if key == "drop_value" else words
        raise _Wrong(key, f"{key}: {value!r:.60} is not {words}.")


def _check_name(what: str, name: str) -> None:
    if not (name.isprintable() and "|" not in name and name.strip()):
        raise _Wrong(what, f"{what}: {name!r:.60} is no name: it must be printable, without |.")


def _methods(found: object, most: int) -> dict[str, Method]:
    if not isinstance(found, dict):
        raise _Wrong("methods", "methods: must be tables, [methods.NAME].")
    methods: dict[str, Method] = {}
    for name, options in found.items():
        _check_name("methods", name)
        if not isinstance(options, dict):
            raise _Wrong(name, f"methods: {name} must be a table, [methods.{name}].")
        model = str(options.get("model", name))
        try:
            choice = model_choice(model)
        except RunError:
            raise _unknown(model, tuple(MODELS), "model") from None
        settings = {key: value for key, value in options.items() if key != "model"}
        known = [setting.name for setting in choice.known()]
        for key in settings:
            if key not in known:
                raise _unknown(key, ("model", *known), f"option of {model}")
        many = {key: value for key, value in settings.items() if isinstance(value, list)}
        for key, listed in many.items():
            if not listed:
                raise _Wrong(key, f"{key}: the list is empty.")
        if math.prod(map(len, many.values())) > most:
            raise _Wrong(name, f"{name}: a grid has {_MOST:,} runs at most.")
        for values in itertools.product(*many.values()):
            one = {**settings, **dict(zip(many, values, strict=True))}
            for key, value in one.items():
                try:
                    check_settings({key: value}, choice.known(), f"model {model}")
                except RunError as error:
                    raise _Wrong(key, str(error)) from None
            check_settings(one, choice.known(), f"model {model}")
            label = ", ".join([name, *(f"{k} {one[k]}" for k in many)])
            if label in methods:
                raise _Wrong(name, f"methods: two of them are called {label!r}.")
            methods[label] = _method(model, one)
    if len(methods) > most:
        raise _Wrong("methods", f"methods: a grid has {_MOST:,} runs at most.")
    return methods


def _method(model: str, stated: Mapping[str, object]) -> Method:
    training = {k: v for k, v in stated.items() if k in _TRAINING}
    budget = model_choice(model).budget
    if budget is not None and not {"steps", "budget"} & training.keys():
        training["budget"] = budget
    rest = {k: v for k, v in stated.items() if k not in _TRAINING}
    return Method(model, rest, {"default": training})  # type: ignore[dict-item]


def _measure(
    data_dir: str | None, one: GridData, protocol: str, method: Method, seed: int
) -> Measurement:
    loaded = data.load(one.source, protocol=protocol, seed=seed, data_dir=data_dir, **one.reading)
    choose_model(method.model, {}, loaded)
    return likelihood(method, loaded, "default")


def _figures(runs: Sequence, folder: Path) -> Iterator[tuple]:
    for name, protocol in dict.fromkeys((run.data, run.protocol) for run in runs):
        own = [r for r in runs if (r.data, r.protocol, r.seed) == (name, protocol, 0)]
        curved = {r.method: r for r in own if len(r.more.get("curve", ())) > 2}
        if curved:
            yield (
                f"curves-{name}-{protocol}".replace("/", "-"),
                learning_curves(curved, f"{name}, {protocol}", "validation NLL (nats)"),
            )
