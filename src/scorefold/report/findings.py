"""What numbers say, in plain words, each with a link to what it means."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from scorefold.report._text import visible


class Finding(NamedTuple):
    """A sentence; whether that is as it should be (``good``), worth a look (``note``) or not
    (``bad``); and the name of what it means."""

    text: str
    state: Literal["good", "note", "bad"] = "note"
    means: str = ""


Meanings = Mapping[str, tuple[str, str]]
"""By name: a heading, and a text."""

_SIGNS = {"good": "✓", "note": "·", "bad": "✗"}


def findings_html(findings: Sequence[Finding], meanings: Meanings) -> str:
    """A list of sentences with links to ``meanings_html``."""
    if not findings:
        return ""
    lines = []
    for text, state, means in findings:
        link = ""
        if means in meanings:
            title = html.escape(visible(meanings[means][0]))
            link = f' <a href="#means-{means}">What is “{title}”?</a>'
        sign = f'<span aria-hidden="true">{_SIGNS[state]}</span>'
        lines.append(f'<li class="{state}">{sign} {html.escape(visible(text))}{link}</li>')
    return '<h2>In plain words</h2>\n<ul class="findings">\n' + "\n".join(lines) + "\n</ul>"


def meanings_html(findings: Sequence[Finding], meanings: Meanings) -> str:
    """What the findings mean, as far as they ask for it."""
    asked = dict.fromkeys(one.means for one in findings if one.means in meanings)
    parts = [
        f'<h3 id="means-{name}">{html.escape(visible(meanings[name][0]))}</h3>\n'
        f"<p>{html.escape(visible(meanings[name][1]))}</p>"
        for name in asked
    ]
    return "\n".join(["<h2>What this means</h2>", *parts]) if parts else ""
