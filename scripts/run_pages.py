"""Run the blocks of pages from top to bottom, and put on the page what they print and draw.

Run from the root of the checkout: ``python scripts/run_pages.py docs/howto/earth.md …``. A block of
``text`` right below a block of ``python`` or ``sh`` is what that block prints, and is written here;
a figure ``../images/howto/x.png`` on the page is the file ``x.png`` that a block wrote. With
``--check`` nothing is written, and what would change is named (exit code 1). With ``--short``
training takes ten steps, nothing is compared, and only what fails is told.

The blocks of Python of one page share their names; commands run in bash. Both begin in one empty
folder, without a folder of data sets, and see only what the page has made. A tutorial
(``examples/tutorials/x.py``) is run as a whole, and its figures are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```[^\n]*\n", flags=re.M | re.S)
_FIGURE = re.compile(r"!\[[^\]]*\]\(([^)\s]+\.png)\)")
_INSTALLS = re.compile(r"^(?:python -m )?pip install.*\n", flags=re.M)


class Block(NamedTuple):
    """A fenced block that runs: its language, code and line, and where its output stands."""

    language: str
    code: str
    line: int
    output: tuple[int, int] | None


def blocks(text: str) -> list[Block]:
    found = list(_FENCE.finditer(text))
    runs = []
    for k, fence in enumerate(found):
        if fence.group(1) not in ("python", "sh"):
            continue
        below = found[k + 1] if k + 1 < len(found) else None
        if below and (below.group(1) != "text" or text[fence.end() : below.start()].strip()):
            below = None
        span = below.span(2) if below else None
        line = text.count("\n", 0, fence.start(2)) + 1
        runs.append(Block(fence.group(1), fence.group(2), line, span))
    return runs


def shortened(code: str) -> str:
    """The same program with ten steps of training."""
    code = re.sub(r"^STEPS = \d+", "STEPS = 10", code, flags=re.M)
    code = re.sub(r"(\bsteps=|--steps )\d{2,}", r"\g<1>10", code)
    return re.sub(r"\bbudget=\d+", "steps=10", re.sub(r"--budget \d+", "--steps 10", code))


def run(text: str, name: str, folder: Path, *, short: bool = False) -> list[str]:
    """What each block prints, in order. Files are written to ``folder``, the current directory."""
    names: dict[str, object] = {"__name__": "__main__"}
    said = []
    with contextlib.chdir(folder):
        for block in blocks(text):
            code = shortened(block.code) if short else block.code
            if block.language == "sh":
                said.append(_shell(code, f"{name}, line {block.line}"))
                continue
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile("\n" * (block.line - 1) + code, name, "exec"), names)
            said.append(out.getvalue())
    return said


def _shell(code: str, where: str) -> str:
    """Standard output of commands, in this environment: ``scorefold`` is that of this checkout."""
    python = shlex.quote(sys.executable)
    head = f'set -e\nscorefold() {{ {python} -m scorefold "$@"; }}\npython() {{ {python} "$@"; }}\n'
    environment = {k: v for k, v in os.environ.items() if k != "SCOREFOLD_DATA_DIR"}
    environment["PYTHONPATH"] = str(ROOT / "src")
    found = subprocess.run(
        ["bash", "-c", head + _INSTALLS.sub("", code)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    if found.returncode:
        raise RuntimeError(f"{where}:\n{found.stderr[-3000:]}")
    return found.stdout


def written(text: str, said: list[str]) -> str:
    """The page with what its blocks printed."""
    for block, output in reversed(list(zip(blocks(text), said, strict=True))):
        if block.output is not None:
            begin, end = block.output
            lines = [line.rstrip() for line in output.rstrip().splitlines()]
            text = text[:begin] + "\n".join(lines) + "\n" + text[end:]
    return text


def figures(page: Path, text: str, folder: Path) -> dict[Path, bytes]:
    """The pictures of a page that its blocks drew, by where they are kept."""
    beside = ROOT / "docs" / "tutorials" if page.suffix == ".py" else page.parent
    links = [(beside / link).resolve() for link in _FIGURE.findall(text)]
    return {p: (folder / p.name).read_bytes() for p in links if (folder / p.name).exists()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT / "src"))
    import matplotlib

    matplotlib.use("Agg")
    os.environ.pop("SCOREFOLD_DATA_DIR", None)
    wrong, failed = [], []
    for page in arguments.pages:
        text = page.read_text(encoding="utf-8")
        with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
            folder = Path(name)
            whole = f"```python\n{text}\n```\n" if page.suffix == ".py" else text
            try:
                said = run(whole, str(page), folder, short=arguments.short)
            except Exception:
                traceback.print_exc()
                failed.append(str(page))
                continue
            if page.suffix == ".py":
                print(said[0], end="")
                said = []
            if arguments.short:
                continue
            drawn = figures(page, text, folder)
            now = written(text, said) if said else text
            if arguments.check:
                wrong += [str(page)] if now != text else []
                wrong += [str(p) for p, png in drawn.items() if not p.exists()]
                continue
            page.write_text(now, encoding="utf-8")
            for path, png in drawn.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png)
                print(f"{path.relative_to(ROOT)}: {len(png) / 1024:.0f} kB")
    for path in wrong:
        print(f"{path}: not what its blocks say; run scripts/run_pages.py")
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if wrong or failed else 0


if __name__ == "__main__":
    sys.exit(main())
