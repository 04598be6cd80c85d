"""Write the tables of docs/choose.md from benchmarks/results.

Run from the root of the checkout: ``python scripts/choose.py``, with ``--check`` to say what would
change and change nothing (exit code 1). A table stands between ``<!-- table NAME -->`` and
``<!-- end NAME -->``; everything else on the page is written by hand and holds no measured number.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "choose.md"
RESULTS = ROOT / "benchmarks" / "results"


def runs(name: str) -> list[dict]:
    return json.loads((RESULTS / name / "results.json").read_text(encoding="utf-8"))["runs"]


def chosen(rows: Iterable[dict], **fixed: str) -> list[dict]:
    return [row for row in rows if all(row[key] == value for key, value in fixed.items())]


def average(numbers: Iterable[float | None]) -> float | None:
    known = [n for n in numbers if n is not None]
    return sum(known) / len(known) if known else None


def number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}".replace("-", "−")


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def best(cells: Sequence[float | None], digits: int = 2, largest: bool = False) -> list[str]:
    """Numbers as they are printed, the best of a row in bold, with all that print alike."""
    written = [number(c, digits) for c in cells]
    known = [c for c in cells if c is not None]
    winner = number((max if largest else min)(known), digits) if known else ""
    return [f"**{cell}**" if cell and cell == winner else cell for cell in written]


_MODELS = ("kernel", "mixture", "score", "flow-matching", "pushforward", "moser")
_MIXTURES = ("heat-mixture", "kent", "wrapped-normal")


def models() -> str:
    """Mean test NLL less that of the best in its row, nats: one row a data set."""
    rows = []
    for label, table, data, protocol in (
        ("volcanoes, S²", "earth", "volcano", "grouped"),
        ("earthquakes, S²", "earth", "earthquake", "grouped"),
        ("floods, S²", "earth", "flood", "grouped"),
        ("fires, S²", "earth", "fire", "grouped"),
        ("torsions of RNA, T⁷", "torus", "rna", "grouped"),
        ("torsions of lysine, T⁶", "torus", "lysine", "grouped"),
        ("16 peaks on SO(3)", "so3", "M=16", "drawn"),
        ("64 peaks on SO(3)", "so3", "M=64", "drawn"),
        ("8 peaks on H²", "hyperbolic", "eight on H^2", "drawn"),
        ("6 peaks on H³", "hyperbolic", "six on H^3", "drawn"),
    ):
        own = chosen(runs(table), data=data, protocol=protocol)
        shared = min(row["seed"] for row in own)
        cells: list[float | None] = []
        for name in _MODELS:
            names = _MIXTURES if name == "mixture" else (name,)
            found = [
                average(row["values"].get("test_nll") for row in own
                        if row["method"] == n and row["seed"] == shared)
                for n in names
            ]  # fmt: skip
            known = [f for f in found if f is not None]
            cells.append(min(known) if known else None)
        rows.append([label, *best(cells)])
    return markdown(["mean test NLL, seed 0", *_MODELS], rows)


def costs() -> str:
    """Seconds of a fit, evaluations a likelihood: means over the runs of each method."""
    rows = []
    own = [row for name in ("earth", "torus", "so3", "hyperbolic") for row in runs(name)]
    own = [row for row in own if row["protocol"] != "wrapped normal"]
    for name in ("kde", "kernel", "vmf", "kent", "heat-mixture", "wrapped-normal", "score",
                 "flow-matching", "pushforward", "moser", "continuous-flow"):  # fmt: skip
        these = chosen(own, method=name)
        seconds = average(row["seconds"] for row in these)
        nfe = average(row["nfe"] for row in these)
        count = f"{len(these)}"
        calls = "" if nfe is None else "closed form" if nfe == 0 else f"{nfe:.0f}"
        rows.append([f"`{name}`", number(seconds, 0), calls, count])
    return markdown(["model", "seconds of a fit", "evaluations a likelihood", "runs"], rows)


def dimension() -> str:
    """Nats below the truth, a dimension: tori of growing dimension."""
    own = chosen(runs("torus"), protocol="wrapped normal")
    own = [row for row in own if "d" in row["more"]]  # others say why they were not run
    dims = sorted({row["more"]["d"] for row in own})
    rows = []
    for name in ("score", "score, no start", "flow-matching", "kernel"):
        cells = []
        for d in dims:
            found = [row for row in chosen(own, method=name) if row["more"]["d"] == d]
            gap = average(
                row["floors"]["per_dimension"] - row["values"]["per_dimension"] for row in found
            )
            cells.append(number(gap, 3))
        rows.append([name, *cells])
    return markdown(["nats below the truth, a dimension", *(f"T^{d}" for d in dims)], rows)


def draws() -> str:
    """Distance of draws to fresh data over that of fresh data, by evaluations a draw: the data
    sets that every method has."""
    own = [row for row in runs("samples") if row["data"] in ("earthquake", "flood", "fire")]
    steps = (0, 1, 2, 4, 5, 10, 100)
    rows = []
    for name in ("kernel", "kent", "flow-map", "flow-matching", "score"):
        cells = []
        for step in steps:
            plural = "step" if step == 1 else "steps"
            method = name if step == 0 else f"{name}, {step} {plural}"
            found = [row for row in chosen(own, method=method) if "root_mmd" in row["values"]]
            ratio = average(r["values"]["root_mmd"] / r["floors"]["root_mmd"] for r in found)
            cells.append(number(ratio, 1))
        rows.append([name, *cells])
    head = ["√MMD ÷ floor, by evaluations a draw", "exact", *map(str, steps[1:])]
    return markdown(head, rows)


def losses() -> str:
    """Nats below the truth, a dimension, and seconds a training step, on tori."""
    own = chosen(runs("torus"), protocol="wrapped normal")
    rows = []
    for name, call in (
        ("score", "`Denoising()`"),
        ("score, implicit", "`Implicit()`"),
        ("score, hutchinson", '`Implicit(divergence="hutchinson")`'),
        ("score, sliced", "`Sliced()`"),
    ):
        cells = []
        for d in (2, 10, 50, 100):
            found = [row for row in chosen(own, method=name) if row["more"]["d"] == d]
            gap = average(
                row["floors"]["per_dimension"] - row["values"]["per_dimension"] for row in found
            )
            step = average(row["values"].get("seconds_per_step") for row in found)
            cells += [number(gap, 4), number(None if step is None else 1000 * step, 0)]
        rows.append([call, *cells])
    head = [f"T^{d}: {what}" for d in (2, 10, 50, 100) for what in ("nats", "ms")]
    return markdown(["loss", *head], rows)


def noisings() -> str:
    """What a start and another process do to a score model: nats below the truth."""
    rows = []
    for label, table, data, first, second in (
        ("16 peaks on SO(3)", "so3", "M=16", "score", "score, started"),
        ("64 peaks on SO(3)", "so3", "M=64", "score", "score, started"),
        ("wrapped normal on T^10", "torus", "torus-10", "score, no start", "score"),
        ("wrapped normal on T^100", "torus", "torus-100", "score, no start", "score"),
        ("4 peaks on H²", "hyperbolic", "four on H^2",
         "score", "score, Langevin to a wrapped normal"),
        ("8 peaks on H²", "hyperbolic", "eight on H^2",
         "score", "score, Langevin to a wrapped normal"),
        ("6 peaks on H³", "hyperbolic", "six on H^3",
         "score", "score, Langevin to a wrapped normal"),
    ):  # fmt: skip
        cells = []
        for method in (first, second):
            found = chosen(runs(table), data=data, method=method)
            key = "gap" if table != "torus" else "test_nll"
            gap = average(
                row["values"][key] - (row["floors"][key] if key == "test_nll" else 0.0)
                for row in found if row["seed"] == 0
            )  # fmt: skip
            cells.append(gap)
        names = {
            "so3": ("`Brownian`", "`started_noising`"),
            "torus": ("`Brownian`", "`TorusBrownian`"),
            "hyperbolic": ("`Brownian`, stopped", "`Langevin`"),
        }[table]
        plain, other = best(cells)
        rows.append([label, names[0], plain, names[1], other])
    return markdown(["nats below the truth, seed 0", "process", "", "process", ""], rows)


def bridges() -> str:
    """Each task of the table of bridges: value of each method, and the floor."""
    own = runs("bridge")
    names = ("moments", "light", "light chain", "geodesics", "kinetic splines")
    rows = []
    for data in dict.fromkeys(row["data"] for row in own):
        these = chosen(own, data=data)
        (key,) = {k for row in these for k in row["values"]}
        cells = [average(row["values"][key] for row in chosen(these, method=m)) for m in names]
        floor = average(row["floors"].get(key) for row in these)
        measure = {"kl": "KL × 1000", "uvp": "cBW₂²-UVP (%)", "w1": "W₁", "w2": "W₂",
                   "energy": "½ energy distance"}[key]  # fmt: skip
        rows.append([f"{data}: {measure}", *best(cells, 3), number(floor, 3)])
    return markdown(["", *names, "floor"], rows)


def curved_bridges() -> str:
    """Bridges with networks on curved spaces beside the exact one: error of drift, seconds."""
    document = json.loads((RESULTS / "bridge_curved.json").read_text(encoding="utf-8"))
    names = {
        "matching": "`BridgeMatching`",
        "fitting, implicit": '`DiffusionSchrodingerBridge(loss="implicit")`',
        "fitting, mean": '`DiffusionSchrodingerBridge(loss="mean")`',
    }
    spaces = [space for space in document if space not in ("provenance", "settings")]
    rows = []
    for method, call in names.items():
        cells = []
        for space in spaces:
            found = document[space][method]
            cells += [number(found["divergence"][0], 3), number(found["seconds"][0], 0)]
        rows.append([call, *cells])
    head = [f"{space}: {what}" for space in spaces for what in ("KL (nats)", "s")]
    return markdown(["", *head], rows)


def protocols() -> str:
    """What leaking does: share of test points seen in training, and kernels' test NLL."""
    own = runs("earth")
    rows = []
    for data in ("volcano", "earthquake", "flood", "fire"):
        cells = [data]
        for protocol in ("published", "grouped"):
            these = chosen(own, data=data, protocol=protocol)
            leak = average(row["more"].get("leak") for row in these)
            kernel = average(r["values"]["test_nll"] for r in chosen(these, method="kernel"))
            mixture = average(r["values"]["test_nll"] for r in chosen(these, method="kent"))
            seen = "" if leak is None else f"{100 * leak:.1f} %"
            cells += [seen, number(kernel), number(mixture)]
        rows.append(cells)
    head = [f"{p}: {what}" for p in ("published", "grouped") for what in ("seen", "kernel", "kent")]
    return markdown(["", *head], rows)


TABLES: dict[str, Callable[[], str]] = {
    "models": models,
    "costs": costs,
    "dimension": dimension,
    "draws": draws,
    "losses": losses,
    "noisings": noisings,
    "bridges": bridges,
    "curved-bridges": curved_bridges,
    "protocols": protocols,
}


def page(text: str) -> str:
    """The page with every table written anew."""
    for name, table in TABLES.items():
        begin, end = f"<!-- table {name} -->", f"<!-- end {name} -->"
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(end), flags=re.S)
        if len(pattern.findall(text)) != 1:
            sys.exit(f"{PAGE.name}: needs the lines {begin} and {end}, once, in this order")
        text = pattern.sub(lambda _, b=begin, t=table, e=end: f"{b}\n{t()}\n{e}", text)
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    before = PAGE.read_text(encoding="utf-8")
    after = page(before)
    if arguments.check:
        if after != before:
            print("docs/choose.md: not what benchmarks/results say; run scripts/choose.py")
        return int(after != before)
    PAGE.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
