"""Small tables for notebooks: text is escaped, and there are no scripts."""

import html
from collections.abc import Iterable

from scorefold._oneline import one_line


def html_table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A table with a caption and two columns, each cell one line of text as ``one_line`` shows
    it."""
    head, *cells = (html.escape(one_line(text)) for text in (title, *(t for r in rows for t in r)))
    lines = [
        f'<tr><th scope="row" style="text-align:left">{name}</th>'
        f'<td style="text-align:left">{value}</td></tr>'
        for name, value in zip(cells[::2], cells[1::2], strict=True)
    ]
    caption = f'<caption style="text-align:left;font-weight:bold">{head}</caption>'
    return f"<table>{caption}<tbody>{''.join(lines)}</tbody></table>"
