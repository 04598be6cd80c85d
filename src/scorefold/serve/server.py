"""HTTP on 127.0.0.1, for who knows the token."""

from __future__ import annotations

import contextlib
import json
import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from scorefold._oneline import one_line
from scorefold._types import Document
from scorefold.serve.answers import Answers, Asked

_ADDRESS = "127.0.0.1"
_LARGEST = 8 * 2**20
_DIGITS = 10
_TIMEOUT = 30.0
_HTML = "text/html; charset=utf-8"


class Server(ThreadingHTTPServer):
    """The page and the answers. ``url`` holds the token; nothing is answered without it, nothing is
    written, and only 127.0.0.1 is listened on. ``port`` 0: a free one.

    **Raises:** ``OSError`` for a port that is taken.
    """

    daemon_threads = True

    def __init__(self, answers: Answers, port: int = 0) -> None:
        self.answers, self.token = answers, secrets.token_urlsafe(24)
        super().__init__((_ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        return f"http://{_ADDRESS}:{self.server_port}/?token={self.token}"

    @property
    def hosts(self) -> set[str]:
        """What a browser may call this: another name would be another site's, led here."""
        return {f"{name}:{self.server_port}" for name in (_ADDRESS, "localhost")}


class _Handler(BaseHTTPRequestHandler):
    server: Server
    server_version, sys_version = "scorefold", ""
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        path = self._permitted()
        if path is None:
            return
        if path == "/":
            page = files("scorefold.serve").joinpath("page.html").read_bytes()
            self._send(HTTPStatus.OK, page, _HTML)
            return
        name = path.removeprefix("/report/")
        run = self.server.answers.runs.get(name) if name != path else None
        if run is None or not run.file("report.html").is_file():
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page.")
            return
        self._send(HTTPStatus.OK, Path(run.file("report.html")).read_bytes(), _HTML)

    def do_POST(self) -> None:
        path = self._permitted()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a length of the question is asked for.")
            return
        if len(length) > _DIGITS or int(length) > _LARGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {_LARGEST} bytes.")
            return
        if not path.startswith("/ask/"):
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such question.")
            return
        try:
            asked = json.loads(self.rfile.read(int(length)) or b"{}")
            if not isinstance(asked, dict):
                raise Asked("a JSON object is asked for.")
            found = self.server.answers.answer(path.removeprefix("/ask/"), asked)
        except (ValueError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, one_line(error))
            return
        except Exception as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR,
                         one_line(f"{type(error).__name__}: {error}"))  # fmt: skip
            return
        self._json(HTTPStatus.OK, found)

    def _permitted(self) -> str | None:
        """The path, for who knows the token and came here by name."""
        try:
            parts = urlsplit(self.path)
        except ValueError:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is no address.")
            return None
        token = parse_qs(parts.query).get("token", [""])[0]
        if {*self.headers.get_all("Host", [""])} - self.server.hosts:
            self._refuse(HTTPStatus.FORBIDDEN, "this is a page of 127.0.0.1.")
        elif not secrets.compare_digest(token.encode(), self.server.token.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, "open the address that the command printed.")
        else:
            return unquote(parts.path)
        return None

    def _refuse(self, status: HTTPStatus, line: str) -> None:
        self.close_connection = True
        self._json(status, {"error": line})

    def _json(self, status: HTTPStatus, document: Document) -> None:
        self._send(status, json.dumps(document, allow_nan=False).encode(), "application/json")

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Content-Security-Policy",
             "default-src 'self' 'unsafe-inline' data: blob:; connect-src 'self'; "
             "frame-ancestors 'self'; base-uri 'none'; form-action 'none'"),
        ):  # fmt: skip
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        """Who has gone needs no answer."""
        with contextlib.suppress(ConnectionError, TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the address holds the token."""
