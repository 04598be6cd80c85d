"""The part of a page that is explored, as HTML: what its script fills, and the script itself."""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources

from scorefold.report.explore.encode import script_json
from scorefold.report.explore.scene import Scene

_SCRIPTS = (
    "three.min.js", "arrays.js", "surfaces.js", "layers.js", "labels.js", "viewer.js",
    "pointer.js", "panel.js", "charts.js", "start.js",
)  # fmt: skip
"""One after the other they are one script: each uses what those before it define."""

_SECTION = """<section id="explore" class="explore" aria-labelledby="explore-title" hidden>
<h2 id="explore-title">Explore</h2>
<p class="missing" hidden>This browser has no WebGL: the pictures below show the same laws.</p>
<div class="stage" hidden>
<div class="row choose"></div>
<div class="view"><canvas tabindex="0" role="application"></canvas>
<div class="overlay" aria-hidden="true"></div></div>
<p class="readout"></p><p class="spoken" aria-live="polite"></p>
<div class="player" hidden></div>
<fieldset class="toggles"><legend>Show</legend></fieldset>
<div class="row"><div class="turning" role="group" aria-label="turn and zoom"></div>
<div class="bar" hidden><div class="colours"></div>
<div class="ends"><span class="low"></span><span class="unit"></span>
<span class="high"></span></div>
</div></div></div>
<div class="charts"></div>
</section>
"""


@functools.lru_cache(maxsize=1)
def script() -> str:
    """The script of the page: three.js (its licence lies beside it), and the files that use it."""
    folder = resources.files(__package__).joinpath("page")
    first, *rest = (folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    return f'{first}\n(() => {{\n"use strict";\n{"".join(rest)}}})();\n'


@functools.lru_cache(maxsize=1)
def style() -> str:
    """The style sheet of what is explored."""
    return resources.files(__package__).joinpath("page", "explore.css").read_text("utf-8")


@functools.lru_cache(maxsize=1)
def script_policy() -> str:
    """What a content security policy says to let this script run, and no other."""
    digest = hashlib.sha256(script().encode()).digest()
    return f"script-src 'sha256-{base64.b64encode(digest).decode('ascii')}'"


def section() -> str:
    """What is explored, hidden until the script has made it."""
    return _SECTION


def data_and_script(scene: Scene) -> str:
    """What the end of the body holds."""
    data = script_json(scene.document())
    return (
        f'<script type="application/json" id="scene">{data}</script>\n<script>{script()}</script>'
    )
