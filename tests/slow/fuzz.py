"""Ten minutes of damaged and hostile files: tables, run folders, model files, names.

    python tests/slow/fuzz.py [--seconds 600] [--seed 0] [--kinds csv,model,…] [--keep FOLDER]

Each case is a good file that was mutated, given to the function that reads it. Allowed are an
answer, or one of the documented errors, in one printable line of at most 500 characters, within
SLOW seconds of processor time, with MORE_MEMORY more resident memory at most, and no file made or
changed anywhere in the folder. Anything else is a failure: its input is kept, and the exit code
is 1. The cases follow from the seed alone: case k of a kind is the same in every run.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import copy
import gc
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

SLOW = 1.0
MORE_MEMORY = 300 * 2**20
HANGS = 20
LONGEST = 500

INTEGERS = (0, 1, -1, 127, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (
    b"nan", b"-inf", b"1e999", b"-0", b"9" * 5000, b"\x00", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\x1b[2J", b"\r", b"\n", b'"', b'""', b",", b";", b"\t", b"#", b"../../etc/passwd",
    b"{", b"[" * 3000, b"\xe2\x80\xa8",
    b"=cmd|' /C calc'!A0", b"1,5", b"0x1p3", b"1_000", b"\xed\xa0\x80", b"sep=;\n",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 10**30, 0.5, -1e308, float("nan"), float("inf"), "", "x", "\x1b[31m",
    "../..", "x" * 10_000, [], [[]], [1, "a"], {}, {"a": {}}, "\ud800", [None] * 1000,
)  # fmt: skip


class Kind(NamedTuple):
    """``seeds(rng)`` makes the good files, ``{name: bytes}``, and ``use(folder)`` reads them."""

    seeds: Callable[[np.random.Generator], dict[str, bytes]]
    use: Callable[[Path, np.random.Generator], object]
    mutate: Callable[[dict[str, bytes], np.random.Generator], dict[str, bytes]]


# -- good files ------------------------------------------------------------------------------------
def table(rng: np.random.Generator) -> pd.DataFrame:
    n = int(rng.integers(4, 40))
    columns: dict[str, Any] = {"lat": rng.uniform(-90, 90, n), "lon": rng.uniform(-180, 180, n)}
    if rng.random() < 0.5:
        columns["place"] = [f"no. {i}, {'é' * int(rng.integers(3))}" for i in range(n)]
    if rng.random() < 0.3:
        columns = {name.upper(): values for name, values in columns.items()}
    return pd.DataFrame(columns).round(int(rng.integers(1, 8)))


def text_tables(rng: np.random.Generator) -> dict[str, bytes]:
    separator = rng.choice([",", ";", "\t", "|", " "])
    written = table(rng).to_csv(
        index=bool(rng.random() < 0.2),
        header=bool(rng.random() < 0.8),
        sep=separator,
        decimal=rng.choice([".", ","]) if separator != "," else ".",
        lineterminator=rng.choice(["\n", "\r\n", "\r"]),
        quoting=int(rng.choice([0, 1])),
    )
    head = rng.choice(["", "", "# from somewhere\n", f"sep={separator}\n", "\n\n"])
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"])
    content = (head + written).encode(encoding, "replace")
    packed = rng.random() < 0.2
    name = rng.choice(["t.csv", "t.tsv", "t.txt", "t.dat"]) + (".gz" if packed else "")
    return {name: gzip.compress(content, 1) if packed else content}


def array(rng: np.random.Generator) -> np.ndarray:
    shape = [(5,), (7, 2), (4, 3, 3), (0, 2), (3, 2, 2, 2)][int(rng.integers(5))]
    kind = rng.choice(["f8", "f4", ">f8", "i4", "u1", "?", "f2", "c16", "U3", "M8[s]"])
    return (100 * rng.normal(size=shape)).astype("i8").astype(kind)


def npy_files(rng: np.random.Generator) -> dict[str, bytes]:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array(rng), order=rng.choice(["C", "F"])))
    return {"t.npy": buffer.getvalue()}


def npz_files(rng: np.random.Generator) -> dict[str, bytes]:
    buffer = io.BytesIO()
    saver = np.savez_compressed if rng.random() < 0.5 else np.savez
    saver(buffer, **{name: array(rng) for name in ("x", "labels")[: int(rng.integers(1, 3))]})
    content = buffer.getvalue()
    if rng.random() < 0.3:
        packing = int(rng.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED]))
        again = io.BytesIO()
        with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(again, "w", packing) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        content = again.getvalue()
    return {"t.npz": content}


def parquet_files(rng: np.random.Generator) -> dict[str, bytes]:
    buffer = io.BytesIO()
    table(rng).to_parquet(
        buffer, compression=rng.choice(["snappy", "gzip", "zstd", "none"]), index=False
    )
    return {"t.parquet": buffer.getvalue()}


def model_files(rng: np.random.Generator) -> dict[str, bytes]:
    return {"m": models()[int(rng.integers(len(models())))]}


_MODELS: list[bytes] = []


def models() -> list[bytes]:
    """Files of four small models, made once."""
    if not _MODELS:
        import jax
        import jax.numpy as jnp

        import scorefold as sf
        from scorefold.models import HeatKernelDensity

        sphere, plane = sf.Sphere(2), sf.Euclidean(2)
        spec = sf.NetworkSpec(width=4, depth=1, fourier=2, time_features=1)
        points = jnp.eye(3, dtype=jnp.float32)
        score = sf.ScoreModel(sf.Brownian(sphere, sf.LogLinear(1e-3, 5.0)), network=spec)
        made = [
            score.trainer(jax.random.key(0), np.eye(3, dtype=np.float32)).model(points, None),
            HeatKernelDensity(sphere, points, jnp.full(3, 0.1, jnp.float32)),
            sf.KernelModel(sf.Product(sphere, plane)),
            sf.LightBridge(sf.brownian_reference(plane, 1.0)),
        ]
        with tempfile.TemporaryDirectory() as folder:
            for one in made:
                sf.save(Path(folder) / "m", one, {"note": "a seed"})
                _MODELS.append((Path(folder) / "m").read_bytes())
    return _MODELS


_RUN: dict[str, bytes] = {}


def run_folders(rng: np.random.Generator) -> dict[str, bytes]:
    """The files of a finished run, made once by the command line; its table stays where it was."""
    if not _RUN:
        from scorefold.cli import main

        home = Path(tempfile.mkdtemp(prefix="scorefold-fuzz-"))
        atexit.register(shutil.rmtree, home, ignore_errors=True)
        rows = np.random.default_rng(0).normal(size=(60, 2)).round(3)
        pd.DataFrame(rows, columns=["x", "y"]).to_csv(home / "t.csv", index=False)
        words = ["fit", str(home / "t.csv"), "--manifold", "R^2", "--steps", "2", "--no-report"]
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if main([*words, "--quiet", "--out", str(home / "run")]) != 0:
                raise RuntimeError("the good run could not be made")
        _RUN.update({p.name: p.read_bytes() for p in (home / "run").iterdir() if p.is_file()})
        _RUN.pop("run.lock", None)
    return dict(_RUN)


# -- mutations -------------------------------------------------------------------------------------
def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes of bytes: bits, cuts, splices, lengths, hostile words."""
    raw = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(len(raw) + 1))
        match int(rng.integers(8)):
            case 0 if at < len(raw):
                raw[at] ^= 1 << int(rng.integers(8))
            case 1:
                del raw[at:]
            case 2:
                del raw[at : at + int(rng.integers(1, 64))]
            case 3:
                other = int(rng.integers(len(raw) + 1))
                raw[at:at] = raw[other : other + int(rng.integers(1, 256))]
            case 4:
                raw[at:at] = WORDS[int(rng.integers(len(WORDS)))]
            case 5:
                size = int(rng.choice([1, 2, 4, 8]))
                value = INTEGERS[int(rng.integers(len(INTEGERS)))]
                order = rng.choice(["little", "big"])
                raw[at : at + size] = (value % 256**size).to_bytes(size, order)
            case 6:
                raw[at : at + int(rng.integers(1, 32))] = rng.bytes(int(rng.integers(1, 32)))
            case 7:
                raw += rng.bytes(int(rng.integers(1, 64)))
    return bytes(raw)


def any_file(files: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    name = list(files)[int(rng.integers(len(files)))]
    return {**files, name: damaged(files[name], rng)}


def places(node: Any, path: tuple = ()) -> list[tuple]:
    """The paths to all values of a JSON document."""
    found = [path]
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            found += places(value, (*path, key))
    return found


def changed(document: Any, rng: np.random.Generator) -> Any:
    """The document with one value replaced, dropped, doubled or renamed."""
    path = (every := places(document))[int(rng.integers(len(every)))]
    value = copy.deepcopy(VALUES[int(rng.integers(len(VALUES)))])  # It may be changed again.
    if not path:
        return value
    node = document
    for key in path[:-1]:
        node = node[key]
    match int(rng.integers(4)):
        case 0 if isinstance(node, dict):
            del node[path[-1]]
        case 1 if isinstance(node, dict):
            node[str(value)] = node.pop(path[-1])
        case 2:
            other = every[int(rng.integers(len(every)))]
            found = document
            for key in other:
                found = found[key] if isinstance(found, dict | list) else found
            node[path[-1]] = json.loads(json.dumps(found))
        case _:
            node[path[-1]] = value
    return document


def sealed_model(files: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    """Half of the time bytes; half of the time values, with a digest that agrees."""
    if rng.random() < 0.4:
        return any_file(files, rng)
    raw = files["m"]
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    document = json.loads(header["__metadata__"]["document"])
    for _ in range(int(rng.integers(1, 3))):
        if rng.random() < 0.7:
            document = changed(document, rng)
        else:
            name = list(header)[int(rng.integers(len(header)))]
            if name != "__metadata__":
                header[name] = changed(header[name], rng)
    header["__metadata__"] = {"document": json.dumps(document), "sha256": "0" * 64}
    head = json.dumps(header).encode()
    start = len(head).to_bytes(8, "little") + head
    digest = hashlib.sha256(start + raw[8 + size :]).hexdigest().encode()
    return {"m": start.replace(b"0" * 64, digest, 1) + raw[8 + size :]}


def run_documents(files: dict[str, bytes], rng: np.random.Generator) -> dict[str, bytes]:
    name = str(rng.choice(["run.json", "history.json", "metrics.json", "model.safetensors"]))
    if not name.endswith("json") or rng.random() < 0.3:
        return {**files, name: damaged(files[name], rng)}
    document = json.loads(files[name])
    for _ in range(int(rng.integers(1, 4))):
        document = changed(document, rng)
    return {**files, name: json.dumps(document).encode()}


# -- what reads them -------------------------------------------------------------------------------
def read_the_table(folder: Path, rng: np.random.Generator) -> object:
    from scorefold.data import load

    (path,) = folder.iterdir()
    options = [{}, {"manifold": "S^2"}, {"manifold": "R^2"}, {"manifold": "T^2", "degrees": True}]
    return load(path, **options[int(rng.integers(4))])


def load_the_model(folder: Path, rng: np.random.Generator) -> object:
    from scorefold.fitting import load

    return repr(load(folder / "m"))


def name_a_manifold(folder: Path, rng: np.random.Generator) -> object:
    from scorefold.data import DataError
    from scorefold.manifolds import manifold_from_name

    try:
        return manifold_from_name((folder / "name").read_bytes().decode("utf-8", "surrogateescape"))
    except ValueError as error:
        raise DataError(str(error)) from error


def names(rng: np.random.Generator) -> dict[str, bytes]:
    factors = [b"S^2", b"R1", b"T^3", b"SO(3)", b"H^2", b"(S^2 x (T^2 x SO3))"]
    chosen = [factors[int(i)] for i in rng.integers(len(factors), size=int(rng.integers(1, 6)))]
    return {"name": b" x ".join(chosen)}


def open_the_run(folder: Path, rng: np.random.Generator) -> object:
    """What ``sample``, ``evaluate`` and ``report`` read before they compute anything."""
    from scorefold.runs import Run
    from scorefold.runs.opening import reopened

    run = Run.open(str(folder), "model")
    match int(rng.integers(5)):
        case 0:
            return run.coordinates()
        case 1:
            return reopened(run)
        case 2:
            return run.history()
        case 3:
            return run.metrics()
        case _:
            return (run.single()["seed"], repr(run.model()))


KINDS = {
    "csv": Kind(text_tables, read_the_table, any_file),
    "npy": Kind(npy_files, read_the_table, any_file),
    "npz": Kind(npz_files, read_the_table, any_file),
    "parquet": Kind(parquet_files, read_the_table, any_file),
    "model": Kind(model_files, load_the_model, sealed_model),
    "name": Kind(names, name_a_manifold, any_file),
    "run": Kind(run_folders, open_the_run, run_documents),
}


# -- the trial -------------------------------------------------------------------------------------
def documented() -> tuple[type[BaseException], ...]:
    from scorefold.data import DataError
    from scorefold.fitting import DamagedFile
    from scorefold.runs import RunError

    return (DataError, DamagedFile, RunError)


def tree(folder: Path) -> dict[str, tuple]:
    return {
        str(p.relative_to(folder)): (os.lstat(p).st_size, os.lstat(p).st_mtime_ns)
        for p in folder.rglob("*")
    }


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def bounded_memory(more: int = 3 * 2**30) -> Iterator[None]:
    """No more than so much memory beyond what the process has: a bomb is an error, not the end."""
    data = int(Path("/proc/self/statm").read_text().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (data + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


class Hung(BaseException):
    """The case took longer than HANGS seconds of wall clock."""


def _hung(*_: object) -> None:
    raise Hung


def trial(kind: str, number: int, seed: int, folder: Path) -> str:
    """Run one case in an empty folder; "" if it behaved, otherwise what it did."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    what = KINDS[kind]
    files = what.mutate(what.seeds(rng), rng)
    inner = folder / "in"
    inner.mkdir()
    for name, content in files.items():
        (inner / name).write_bytes(content)
    if kind == "run" and rng.random() < 0.1:
        name = rng.choice(["history.json", "metrics.json", "run.json"])
        (inner / name).unlink()
        os.symlink(rng.choice(["/dev/zero", "loop", ".", "/etc/hostname"]), inner / name)
    before, memory, since = tree(folder), resident(), time.process_time()
    handler, left = signal.signal(signal.SIGALRM, _hung), signal.alarm(HANGS)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            what.use(inner, rng)
        lines = [str(w.message) for w in said if issubclass(w.category, UserWarning)]
    except documented() as error:
        lines = [str(error)]
    except Hung:
        return f"more than {HANGS} s"
    except Exception:
        return traceback.format_exc(limit=-3)[-1500:]
    finally:
        signal.alarm(left)
        signal.signal(signal.SIGALRM, handler)
    taken, grown = time.process_time() - since, resident() - memory
    for line in lines:
        if len(line) > LONGEST or not line.isprintable():
            return f"a message of {len(line)} characters: {line[:200]!r} … {line[-100:]!r}"
    if taken > SLOW:
        return f"{taken:.2f} s of processor time"
    if grown > MORE_MEMORY:
        return f"{grown / 2**20:.0f} MiB more memory"
    if tree(folder) != before:
        return f"files made or changed: {sorted(set(tree(folder).items()) ^ set(before.items()))}"
    return ""


def warm(kinds: list[str], seed: int) -> None:
    """What the first call of each kind imports and compiles is not the case's fault."""
    for what in map(KINDS.__getitem__, kinds):
        rng = np.random.default_rng([seed, 10**6])
        with tempfile.TemporaryDirectory() as folder:
            for name, content in what.seeds(rng).items():
                (Path(folder) / name).write_bytes(content)
            with warnings.catch_warnings(), contextlib.suppress(*documented()):
                warnings.simplefilter("ignore")
                what.use(Path(folder), rng)


@contextlib.contextmanager
def only_its_own_garbage() -> Iterator[None]:
    """What the process held before is not collected at a case's expense: that takes a second."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@only_its_own_garbage()
def fuzz(
    kinds: list[str],
    seed: int,
    keep: Path,
    *,
    seconds: float | None = None,
    cases: int | None = None,
    say: Callable[[str], object] = print,
) -> dict[str, str]:
    """Cases of each kind in turn, for so many seconds or cases a kind; returns the failures,
    ``{"kind-number": what it did}``, whose inputs are in ``keep``."""
    warm(kinds, seed)
    failures: dict[str, str] = {}
    done: Counter[str] = Counter()
    started = told = time.monotonic()
    number = 0
    while (cases is None or number < cases) and (
        seconds is None or time.monotonic() - started < seconds
    ):
        for kind in kinds:
            with tempfile.TemporaryDirectory() as folder, bounded_memory():
                problem = trial(kind, number, seed, Path(folder))
                done[kind] += 1
                if problem:
                    failures[f"{kind}-{number}"] = problem
                    target = keep / f"{kind}-{number}"
                    shutil.copytree(Path(folder) / "in", target, symlinks=True, dirs_exist_ok=True)
                    say(f"FAILED {kind} {number} (seed {seed}): {problem}")
        number += 1
        if time.monotonic() - told > 20:
            told = time.monotonic()
            say(f"{told - started:4.0f} s  {dict(done)}  {len(failures)} failures")
    say(f"{sum(done.values())} cases: {dict(done)}; {len(failures)} failures")
    return failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    failures = fuzz(
        arguments.kinds.split(","), arguments.seed, arguments.keep, seconds=arguments.seconds
    )
    if failures:
        print(f"Inputs are in {arguments.keep}.")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
