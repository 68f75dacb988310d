"""One file from one source: locked, with room to lie in, verified before anyone may read it."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from requests.utils import get_environ_proxies, select_proxy

from craft.data.fetch.growth import watching
from craft.data.fetch.http import http
from craft.data.fetch.sources import Policy, SourceError, address, gdrive, hub, refuse_html
from craft.files.locks import locked

log = logging.getLogger(__name__)

#: Seconds within which a host must accept a connection.
_REACH = 5.0
_PORTS = {"http": 80, "https": 443}


class SpaceError(RuntimeError):
    """The disk has no room for a file; no other source would help."""


def filename(source: Mapping[str, Any]) -> str:
    """Name of a source's file in the folder of downloads."""
    if "filename" in source:
        return source["filename"]
    path = source["file"] if source["kind"] == "hub" else unquote(urlsplit(address(source)).path)
    return PurePosixPath(path).name


def obtain(
    source: Mapping[str, Any],
    folder: Path,
    hosts: Hosts,
    *,
    unpacks: tuple[Path, int | None] = (Path(), 0),
    policy: Policy,
) -> tuple[Path, bool]:
    """Return the verified file of a source in ``folder``, and whether this call brought it.

    A file of that name that is there and has the pinned size and sums is taken as it is.
    ``unpacks`` is a folder and how many bytes must be free there as well, None for as many as the
    file has. Raises SourceError and SpaceError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / filename(source)
    with locked(folder / f".{target.name}.lock"):
        if target.is_file():
            try:
                verify(target, source)
                log.info("%s is here already", target)
                return target, False
            except SourceError as error:
                # Perhaps somebody's own file: never deleted, only put out of the way.
                aside = target.with_name(target.name + ".rejected")
                os.replace(target, aside)
                log.warning("%s; kept as %s", error, aside.name)
        if problem := hosts.problem(address(source)):
            raise SourceError(problem)
        part = target.with_name(target.name + ".part")
        if not _came_whole(part, source):
            _bring(source, part, unpacks, policy)
            try:
                with open(part, "rb") as stream:
                    refuse_html(stream.read(1024), address(source))
                verify(part, source)
            except SourceError:
                part.unlink()
                raise
        with open(part, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(part, target)
        return target, True


def _came_whole(part: Path, source: Mapping[str, Any]) -> bool:
    """Return whether an earlier call brought all of a file and was ended while it verified it."""
    pinned = source.get("bytes") and (source.get("sha256") or source.get("md5"))
    if not pinned or not part.is_file() or part.stat().st_size != source["bytes"]:
        return False
    try:
        verify(part, source)
    except SourceError:
        return False
    return True


def _bring(
    source: Mapping[str, Any], part: Path, unpacks: tuple[Path, int | None], policy: Policy
) -> None:
    total, name = source.get("bytes"), part.name.removesuffix(".part")
    folder, unpacked = unpacks

    def room(size: int) -> None:
        missing = size - (part.stat().st_size if part.exists() else 0)
        # Images hardly compress: where nobody says how many bytes, as many as their archive has.
        images = size if unpacked is None else unpacked
        if images and folder.stat().st_dev != part.parent.stat().st_dev:
            require_room(folder, images, f"what {name} holds")
            images = 0
        require_room(part.parent, missing + images, name)

    if total:
        room(total)
    log.info("%s from %s", name, address(source))
    with watching(part, total, name):
        if source["kind"] == "http":
            http(source["url"], part, policy, room)
        elif source["kind"] == "hub":
            hub(source, part, policy)
        else:
            gdrive(source, part, policy)


def require_room(folder: Path, needed: int, name: str) -> None:
    """Raise SpaceError unless the disk of ``folder`` has ``needed`` bytes free."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise SpaceError(
            f"{name} needs {needed / 1e9:.2f} GB in {folder}, unpacked images included; "
            f"{free / 1e9:.2f} GB are free"
        )


def verify(path: Path, source: Mapping[str, Any]) -> None:
    """Raise SourceError unless a file has every size and sum that its source pins."""
    expected, size = source.get("bytes"), path.stat().st_size
    if expected and size != expected:
        raise SourceError(f"{address(source)}: {size} bytes, pinned are {expected}")
    digests = {name: hashlib.new(name) for name in ("md5", "sha256") if source.get(name)}
    if digests:
        with open(path, "rb") as stream:
            while block := stream.read(1 << 20):
                for digest in digests.values():
                    digest.update(block)
    for name, digest in digests.items():
        if digest.hexdigest() != source[name]:
            raise SourceError(
                f"{address(source)}: {name} is {digest.hexdigest()}, pinned is {source[name]}"
            )


class Hosts:
    """Which hosts answer at all: asked once, all together, so that no network is known in seconds.

    Where a proxy is configured for an address, the proxy is what must answer.
    """

    def __init__(self, addresses: Iterable[str], timeout: float = _REACH) -> None:
        self._addresses, self._timeout = tuple(addresses), timeout
        self._problems: dict[tuple[str, int], str | None] | None = None

    def problem(self, url: str) -> str | None:
        """Why the host of ``url``, one of the addresses, does not answer; None if it does."""
        if self._problems is None:
            self._problems = self._ask()
        host = _endpoint(url)
        problem = self._problems.get(host)
        return f"{url}: {host[0]} cannot be reached ({problem})" if problem else None

    def _ask(self) -> dict[tuple[str, int], str | None]:
        found: dict[tuple[str, int], str | None] = {}
        hosts = {_endpoint(url) for url in self._addresses}
        threads = [
            threading.Thread(target=_connect, args=(host, self._timeout, found), daemon=True)
            for host in hosts
        ]
        for thread in threads:
            thread.start()
        # A name server that does not answer blocks longer than any timeout that can be given.
        deadline = time.monotonic() + self._timeout + 1
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return {host: found.get(host, "no answer") for host in hosts}


def _endpoint(url: str) -> tuple[str, int]:
    proxy = select_proxy(url, get_environ_proxies(url))
    parts = urlsplit(proxy if proxy and "//" in proxy else f"//{proxy}" if proxy else url)
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 80)


def _connect(
    host: tuple[str, int], timeout: float, found: dict[tuple[str, int], str | None]
) -> None:
    try:
        socket.create_connection(host, timeout=timeout).close()
        found[host] = None
    except OSError as error:
        found[host] = str(error) or type(error).__name__
