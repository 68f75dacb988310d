"""A bar in the log for a file that grows: size, rate and the time left, every few seconds."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

_WIDTH = 20


@contextlib.contextmanager
def watching(part: Path, total: int | None, name: str, every: float = 10.0) -> Iterator[None]:
    """Log the growth of everything whose name starts with ``part``'s while the block runs.

    ``total`` in bytes, None where unknown; ``every`` in seconds. One way for every kind of
    source: libraries that draw bars of their own are silenced, as a log is no terminal.
    """
    done = threading.Event()
    thread = threading.Thread(target=_watch, args=(part, total, name, every, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _watch(part: Path, total: int | None, name: str, every: float, done: threading.Event) -> None:
    start, begun = size(part), time.monotonic()
    while not done.wait(every):
        log.info("%s", line(name, size(part), total, start, time.monotonic() - begun))


def size(part: Path) -> int:
    """Bytes of a partial file, whichever library keeps it and whatever it calls it."""
    found = 0
    for path in part.parent.glob(f"{part.name}*"):
        for file in path.rglob("*") if path.is_dir() else [path]:
            with contextlib.suppress(OSError):  # renamed meanwhile
                found += file.stat().st_size if file.is_file() else 0
    return found


def line(name: str, here: int, total: int | None, start: int, seconds: float) -> str:
    """What is said of ``here`` bytes of ``total``, of which ``start`` were here at second 0."""
    rate = (here - start) / max(seconds, 1e-9)
    if not total:
        return f"{name}: {here / 1e6:.1f} MB, {rate / 1e6:.1f} MB/s"
    share = min(1.0, here / total)
    bar = "#" * round(_WIDTH * share) + "." * (_WIDTH - round(_WIDTH * share))
    left = f"{_clock((total - here) / rate)} left" if rate > 0 else "waiting"
    return (
        f"{name}: [{bar}] {100 * share:3.0f} %  {here / 1e6:.1f} of {total / 1e6:.1f} MB, "
        f"{rate / 1e6:.1f} MB/s, {left}"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
