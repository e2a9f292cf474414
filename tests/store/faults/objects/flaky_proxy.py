"""Stands between an S3 client and a real server: passes requests on, and loses or replaces answers when told to."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Answer:
    """What the client gets instead of the server's answer.

    Attributes
    ----------
    status : int
        0 closes the connection without a word.
    code : str
        The error code in the body.
    acted : bool
        Whether the server was asked all the same.
    """

    status: int = 0
    code: str = ""
    acted: bool = False


Plan = Callable[[str, str, int], Answer | None]


class FlakyProxy(ThreadingHTTPServer):
    """Counts requests; `plan` gets the method, the path and the number of such requests so far (from 1)."""

    daemon_threads = True

    def __init__(self, target: str, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.target = urlsplit(target).netloc
        self.plan: Plan = lambda *_: None
        self.seen: list[tuple[str, str]] = []
        self.credentials: list[str] = []
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """A client that went away is what some tests want."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyProxy

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.server.lock:
            self.server.seen.append((self.command, self.path))
            self.server.credentials.append(self.headers.get("Authorization", ""))
            number = len([method for method, path in self.server.seen if (method, path) == (self.command, self.path)])
        instead = self.server.plan(self.command, self.path, number)
        if instead is None or instead.acted:
            status, headers, content = self._forward(body)
        if instead is None:
            self._answer(status, headers, content)
        elif instead.status == 0:
            self.close_connection = True
        else:
            text = f"<Error><Code>{instead.code}</Code><Message>{instead.code}</Message></Error>".encode()
            self._answer(instead.status, [("Content-Type", "application/xml")], text)

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.target, timeout=30)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "expect"}
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                self.send_header(name, value)
        length = next((value for name, value in headers if name.lower() == "content-length"), str(len(content)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _serve  # noqa: N815 (names that the base class looks for)


@contextmanager
def flaky_proxy(target: str, port: int = 0) -> Iterator[FlakyProxy]:
    """Run a proxy in front of `target`."""
    with FlakyProxy(target, port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join(10)
