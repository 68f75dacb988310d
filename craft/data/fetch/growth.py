"""Progress of a download: how far a file has grown, whichever library writes it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from craft.runtime.progress import Progress

_MB = 1e6


@contextlib.contextmanager
def watching(part: Path, total: int | None, name: str, every: float = 30.0) -> Iterator[None]:
    """Log the growth of everything whose name starts with ``part``'s while the block runs.

    ``total`` in bytes, None where unknown; ``every`` in seconds.
    """
    ended, goal = threading.Event(), total / _MB if total else None
    what = f"download of {name}"
    with Progress(what, goal, "MB", done=grown(part) / _MB, every=every) as progress:

        def watch() -> None:
            while not ended.wait(min(1.0, every)):
                progress.reach(grown(part) / _MB)

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            progress.reach(grown(part) / _MB)


def grown(part: Path) -> int:
    """Return bytes of a partial file, under any name that a library gives to it."""
    found = 0
    for path in part.parent.glob(f"{part.name}*"):
        for file in path.rglob("*") if path.is_dir() else [path]:
            with contextlib.suppress(OSError):  # renamed meanwhile
                found += file.stat().st_size if file.is_file() and not file.is_symlink() else 0
    return found
