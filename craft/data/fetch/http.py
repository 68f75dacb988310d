"""A file over HTTP: continued where it was cut, tried again where that may help."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import HTTPError as StreamError

from craft.data.fetch.sources import Policy, SourceError, refuse_html
from craft.files.atomic import write_json, writing

log = logging.getLogger(__name__)

#: Answers after which the same request may succeed.
_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
#: Errors that no further attempt mends.
_FINAL = (
    requests.exceptions.SSLError,
    requests.exceptions.TooManyRedirects,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidSchema,
)
_BLOCK = 1 << 18
#: Bytes that an attempt must bring for the count of failures to start anew.
_HEADWAY = 1 << 20


def http(
    url: str, part: Path, policy: Policy, room: Callable[[int], None] = lambda total: None
) -> None:
    """Bring ``url`` to ``part``, continuing what is there if it is of the same file.

    ``room`` is called with the total number of bytes, where the server says it, before the first
    is written, and may raise. Raises SourceError when the server refuses or attempts run out.
    """
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(url, part, policy, room)
            return
        except _FINAL as error:
            raise SourceError(f"{url}: {error}") from error
        except (requests.RequestException, StreamError, TimeoutError, ConnectionError) as error:
            # A 39 GB file may be cut often: attempts that bring something are not counted.
            failures = 1 if _size(part) - before >= _HEADWAY else failures + 1
            if failures >= policy.attempts:
                raise SourceError(f"{url}: {failures} failed attempts, last: {error}") from error
            delay = min(policy.longest_wait, policy.wait * 2 ** (failures - 1))
            delay = _asked(error, policy) or delay * random.uniform(0.5, 1)
            log.info("%s: %s; trying again in %.1f s", url, error, delay)
            time.sleep(delay)


def _attempt(url: str, part: Path, policy: Policy, room: Callable[[int], None]) -> None:
    """One request; raises an error of requests or urllib3 where another may help."""
    state = _State.of(part, url)
    # Identity: a checksum is of the bytes as published, and ranges count those.
    headers = {"Accept-Encoding": "identity"} | state.headers()
    timeout = (policy.connect_timeout, policy.read_timeout)
    with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
        if response.status_code in _TRANSIENT:
            raise requests.HTTPError(f"status {response.status_code}", response=response)
        if response.status_code == 416:
            # What is here does not fit the file there.
            state.restart()
            raise requests.HTTPError("the range was refused, starting anew", response=response)
        if response.status_code not in (200, 206):
            raise SourceError(f"{url}: status {response.status_code} {response.reason}")
        continued = response.status_code == 206
        total = _total(response)
        if continued and not state.continues(response, total):
            state.restart()
            raise requests.HTTPError("the file has changed there, starting anew", response=response)
        if not continued:
            state.begin(response, total)
        if total is not None:
            room(total)
        # Unbuffered, and by read1, so that all that came is here when the connection ends.
        mode = "ab" if continued else "wb"
        with writing(part), open(part, mode, buffering=0) as stream:
            first = not continued
            # Not decoded: some servers declare a .tar.gz as a .tar that is sent compressed.
            while block := memoryview(response.raw.read1(_BLOCK, decode_content=False)):
                if first:
                    refuse_html(block.tobytes(), url, response.headers.get("Content-Type", ""))
                    first = False
                while block:  # a disk that is nearly full takes a part of it
                    block = block[stream.write(block) :]
    if total is not None and _size(part) != total:
        raise requests.ConnectionError(f"{_size(part)} of {total} bytes came")
    state.forget()


class _State:
    """What is known of a partial file: where it comes from and which version of it it is."""

    def __init__(self, part: Path, url: str, known: dict[str, Any]) -> None:
        self._part, self._url, self._known = part, url, known
        self._path = part.with_name(part.name + ".json")

    @classmethod
    def of(cls, part: Path, url: str) -> _State:
        state = cls(part, url, {})
        try:
            known = json.loads(state._path.read_text(encoding="utf-8"))
            if known.get("url") == url and _size(part):
                state._known = known
        except (OSError, ValueError, AttributeError):
            pass  # nothing is known: the file is fetched from its start
        return state

    def headers(self) -> dict[str, str]:
        """Headers that ask for the rest, if it is the rest of what is here."""
        if not self._known:
            return {}
        asked = {"Range": f"bytes={_size(self._part)}-"}
        version = self._known.get("version")
        return asked | ({"If-Range": version} if version else {})

    def continues(self, response: requests.Response, total: int | None) -> bool:
        """Return whether a 206 starts where the partial file ends, in a file of the same size."""
        start = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        return (
            start is not None
            and int(start[1]) == _size(self._part)
            and total is not None
            and total == self._known.get("total")
        )

    def begin(self, response: requests.Response, total: int | None) -> None:
        """Remember the version that a whole answer brings."""
        tag = response.headers.get("ETag", "")
        # A weak tag does not promise equal bytes.
        version = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        self._known = {"url": self._url, "version": version, "total": total}
        write_json(self._path, self._known)

    def restart(self) -> None:
        """Drop what is here."""
        self._part.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        self._path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _total(response: requests.Response) -> int | None:
    """Bytes of the whole file, where the server says it."""
    if response.status_code == 206:
        found = re.search(r"/(\d+)$", response.headers.get("Content-Range", ""))
        return int(found[1]) if found else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdigit() else None


def _asked(error: Exception, policy: Policy) -> float:
    """Seconds that a busy server asks to wait, 0 where it asks for none."""
    response = getattr(error, "response", None)
    asked = response.headers.get("Retry-After", "") if response is not None else ""
    return min(float(asked), policy.longest_wait) if asked.isdigit() else 0.0
