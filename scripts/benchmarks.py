"""Write docs/benchmarks.md, and the ``table.md`` of each table, from benchmarks/results.

Run from the root of the checkout: ``python scripts/benchmarks.py``, with ``--check`` to say what
would change and change nothing (exit code 1), with ``--figures`` to draw the figures again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
_BEGIN, _END = "<!-- earth: scripts/benchmarks.py -->", "<!-- end of earth -->"
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "src"))

from scorefold.bench import Result, Results, earth, find_table  # noqa: E402
from scorefold.bench.markdown import markdown  # noqa: E402
from scorefold.bench.registry import ABOUT  # noqa: E402
from scorefold.bench.results import mean  # noqa: E402
from scorefold.bench.runner import write_table  # noqa: E402

_HEAD = """\
# Benchmarks

Every table of `scorefold bench`, from the results that are kept in `benchmarks/results`. This page
is written by `scripts/benchmarks.py`. Each run is one entry of a `results.json`: its seed, a hash
of its split, versions, commit, machine, its load and the date. Times are wall clock on that
machine, other programs beside them; *floor* is what a perfect method has on as many points.
"""


def pages() -> dict[Path, str]:
    """The text of every file that is written."""
    texts, parts = {}, [_HEAD]
    for name in ABOUT:
        folder = RESULTS / name
        if not (folder / "results.json").exists():
            continue
        results = Results(find_table(name), "default", folder)
        text = markdown(results.table, results.runs)
        texts[folder / "table.md"] = text
        parts.append(_part(name, text, folder, results.runs))
    if (RESULTS / "peers.json").exists():
        parts.append(_peers(json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))))
    texts[PAGE] = "\n".join(parts)
    texts[README] = _first_screen(README.read_text(encoding="utf-8"))
    return texts


def _first_screen(readme: str) -> str:
    """README.md with the table of the Earth between its two marks."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not (begin and end):
        sys.exit(f"{README.name}: needs the lines {_BEGIN} and {_END}, in this order")
    return f"{before}{_BEGIN}\n{earth_table()}\n{_END}{after}"


def earth_table() -> str:
    """Six methods on the published splits: likelihood, draws and seconds."""
    runs = [run for run in _runs("earth") if run.protocol == "published"]
    drawn = [run for run in _runs("samples") if run.protocol == "published"]
    head = ["method", *earth.DATA, "draws ÷ floor", "seconds"]
    lines = [head, ["---"] * len(head)]
    for name, (method, draws) in _SIX.items():
        own = [run for run in runs if run.method == method]
        cells = []
        for data in earth.DATA:
            found = mean(run.values["test_nll"] for run in own if run.data == data)
            spread = "" if found is None or found.std is None else f" ± {found.std:.2f}"
            cells.append("" if found is None else f"{found.value:.2f}{spread}".replace("-", "−"))
        ratio = mean(
            run.values["root_mmd"] / run.floors["root_mmd"] for run in drawn if run.method == draws
        )
        cost = mean(run.seconds for run in own)
        cells.append("" if ratio is None else f"{ratio.value:.1f}")
        cells.append("" if cost is None else f"{cost.value:.0f}")
        lines.append([name, *cells])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _runs(name: str) -> list[Result]:
    folder = RESULTS / name
    if not (folder / "results.json").exists():
        return []
    return Results(find_table(name), "default", folder).runs


_SIX = {
    "kernels": ("kernel, joined", "kernel"),
    "Kent mixture": ("kent", "kent"),
    "flow matching": ("flow-matching", "flow-matching, 100 steps"),
    "score model": ("score", "score, 100 steps"),
    "stereographic score model": ("pushforward", "pushforward, 100 steps"),
    "Moser flow": ("moser", "moser, 100 steps"),
}
"""Methods of the tables of likelihoods and of draws, by their line."""


def _part(name: str, text: str, folder: Path, runs: Sequence[Result]) -> str:
    """One table as a chapter of the page: headings a level lower, footnotes with its name."""
    text = re.sub(r"^#", "##", text, flags=re.MULTILINE)
    text = re.sub(r"\[\^(\d+)\]", rf"[^{name}-\1]", text)
    figures = [
        f"![{path.stem.replace('-', ' ')}](../{path.relative_to(ROOT).as_posix()})"
        for path in sorted(folder.glob("*.png"))
    ]
    command = f"`scorefold bench {name}`: {_source(runs)}."
    return "\n\n".join([text.rstrip(), command, *figures]) + "\n"


_PEERS = {"rsgm": "Riemannian score model", "flow-matching": "flow matching"}


def _peers(document: dict) -> str:
    """What ``benchmarks/peers/earth.py`` wrote: theirs, and ours behind it."""
    head = ["data", "code", "test NLL", "theirs − ours", "seconds", "steps", "evaluations", "load"]
    lines = [head, ["---"] * len(head)]
    for run in sorted(document["runs"], key=lambda r: (r["peer"], r["data"])):
        theirs = run["code"] == run["peer"]
        numbers = [run["better"], None] if theirs else [run["test_nll"], run["ahead_by"]]
        code = f"**{_PEERS[run['peer']]}, the original code**" if theirs else run["code"]
        cells = ["" if n is None else f"{n:.3f}".replace("-", "−") for n in numbers]
        rest = [f"{run['seconds']:.0f}", f"{run['steps']:,}", f"{run['nfe']:.0f}", str(run["load"])]
        lines.append([run["data"], code, *cells, *rest])
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    (commit, *_) = sorted({run["git"] for run in document["runs"]})
    return (
        "## The original code on this machine\n\nThe same split (published), points, machine and "
        "seconds, compiling included; of theirs the better of averaged and last weights on the "
        "test points. Steps stand beside each number: what so few do to a method that was "
        "published with 600,000 or a million is no judgement of it.\n\n"
        f"{table}\n\n`python benchmarks/peers/earth.py`, seed 0, commit {commit}.\n"
    )


def _source(runs: Sequence[Result]) -> str:
    """Where and when the runs were made, in a line."""
    known = [run.source for run in runs]
    devices = sorted({str(s["device"]) for s in known})
    commits = sorted({str(s["git"]) for s in known})
    dates = sorted({str(s["date"]) for s in known if "date" in s})
    loads = [load for s in known for load in s.get("load", ())]
    line = f"{len(runs)} runs on {'; '.join(devices)}"
    if dates:
        line += f", {dates[0]} to {dates[-1]}" if len(dates) > 1 else f", {dates[0]}"
    if loads:
        line += f", load {min(loads):.1f} to {max(loads):.1f}"
    return f"{line}, commits {', '.join(commits)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--figures", action="store_true")
    arguments = parser.parse_args()
    if arguments.figures:
        for name in ABOUT:
            if (RESULTS / name / "results.json").exists():
                table = find_table(name)
                write_table(table, Results(table, "default", RESULTS / name), RESULTS / name)
    wrong = []
    for path, text in pages().items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(path.relative_to(ROOT).as_posix())
            if not arguments.check:
                path.write_text(text, encoding="utf-8")
    if wrong and arguments.check:
        print(f"{', '.join(wrong)}: not what benchmarks/results say; run scripts/benchmarks.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
