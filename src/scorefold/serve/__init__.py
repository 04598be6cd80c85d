"""A local page on finished runs: draws, densities, cuts, comparisons. Read-only, for one's own
browser.

    scorefold serve RUN RUN …

``answers.py`` computes, ``server.py`` speaks HTTP on 127.0.0.1 to who knows the token, and
``page.html`` asks.
"""

from scorefold.serve.answers import Answers, Asked
from scorefold.serve.server import Server

__all__ = ["Answers", "Asked", "Server"]
