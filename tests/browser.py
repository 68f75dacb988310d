"""A headless Chromium that a test drives over a pipe, and a server of files on the loopback."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium here (Debian: apt-get install chromium)"
)

#: Kinds of messages that a page without a fault does not write.
FAULTS = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")


class Browser:
    """One page, spoken to by the DevTools protocol (JSON, ended by a zero byte)."""

    def __init__(self, profile: Path) -> None:
        read, self._write = os.pipe()
        self._read, write = os.pipe()
        moved = f'exec 3<&{read} 4>&{write}; exec "$@"'
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        options += [f"--user-data-dir={profile}", "--no-first-run", "--disable-dev-shm-usage"]
        # No name is looked up and no other host is asked: what a page loads must be its own.
        options += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
        self._process = subprocess.Popen(
            ["bash", "-c", moved, "chromium", CHROMIUM, *options],
            pass_fds=(read, write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read)
        os.close(write)
        self._pending, self._count, self._session = b"", 0, None
        self.events: list[dict[str, Any]] = []
        targets = self.call("Target.getTargets")["targetInfos"]
        (page,) = [each["targetId"] for each in targets if each["type"] == "page"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The result of a command; events that come before it are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._pending:
            more = os.read(self._read, 1 << 20)
            assert more, "the browser has ended"
            self._pending += more
        text, _, self._pending = self._pending.partition(b"\0")
        return json.loads(text)

    def open(self, url: str, width: int = 1280, height: int = 900) -> None:
        """Open a page in a window of this size, and wait until it is loaded."""
        metrics = {"deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, **metrics)
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait("document.readyState == 'complete'")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, or of the promise that it gives."""
        found = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, seconds: float = 30) -> Any:
        """The first value of an expression that is true; fails where none is in time."""
        end = time.monotonic() + seconds
        while not (found := self.evaluate(expression)):
            assert time.monotonic() < end, f"never true: {expression}"
            time.sleep(0.1)
        return found

    def faults(self) -> list[str]:
        """Errors and warnings that the page wrote, and what it asked of other hosts."""
        self.evaluate("1")  # what happened so far has been reported
        found = []
        for event in self.events:
            said = event.get("params", {})
            level = said.get("entry", said).get("level", said.get("type", "error"))
            if event["method"] in FAULTS and level in ("error", "warning", "assert"):
                found.append(json.dumps(said)[:500])
            if event["method"] == "Network.requestWillBeSent":
                url = said["request"]["url"]
                if not url.startswith(("http://127.0.0.1:", "file:", "data:", "blob:")):
                    found.append(f"asked another host: {url}")
        return found

    def screenshot(self, path: Path, whole: bool = True) -> None:
        """Keep a picture of the page, all of it or what the window shows."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(b64decode(found["data"]))

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(BrokenPipeError):
            self._session = None
            self.call("Browser.close")
        self._process.wait(30)
        os.close(self._write)
        os.close(self._read)


@contextlib.contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser that ends with the block."""
    opened = Browser(profile)
    try:
        yield opened
    finally:
        opened.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a folder's files on the loopback."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
