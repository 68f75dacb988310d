"""An HTTP server on loopback that serves bytes from memory, and misbehaves on request."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: What a server may do to one GET instead of answering it as it should.
Fault = Callable[["Handler", bytes], None]


def status(code: int, **headers: str) -> Fault:
    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return fault


def cut(after: int) -> Fault:
    """Promise everything that was asked for, send ``after`` bytes of it, hang up."""

    def fault(handler: Handler, content: bytes) -> None:
        handler.whole_or_part(content, stop=after)
        handler.close_connection = True

    return fault


def page(text: str, declared: str = "text/html; charset=utf-8") -> Fault:
    def fault(handler: Handler, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", declared)
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return fault


class Site(ThreadingHTTPServer):
    """Files by path; ``faults[path]`` are taken one per GET, ``asked`` lists (path, range)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.asked: list[tuple[str, str | None]] = []
        self.pause = 0.0  # seconds between blocks of 16 KiB
        self.ranges = True  # whether Range is understood
        self.tags = True  # whether versions of a file can be told apart

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges_asked(self, path: str) -> list[str | None]:
        return [asked for name, asked in self.asked if name == path]

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that were killed are part of the tests."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append((path, self.headers.get("Range")))
        content = self.server.files.get(path)
        faults = self.server.faults[path]
        if content is not None and faults:
            faults.pop(0)(self, content)
        else:
            self.answer(body=True)

    def answer(self, body: bool) -> None:
        content = self.server.files.get(self.path.partition("?")[0])
        if content is None:
            status(404)(self, b"")
        elif body:
            self.whole_or_part(content)
        else:
            self.headers_of(content, 200, len(content))

    def whole_or_part(self, content: bytes, stop: int | None = None) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        start, code, extra = 0, 200, {}
        same = not self.server.tags or self.headers.get("If-Range", tag) == tag
        if asked and self.server.ranges and same:
            start = int(asked[1])
            if start >= len(content):
                status(416, Content_Range=f"bytes */{len(content)}")(self, b"")
                return
            code, extra = 206, {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        self.headers_of(content, code, len(content) - start, extra)
        rest = content[start:] if stop is None else content[start : start + stop]
        for position in range(0, len(rest), 1 << 14):
            self.wfile.write(rest[position : position + (1 << 14)])
            time.sleep(self.server.pause)

    def headers_of(
        self, content: bytes, code: int, length: int, extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", "application/octet-stream")
        if self.server.tags:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        # What the Hugging Face hub adds; others ignore it.
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Silent: ``Site.asked`` keeps what tests look at."""


@contextlib.contextmanager
def serving() -> Iterator[Site]:
    with Site() as site:
        thread = threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
