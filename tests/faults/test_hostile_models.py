"""Model files, checkpoints and names made to do harm: one line, at once, and nothing else happens.

Every file here has the right digest, so that only what it says is wrong.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import scorefold as sf
from scorefold._oneline import one_line
from scorefold.fitting import DamagedFile, container, load, save
from scorefold.fitting.lock import locked

SPHERE = sf.Sphere(2)


def model():
    """A score model with a small network, as ``fit`` returns it."""
    spec = sf.NetworkSpec(width=4, depth=1, fourier=2, time_features=1)
    started = sf.ScoreModel(sf.Brownian(SPHERE, sf.LogLinear(1e-3, 5.0)), network=spec)
    return started.trainer(jax.random.key(0), np.eye(3, dtype=np.float32)).model(jnp.eye(3), None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "m"
    save(path, model())
    return path.read_bytes()


def sealed(head: bytes, body: bytes = b"") -> bytes:
    """A file with this header, its digest where the header has 64 zeros."""
    start = len(head).to_bytes(8, "little") + head
    digest = hashlib.sha256(start + body).hexdigest().encode()
    return start.replace(b"0" * 64, digest, 1) + body


def around(document: str, entries: str = "") -> bytes:
    """A header that holds a document and the entries of arrays, all as written."""
    words = json.dumps({"document": document, "sha256": "0" * 64})
    return f'{{"__metadata__": {words}{entries}}}'.encode()


def parts(raw):
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    return header, json.loads(header["__metadata__"]["document"]), raw[8 + size :]


def forged(raw, change):
    """The file with a document (and arrays' entries) changed in place by ``change``."""
    header, document, body = parts(raw)
    change(document["model"])
    header["__metadata__"] = {"document": json.dumps(document), "sha256": "0" * 64}
    return sealed(json.dumps(header).encode(), body)


@contextlib.contextmanager
def refused(match=None, error=DamagedFile):
    """An error of this kind in one printable line of at most 500 characters, within a second."""
    since = time.perf_counter()
    with pytest.raises(error, match=match) as caught:
        yield
    assert time.perf_counter() - since < 1.0
    message = str(caught.value)
    assert len(message) <= 500 and message.isprintable(), message


EMPTY = '{"format": "scorefold model", "version": 2, "model": null, "metadata": {}}'
ENTRY = ', "a": {"dtype": "F32", "shape": %s, "data_offsets": %s}'
HUGE = "[" + ", ".join(["9" * 4000] * 3000) + "]"
HEADERS = {
    "integers of four thousand digits": (around(EMPTY, ENTRY % (HUGE, "[0, 4]")), "4000 digits"),
    "too many of them": (around(EMPTY, ENTRY % (f"[{HUGE}, {HUGE}]", "[0, 4]")), "said to have"),
    "twenty digits": (around(EMPTY, ENTRY % ("[99999999999999999999]", "[0, 4]")), "impossible"),
    "many axes": (around(EMPTY, ENTRY % ([1] * 100, "[0, 4]")), "impossible"),
    "negative offsets": (around(EMPTY, ENTRY % ("[1]", "[-4, 0]")), "impossible"),
    "offsets beyond the file": (around(EMPTY, ENTRY % ("[2]", "[0, 8]")), "truncated"),
    "a product beyond 64 bits": (around(EMPTY, ENTRY % ([2**62] * 3, "[0, 4]")), "truncated"),
    "a float as length": (around(EMPTY, ENTRY % ("[1.0]", "[0, 4]")), "impossible"),
    "true as length": (around(EMPTY, ENTRY % ("[true]", "[0, 4]")), "impossible"),
    "an unknown dtype": (around(EMPTY, ENTRY % ("[1]", "[0, 4]")).replace(b"F32", b"C64"), "dtype"),
    "a dtype that is a list": (
        around(EMPTY, ENTRY % ("[1]", "[0, 4]")).replace(b'"F32"', b"[]"),
        "dtype",
    ),
    "a repeated name": (around(EMPTY, 2 * (ENTRY % ("[1]", "[0, 4]"))), "occurs twice"),
    "NaN": (around(EMPTY, ENTRY % ("[NaN]", "[0, 4]")), "NaN is not JSON"),
    "Infinity": (around(EMPTY.replace("null", "-Infinity")), "Infinity is not JSON"),
    "a float that overflows": (around(EMPTY.replace("null", "1e999")), "too large"),
    "deep lists": (b"[" * 100_000, "not valid JSON"),
    "deep objects": (b'{"a":' * 100_000, "not valid JSON"),
    "a million empty lists": (b"[" + b"[]," * 10**6 + b"[]]", "too long"),
    "a deep document": (around("[" * 100_000), "not valid JSON"),
    "not UTF-8": (b'{"\xff\xfe": 1}', "not valid JSON"),
    "half a surrogate pair": (around('"\ud800"'), "not a scorefold model"),
    "a list": (b"[1, 2]", "not a file written by scorefold"),
    "a document that is a list": (around("[]"), "not a scorefold model file"),
    "a number as document": (around("7"), "not a scorefold model file"),
    "escapes of a terminal": (
        around(EMPTY.replace('"version": 2', '"version": "\\u001b[2J\\n"')),
        r"version '\\x1b",
    ),
    "a name of a million characters": (around(EMPTY, ', "' + "x" * 10**6 + '": 1'), "malformed"),
}


@pytest.mark.parametrize("case", HEADERS)
@pytest.mark.fault(
    7, "headers with the right digest that claim too much, nest too deep, repeat, overflow"
)
def test_headers(case, tmp_path):
    head, message = HEADERS[case]
    (tmp_path / "m").write_bytes(sealed(head, bytes(4) if b'"a"' in head else b""))
    with refused(message):
        load(tmp_path / "m")
    assert os.listdir(tmp_path) == ["m"]


@pytest.mark.fault(7, "a model file of a terabyte without a byte on the disk")
def test_a_file_with_holes_claims_a_terabyte(tmp_path):
    """The claim agrees with the size of the file, which takes no room on the disk."""
    head = around(EMPTY, ENTRY % ([2**38], [0, 2**40]))
    with open(tmp_path / "m", "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        try:
            file.truncate(8 + len(head) + 2**40)
        except OSError:
            pytest.skip("this file system has no such large files")
    with refused("more than this machine has memory"):
        load(tmp_path / "m")


@pytest.mark.fault(8, "pipes, folders, devices and links to them in the place of a model")
def test_paths_that_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink("loop", tmp_path / "loop")
    os.symlink("/dev/zero", tmp_path / "device")
    (tmp_path / "empty").touch()
    for path, message in (
        (tmp_path / "pipe", "not a file"),
        (tmp_path, "a folder"),
        ("/dev/zero", "not a file"),
        ("/dev/null", "not a file"),
        (tmp_path / "device", "not a file"),
        (tmp_path / "loop", "cannot be read"),
        (tmp_path / "empty" / "below", "cannot be read"),
        (tmp_path / ("x" * 300), "cannot be read"),
        (str(tmp_path / "nul\0"), "cannot be read"),
        (tmp_path / "empty", "0 bytes"),
    ):
        with refused(message):
            load(path)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "absent")
    # A link to a model is a model.
    save(tmp_path / "m", SPHERE)
    os.symlink("m", tmp_path / "link")
    assert load(tmp_path / "link") == SPHERE


def fields(node, *names):
    for name in names:
        node = node["fields"][name]
    return node


def put(value, *names):
    """A change that replaces a field of the saved model."""

    def change(node):
        fields(node, *names[:-1])["fields"][names[-1]] = value

    return change


def told(value, *names):
    """A change that replaces a setting of what was fitted."""
    return put(value, "description", *names)


CLASS = {"class": "manifolds.Sphere", "fields": {"d": 2}}
VALUES = {
    "a manifold as clock": (
        told(CLASS, "noising", "schedule"),
        r"description.noising.schedule",
    ),
    "text as clock": (told("linear", "noising", "schedule"), r"schedule.*is 'linear'"),
    "no clock": (told(None, "noising", "schedule"), r"schedule.*NoneType"),
    "NaN in a clock": (
        told({"float": "nan"}, "noising", "schedule", "s_max"),
        "description.noising",
    ),
    "a negative clock": (
        told(-1.0, "noising", "schedule", "s_min"),
        "description.noising.schedule",
    ),
    "text as dimension": (told("2", "noising", "manifold", "d"), r"manifold.d.*is '2'"),
    "half a dimension": (told(2.5, "noising", "manifold", "d"), r"manifold.d.*is 2.5"),
    "true as dimension": (told(True, "noising", "manifold", "d"), r"manifold.d.*is True"),
    "dimension 0": (told(0, "noising", "manifold", "d"), "description.noising.manifold"),
    "a negative width": (told(-3, "network", "width"), "description.network"),
    "an unknown precision": (told("float8", "network", "products"), r"products.*'float8'"),
    "a number as activation": (told(1.0, "network", "activation"), r"activation.*is 1.0"),
    "a list as network": (told({"list": []}, "network"), r"description.network.*is list"),
    "a process as loss": (told(CLASS, "loss"), r"description.loss.*is Sphere"),
    "a negative end": (told(-1.0, "s_min"), "s_min"),
    "NaN as tolerance": (told({"float": "nan"}, "rtol"), "rtol"),
    "text in a float": (told("\x1b[31m1e-4", "s_min"), r"s_min.*'\\x1b"),
    "an unknown class": (told({"class": "os.system", "fields": {}}, "loss"), "unknown class"),
    "a class with a path": (
        told({"class": "../../manifolds.Sphere", "fields": {"d": 2}}, "noising", "manifold"),
        "unknown class",
    ),
    "an eval": (
        told({"function": "builtins.eval"}, "network", "activation"),
        "unknown function",
    ),
    "other keys": (
        told({"__reduce__": ["os.system", "true"]}, "loss"),
        "not part of the format",
    ),
}


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.fault(9, "values of other kinds in the fields of a model")
def test_values_that_a_field_cannot_have(case, whole, tmp_path):
    change, message = VALUES[case]
    (tmp_path / "m").write_bytes(forged(whole, change))
    with refused(message):
        load(tmp_path / "m")


NUMBERS = (-1, 0, 2**62, -0.5, 1e308, {"float": "nan"}, {"float": "inf"}, "x", None, {"list": []})


def scalars(node, path=()):
    """The places of all numbers in fields of a document."""
    if isinstance(node, dict) and "fields" in node:
        for name, value in node["fields"].items():
            if type(value) in (int, float):
                yield (*path, name)
            yield from scalars(value, (*path, name))


@pytest.mark.fault(36, "every number of a saved model replaced by hostile ones")
def test_no_value_of_any_number_gets_through_as_a_traceback(whole, tmp_path):
    """Each number of the model replaced by each hostile one: refused, or a model that says of
    itself what it is."""
    places = list(scalars(parts(whole)[1]["model"]))
    assert len(places) > 8
    outcomes = {"refused": 0, "loaded": 0}
    for place in places:
        for value in NUMBERS:
            (tmp_path / "m").write_bytes(forged(whole, put(value, *place)))
            try:
                repr(load(tmp_path / "m"))
                outcomes["loaded"] += 1
            except DamagedFile as error:
                assert place[-1] in str(error) or place[-2:-1] == () or place[-2] in str(error)
                outcomes["refused"] += 1
    assert outcomes["refused"] > outcomes["loaded"]


@pytest.mark.fault(9, "weights of other sizes and kinds, the document agreeing")
def test_arrays_of_other_sizes_or_kinds(whole, tmp_path):
    """A weight that is two-dimensional in both places, but of other sizes than its layer; integers
    in the place of weights."""

    def transposed(header, document):
        name = "model.field.network.layers.0.weight"
        header[name]["shape"].reverse()
        layer = fields(document["model"], "field", "network", "layers")["list"][0]
        layer["fields"]["weight"]["shape"].reverse()

    def integers(header, document):
        name = "model.field.network.layers.0.weight"
        header[name]["dtype"] = "I32"
        layer = fields(document["model"], "field", "network", "layers")["list"][0]
        layer["fields"]["weight"]["dtype"] = "int32"

    for change in (transposed, integers):
        header, document, body = parts(whole)
        change(header, document)
        header["__metadata__"] = {"document": json.dumps(document), "sha256": "0" * 64}
        (tmp_path / "m").write_bytes(sealed(json.dumps(header).encode(), body))
        with refused(r"model.field.network.layers.0"):
            load(tmp_path / "m")


@pytest.mark.fault(8, "seven array names that climb or start at the root")
def test_names_of_arrays_are_no_paths(tmp_path):
    """Keys that climb or start at the root: the file is read or refused, and nothing is written."""
    (tmp_path / "in").mkdir()
    for key in ("../evil", "/tmp/scorefold-evil", "a/../../b", "C:\\evil", "\0", ".", ""):
        container.write(tmp_path / "in" / "m", {key: np.zeros(1)}, {"format": "scorefold model"})
        arrays, _ = container.read(tmp_path / "in" / "m")
        assert list(arrays) == [key]
        with refused():
            load(tmp_path / "in" / "m")
        assert os.listdir(tmp_path / "in") == ["m"] and os.listdir(tmp_path) == ["in"]
    assert not os.path.exists("/tmp/scorefold-evil")


@pytest.mark.fault(6, "a model that names a module of the disk")
def test_nothing_is_imported_or_run(whole, tmp_path):
    """Loading a file that names modules of the disk imports none of them."""
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    change = told({"class": "trap.Trap", "fields": {}}, "loss")
    (tmp_path / "m").write_bytes(forged(whole, change))
    before = set(sys.modules)
    with contextlib.chdir(tmp_path), refused("unknown class"):
        load("m")
    assert set(sys.modules) == before


@pytest.mark.fault(48, "metadata beyond the reader's limits, refused before writing")
def test_what_is_written_can_be_read(tmp_path):
    """Metadata beyond the limits of the reader are refused by the writer, before it writes."""
    for metadata in (
        {"n": 10**40},
        {"many": [0] * 600_000},
        {"long": "x" * 2**25},
        {"bad": float("nan")},
    ):
        with pytest.raises(ValueError):
            save(tmp_path / "m", SPHERE, metadata)
    with pytest.raises(TypeError, match="64 bits"):
        save(tmp_path / "m", sf.Sphere(10**30))
    assert not os.listdir(tmp_path)


# -- where files are written -----------------------------------------------------------------------
@pytest.mark.fault(54, "links in the place of a model and of its temporary file")
def test_links_in_the_place_of_files_are_replaced(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    os.symlink("victim", tmp_path / "m")
    os.symlink("victim", tmp_path / f".m.{os.getpid()}.tmp")
    save(tmp_path / "m", SPHERE)
    assert victim.read_text() == "mine" and not (tmp_path / "m").is_symlink()
    assert load(tmp_path / "m") == SPHERE
    assert sorted(os.listdir(tmp_path)) == ["m", "victim"]


@pytest.mark.fault(10, "models saved below files, into absent folders, over a folder")
def test_places_that_cannot_be_written(tmp_path):
    """Each error names the path that was asked for, and nothing is left over."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "m", tmp_path / "absent" / "m", tmp_path / "folder"):
        with pytest.raises(OSError) as caught:
            save(path, SPHERE)
        assert str(caught.value.filename) == str(path)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


@pytest.mark.parametrize("kind", ["link", "hard link", "pipe", "folder"])
@pytest.mark.fault(54, "links, pipes and folders in the place of a lock")
def test_locks_that_are_no_locks(kind, tmp_path):
    victim, run = tmp_path / "victim", tmp_path / "run"
    victim.write_text("mine")
    run.mkdir()
    if kind == "link":
        os.symlink(victim, run / "run.lock")
    elif kind == "hard link":
        os.link(victim, run / "run.lock")
    elif kind == "pipe":
        os.mkfifo(run / "run.lock")
    else:
        (run / "run.lock").mkdir()
    with refused(error=OSError), locked(run):
        pass
    assert victim.read_text() == "mine"


@pytest.mark.fault(54, "a link in the place of a folder of checkpoints")
def test_a_link_in_the_place_of_a_folder_of_checkpoints(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    os.symlink("elsewhere", tmp_path / "checkpoints")
    with refused("is a link", OSError), locked(tmp_path / "checkpoints"):
        pass
    assert not os.listdir(tmp_path / "elsewhere")


# -- names -----------------------------------------------------------------------------------------
NAMES = {
    "nested a hundred thousand times": "(" * 10**5 + "S^2" + ")" * 10**5,
    "a million opening parentheses": "(" * 10**6,
    "a million factors": " x ".join(["R^1"] * 10**6),
    "within the length, too deep": "(" * 4000 + "S^2" + ")" * 4000,
    "a long dimension": "R^" + "9" * 5000,
    "a long word": "q" * 9999,
    "crosses": "x" * 9999,
    "escapes": "S^2\x1b[2J\n\u202e",
    "digits of another script": "S^２",
    "nothing": "",
}


@pytest.mark.parametrize("case", NAMES)
@pytest.mark.fault(58, "names of manifolds of a million characters, nested, with escapes")
def test_names_of_manifolds(case):
    with refused(error=ValueError):
        sf.manifold_from_name(NAMES[case])


def test_names_of_every_manifold_are_read_back():
    """Products of two hundred factors, and nested forty times."""
    deep = sf.Product(sf.Sphere(2), sf.Torus(1))
    for _ in range(40):
        deep = sf.Product(deep, sf.SO3())
    for manifold in (deep, sf.Product(*[sf.Euclidean(3)] * 200), sf.SO3(), sf.Hyperbolic(999_999)):
        assert sf.manifold_from_name(manifold.name) == manifold


@pytest.mark.fault(58, "every character of Unicode in a message")
def test_one_line():
    """Every character of Unicode, whatever its length: one printable line."""
    text = "".join(map(chr, range(0x110000)))
    for limit in (60, 500):
        line = one_line(text, limit)
        assert len(line) <= limit and line.isprintable() and " … " in line
    assert one_line("a\r\n  b\n\nc") == "a b c"
    assert one_line("\x1b[31m\x85\u2028\u202e\ud800\t") == r"\x1b[31m\x85\u2028\u202e\ud800"
    assert one_line("é√ x") == "é√ x"
