"""``scorefold serve``: a local page on finished runs."""

import argparse
import sys

from scorefold.cli.options import whole
from scorefold.cli.parser import Parser
from scorefold.runs import RunError
from scorefold.serve import Answers, Server


def add_options(parser: Parser) -> None:
    parser.add_argument("folders", metavar="DIR", nargs="+", help="folders of runs")
    parser.add_argument("--port", type=whole(0, 65535), default=0, metavar="N",
                        help="on 127.0.0.1 (default: 0, a free one)")  # fmt: skip
    parser.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    try:
        server = Server(Answers(arguments.folders), arguments.port)
    except OSError as error:
        raise RunError(f"--port {arguments.port}: {error.strerror}; choose another.") from error
    arguments.listener.stage("stopped; nothing was written")
    print(server.url, flush=True)
    print("Open this address in a browser; Ctrl-C ends it.", file=sys.stderr)
    with server:
        server.serve_forever()
    return 0
