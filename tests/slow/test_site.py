"""The site is built without a warning, and its pages ask no other host for anything."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason='the extra "docs" is not installed')
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import public_names  # noqa: E402


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr[-3000:]
    return folder


def loaded(text):
    """Addresses in a page that a browser loads by itself: all but the links of ``<a>``."""
    tags = re.findall(r"<(?!a\b|/)\w[^>]*>", text)
    return [url for tag in tags for url in re.findall(r"""(?:src|href|data)=["']([^"']+)""", tag)]


def test_what_a_page_loads_lies_in_the_site(site):
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # served from an unknown place: its addresses begin at the root
            continue
        for url in loaded(page.read_text()):
            assert not re.match(r"https?:|//", url), (page.name, url)
            if not url.startswith(("data:", "#", "mailto:")):
                there = page.parent / re.split(r"[?#]", url)[0]
                assert there.exists(), (page.name, url)


def test_styles_load_nothing_from_elsewhere(site):
    for sheet in site.rglob("*.css"):
        for url in re.findall(r"url\(([^)]*)\)|@import\s+([^;]+)", sheet.read_text()):
            assert not re.match(r"""["']?(?:https?:|//)""", "".join(url)), (sheet.name, url)


def test_scripts_of_ours_name_no_host_and_what_the_theme_would_fetch_is_off(site):
    """The theme fetches facts of a repository, and a library where a page draws diagrams."""
    for script in site.rglob("*.js"):
        if "assets/javascripts" not in script.as_posix() and "search" not in script.as_posix():
            hosts = set(re.findall(r"https?://([a-z0-9.-]+\.[a-z]+)", script.read_text()))
            assert hosts <= {"www.w3.org"}, script.name  # names of namespaces
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert 'class="mermaid"' not in text and 'data-md-component="source"' not in text


def test_every_public_name_is_on_a_page(site):
    for room in public_names.rooms():
        page = (site / "reference" / f"{room}.html").read_text()
        for name in public_names.names(f"scorefold.{room}"):
            assert f'id="{public_names.origin(f"scorefold.{room}", name)}"' in page, name


@pytest.mark.parametrize("module", ["", *(f".{room}" for room in public_names.rooms())])
def test_names_that_are_read_are_those_of_the_package(module):
    """``public_names`` reads the source; the package itself says the same."""
    found = import_module(f"scorefold{module}").__all__
    assert set(public_names.names(f"scorefold{module}")) == set(found)
