"""The report of a run: one HTML file that needs nothing else, and its pictures as PNG files."""

from __future__ import annotations

import base64
import html
import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from scorefold._files import write_whole
from scorefold._types import ReadOnlyDocument
from scorefold.report._text import visible
from scorefold.report.explore.markup import data_and_script, script_policy, section, style
from scorefold.report.findings import Finding, Meanings, findings_html, meanings_html

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scorefold.data import Audit
    from scorefold.report.explore.scene import Scene

_NAMES = {
    "n_train": "training points",
    "n_val": "validation points",
    "n_test": "test points",
    "test_nll": "test NLL (nats)",
    "val_nll": "validation NLL (nats)",
    "nfe": "network evaluations per likelihood",
    "normalisation": "∫ exp(log p) (should be 1)",
    "normalisation_error": "∫ exp(log p), error",
    "normalisation_how": "∫ exp(log p), how",
    "normalisation_reason": "∫ exp(log p), why not measured",
    "train_seconds": "training time (s)",
    "compile_seconds": "compile time (s)",
    "params": "parameters",
}
_PROVENANCE = ("versions", "git", "device", "command")

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --paper: #ffffff; --line: #c8c8c8; --dim: #555; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --paper: #16181c; --line: #44484f; --dim: #a8adb5; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3, p, li, figcaption { overflow-wrap: anywhere; }
h1 { line-height: 1.2; } h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
th { font-weight: 500; color: var(--dim); width: 18rem; }
.grid th { width: auto; } .wide { overflow-x: auto; }
td { font-variant-numeric: tabular-nums; }
figure { margin: 1.5rem 0; break-inside: avoid; }
figure img { max-width: 100%; height: auto; background: #fff; border-radius: 4px; }
figcaption { color: var(--dim); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--line);
  border-radius: 4px; padding: .8rem; }
@media print {
  :root { --ink: #000; --paper: #fff; --line: #bbb; --dim: #333; }
  body { max-width: none; margin: 0; font-size: 11pt; } }
"""


def write_report(
    path: str | os.PathLike[str],
    *,
    title: str,
    metrics: ReadOnlyDocument,
    figures: Mapping[str, Figure],
    notes: Sequence[str] = (),
    audit: Audit | ReadOnlyDocument | None = None,
    command: str | None = None,
    tables: Mapping[str, Sequence[Sequence[str]]] | None = None,
    findings: Sequence[Finding] = (),
    meanings: Meanings | None = None,
    scene: Scene | None = None,
    beside: bool = True,
) -> Path:
    """Write a report; returns the path of the HTML file.

    **Arguments:** ``path``: a directory (made if absent; the file is ``report.html``) or a file
    name ending in ``.html``; figures are also saved ``beside`` it, named after their titles.
    ``metrics``: what was measured, e.g. ``model``, ``dataset``, ``test_nll``, ``seed``;
    ``versions``, ``git`` and ``device`` go to the section on provenance, and values that are
    mappings become one line an entry. ``audit``: the facts on the data (a mapping, or an object
    with ``to_dict``). ``notes``: paragraphs. ``command``: what to type to get the same again.
    ``tables``: more tables by heading, each a row of column names and then rows of text.
    ``findings``: sentences on top, with links to ``meanings``. ``scene``: what can be explored
    (``scene_of``); without scripts and on paper there are the figures.

    Text is escaped; the page loads nothing, and its policy forbids that, and all scripts but the
    one that draws the scene.
    Files are written under another name and then renamed, so that a reader never sees half of one.
    """
    path = Path(path)
    target = path if path.suffix == ".html" else path / "report.html"
    target.parent.mkdir(parents=True, exist_ok=True)
    images = {name: to_png(figure) for name, figure in figures.items()}
    for file, content in zip(_file_names(images), images.values(), strict=True):
        if beside:
            write_whole(target.parent / file, content)
    measured = {k: v for k, v in metrics.items() if k not in _PROVENANCE}
    origin = {k: metrics[k] for k in _PROVENANCE[:-1] if k in metrics}
    audited = audit if audit is None or isinstance(audit, Mapping) else audit.to_dict()
    safe, known = _escape(title), meanings or {}
    policy = f"; {script_policy()}" if scene else ""
    parts = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        f"content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'{policy}\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{safe}</title>\n<style>{_STYLE}{style()}</style>\n</head>\n<body>\n<main>"
        f"<h1>{safe}</h1>",
        findings_html(findings, known),
        section() if scene else "",
        *(f"<p>{_escape(note)}</p>" for note in notes),
        _table("Results", measured),
        *(_grid(heading, rows) for heading, rows in (tables or {}).items()),
        _table("Data", audited),
    ]
    parts.append(meanings_html(findings, known))
    if images:
        parts.append("<h2>Pictures</h2>")
    for name, content in images.items():
        label, code = _escape(name), base64.b64encode(content).decode("ascii")
        parts.append(
            f'<figure><img alt="{label}" decoding="async" src="data:image/png;base64,{code}">'
            f"<figcaption>{label}</figcaption></figure>"
        )
    parts.append(_table("Where this comes from", origin))
    if command := command or metrics.get("command"):
        parts.append(f"<h2>The same again</h2>\n<pre>{_escape(command)}</pre>")
    parts.append("</main>")
    if scene:
        parts.append(data_and_script(scene))
    page = "\n".join([*(part for part in parts if part), "</body>\n</html>\n"])
    write_whole(target, page)
    return target


def to_png(figure: Figure, *, dpi: int = 130) -> bytes:
    """A figure as the bytes of a PNG file, the same bytes for the same figure."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        figure.savefig(stream, format="png", dpi=dpi, metadata={"Software": None})
    return stream.getvalue()


# -- parts ---------------------------------------------------------------------------------------
def _table(heading: str, values: ReadOnlyDocument | None) -> str:
    if not values:
        return ""
    rows = "\n".join(
        f'<tr><th scope="row">{_escape(name)}</th><td>{_escape(text)}</td></tr>'
        for name, text in _rows(values)
    )
    return f"<h2>{_escape(heading)}</h2>\n<table>\n{rows}\n</table>"


def _grid(heading: str, rows: Sequence[Sequence[str]]) -> str:
    head, *body = ([_escape(text) for text in row] for row in rows)
    first = "".join(f'<th scope="col">{text}</th>' for text in head)
    lines = "\n".join(
        f'<tr><th scope="row">{name}</th>' + "".join(f"<td>{t}</td>" for t in rest) + "</tr>"
        for name, *rest in body
    )
    return (
        f'<h2>{_escape(heading)}</h2>\n<div class="wide" tabindex="0" role="region" '
        f'aria-label="{_escape(heading)}"><table class="grid">\n'
        f"<thead><tr>{first}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def _escape(text: str) -> str:
    """Text for the page: no markup, in elements and in quoted attributes."""
    return html.escape(visible(text), quote=True)


def _rows(values: ReadOnlyDocument, prefix: str = "") -> list[tuple[str, str]]:
    """Lines of a table; mappings within mappings become lines named ``outer, inner``."""
    rows = []
    for key, value in values.items():
        name = prefix + name_in_words(str(key))
        if isinstance(value, Mapping):
            rows += _rows(value, name + ", ") if value else []
        else:
            rows.append((name, value_in_words(value)))
    return rows


def name_in_words(key: str) -> str:
    """A key of ``metrics.json`` as people read it."""
    return _NAMES.get(key, key.replace("_", " "))


def value_in_words(value: object) -> str:
    """Numbers as people read them: integers in groups of three, reals to five digits."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{int(value):,}" if abs(int(value)) >= 10000 else str(int(value))
    if isinstance(value, float | np.floating):
        return f"{float(value):.5g}"
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value_in_words(value.item())
    if isinstance(value, list | tuple):
        return ", ".join(map(value_in_words, value))
    return str(value)


def _file_names(names: Mapping[str, bytes]) -> list[str]:
    """One safe and different file name for each figure: letters, digits and dashes only."""
    files: list[str] = []
    for name in names:
        stem = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "figure"
        file, number = f"{stem}.png", 2
        while file in files:
            file, number = f"{stem}-{number}.png", number + 1
        files.append(file)
    return files
