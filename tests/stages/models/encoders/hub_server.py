"""A model hub on this machine: the few routes that fetching a model asks for, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """Models at one commit: id -> file name -> content; `asked` lists every request, `gated` the ids that refuse."""

    models: Mapping[str, Mapping[str, bytes]]
    gated: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body."""
        match = re.fullmatch(r"/api/models/(.+)/tree/(\w+)|/(.+)/resolve/(\w+)/(.+)", path)
        if match is None:
            return 404, {}, b""
        model, commit = match[1] or match[3], match[2] or match[4]
        if model in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        if model not in self.models:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if commit != COMMIT:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        return _tree(self.models[model]) if match[1] else _file(self.models[model], match[5])


def _tree(files: Mapping[str, bytes]) -> tuple[int, dict[str, str], bytes]:
    listed = json.dumps([_entry(*each) for each in files.items()])
    return 200, {"Content-Type": "application/json"}, listed.encode()


def _file(files: Mapping[str, bytes], name: str) -> tuple[int, dict[str, str], bytes]:
    if name not in files:
        return 404, {"X-Error-Code": "EntryNotFound"}, b""
    return 200, {"ETag": f'"{_blob(files[name])}"', "X-Repo-Commit": COMMIT}, files[name]


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 (git's own name for it)


def _entry(name: str, content: bytes) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(content), "oid": _blob(content)}


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Serve until the block ends; `hub.url` is the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            hub.asked.append(f"{self.command} {path}")
            status, headers, body = hub.answer(path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
