"""Locks between processes, which end with their process, killed or not."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from craft.files.atomic import writing

log = logging.getLogger(__name__)

#: Seconds between two looks at a lock that another process holds.
_POLL = 0.2


class Busy(RuntimeError):
    """Another process holds a lock."""


def claim(path: Path, *, wait: bool) -> FileLock:
    """Return a lock on ``path``, held until it is released or the process ends.

    Without waiting, raises Busy, which names the process that holds it. Raises WriteError if the
    file cannot be created or the disk does not support locks.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        # filelock can fall back to a lock by mere existence, which would outlive a killed process.
        lock = FileLock(path, fallback_to_soft=False, poll_interval=_POLL)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            holder = path.read_text(encoding="utf-8").strip() or "another process"
            if not wait:
                raise Busy(f"{holder} holds {path}") from None
            log.info("%s holds %s; waiting for it", holder, path)
            lock.acquire()
        path.write_text(f"process {os.getpid()} on {platform.node()}\n", encoding="utf-8")
    return lock


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock on ``path``, as :func:`claim` has it."""
    lock = claim(path, wait=wait)
    try:
        yield
    finally:
        lock.release()
