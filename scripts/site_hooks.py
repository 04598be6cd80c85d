"""What `mkdocs build` does beside its plugins: pages read the same on GitHub and in the site.

Links of the pages may lead out of ``docs``, to files of the checkout. Markdown among these becomes
a page of the site, everything else is copied to it, and the links follow. Lists that begin
without an empty line before them, which GitHub reads, get one. A line ``::: scorefold.ROOM``
becomes the documentation of every public name of that room. A room without a page gets one of
these alone. Each tutorial becomes a page and a notebook.
"""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))

import public_names  # noqa: E402
import tutorials  # noqa: E402

_LINK = re.compile(r"(\]\()([^)\s#]+)(#[^)\s]*)?(\))")
_ITEM = re.compile(r"(?:[-*+]|\d+\.) ")
_PAGES = {"CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
"""Markdown of the checkout that is a page, by where it stands in the site."""


def place(path: str) -> str:
    """Where a file outside ``docs`` stands in the site, by its place in the checkout."""
    return _PAGES.get(path, f"checkout/{path}")


def target(page: str, link: str) -> str | None:
    """The file of the checkout that a link of a page leads to, where it is not in ``docs``.
    ``page`` and the answer are relative to the root of the checkout."""
    if re.match(r"[a-z][a-z+.-]*:|/", link):
        return None
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
    return None if path.startswith(("docs/", "..")) else path


def source(file: File) -> str:
    """A page of the site by its place in the checkout."""
    uri = file.src_uri
    outside = {there: here for here, there in _PAGES.items()}
    return outside.get(uri) or uri.removeprefix("checkout/") if _is_outside(uri) else f"docs/{uri}"


def _is_outside(uri: str) -> bool:
    return uri in _PAGES.values() or uri.startswith("checkout/")


def _links(text: str) -> list[str]:
    return [found.group(2) for found in _LINK.finditer(text)]


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds what the pages lead to outside of ``docs``, and what that leads to in turn."""
    waiting = [(source(file), Path(file.abs_src_path)) for file in files.documentation_pages()]
    waiting += [(path, ROOT / path) for path in _PAGES]
    for path, there in _PAGES.items():
        files.append(File.generated(config, there, abs_src_path=str(ROOT / path)))
    for path in tutorials.SCRIPTS:
        script = path.read_text(encoding="utf-8")
        name = f"tutorials/{path.stem}"
        files.append(File.generated(config, f"{name}.ipynb", content=tutorials.notebook(script)))
        more = f"\n\n[This tutorial as a notebook]({path.stem}.ipynb)\n"
        text = tutorials.page(script) + more
        files.append(File.generated(config, f"{name}.md", content=text))
    for room in public_names.rooms():
        uri = f"reference/{room}.md"
        if files.get_file_from_path(uri) is None:
            text = f"# scorefold.{room}\n\n::: scorefold.{room}\n"
            files.append(File.generated(config, uri, content=text))
    while waiting:
        page, where = waiting.pop()
        for link in _links(where.read_text(encoding="utf-8")):
            path = target(page, link)
            if path is None or files.get_file_from_path(place(path)) is not None:
                continue
            if not (ROOT / path).is_file():
                continue  # the strict build says so of pages; folders have no page
            files.append(File.generated(config, place(path), abs_src_path=str(ROOT / path)))
            if path.endswith(".md"):
                waiting.append((path, ROOT / path))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    here = source(page.file)

    def follow(found: re.Match[str]) -> str:
        begin, link, anchor, end = found.groups(default="")
        if re.match(r"[a-z][a-z+.-]*:", link):
            return found.group(0)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(here), link))
        uri = path.removeprefix("docs/") if path.startswith("docs/") else place(path)
        if files.get_file_from_path(uri) is None:
            return found.group(0)
        step = posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")
        return f"{begin}{step}{anchor}{end}"

    text = _outside_fences(markdown, lambda part: _LINK.sub(follow, part))
    text = re.sub(r"^::: (scorefold(?:\.\w+)?)$", _documented, text, flags=re.M)
    return "\n".join(_apart(text))


def _documented(found: re.Match[str]) -> str:
    """Of a room, its names with all that is said of them; of the package, where each is."""
    module = found.group(1)
    paths = {name: public_names.origin(module, name) for name in public_names.names(module)}
    if module != "scorefold":
        return "\n\n".join(f"::: {path}" for path in paths.values())
    lines = ["| name | what it is |", "|---|---|"]
    for name, path in paths.items():
        said = public_names.documentation(module, name) or ""
        first = " ".join(said.split("\n\n")[0].replace("|", "\\|").split()).rstrip(":")
        where = f"{name}.md" if path == f"scorefold.{name}" else None
        lines.append(f"| {f'[{name}]({where})' if where else f'[{name}][{path}]'} | {first} |")
    rooms = [f"scorefold.{room}" for room in public_names.rooms()]
    elsewhere = {public_names.origin(r, name) for r in rooms for name in public_names.names(r)}
    elsewhere |= set(rooms)
    own = [f"\n\n::: {path}" for path in paths.values() if path not in elsewhere]
    return "\n".join(lines) + "".join(own)


def _outside_fences(markdown: str, change: Callable[[str], str]) -> str:
    parts = re.split(r"(^```.*?^```[^\n]*$)", markdown, flags=re.M | re.S)
    return "".join(part if part.startswith("```") else change(part) for part in parts)


def _apart(markdown: str) -> list[str]:
    """An empty line before each list that begins below a line of text."""
    lines: list[str] = []
    fenced = False
    for line in markdown.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        before = lines[-1] if lines else ""
        text = before.strip() and not before.startswith((" ", "|", "#")) and not _ITEM.match(before)
        if not fenced and _ITEM.match(line) and text:
            lines.append("")
        lines.append(line)
    return lines
