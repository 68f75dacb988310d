"""State of the image files that a job encodes: paths, sizes and modification times.

To compare the content of a million images would take as long as to encode them.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from craft.data.manifest import image_root
from craft.files.atomic import RecordError
from craft.files.datasets import Split

#: Files that one thread looks up at a time, and threads: a network disk answers each one late.
_CHUNK, _THREADS = 1000, 16


def fingerprint(folder: Path, paths: Iterable[str]) -> str:
    """Return a SHA-256 over path, size and modification time of files below ``folder``.

    Their order does not count. A missing file counts as missing.
    """
    names = sorted(set(paths))
    chunks = [names[first : first + _CHUNK] for first in range(0, len(names), _CHUNK)]
    digest = hashlib.sha256()
    with ThreadPoolExecutor(_THREADS) as pool:
        for states in pool.map(functools.partial(_states, os.fspath(folder)), chunks):
            digest.update(states)
    return digest.hexdigest()


def _states(folder: str, names: Sequence[str]) -> bytes:
    return b"".join(_state(folder, name) for name in names)


def _state(folder: str, name: str) -> bytes:
    try:
        found = os.stat(os.path.join(folder, name))
    except OSError:
        return os.fsencode(name) + b"\0missing\0"
    return os.fsencode(name) + f"\0{found.st_size} {found.st_mtime_ns}\0".encode()


def current_images(
    facts: Mapping[str, Any], root: Path, manifest: Path, part: str, splits: Sequence[Path] = ()
) -> str | None:
    """Return the fingerprint of the images of a part that would be encoded now.

    ``root`` is the data set's tree; with ``splits`` only what they draw is encoded. None where the
    manifest or a split is not there yet, or cannot be read: then a job makes it first.
    """
    try:
        states = tuple((path, path.stat().st_mtime_ns) for path in (manifest, *splits))
        return _fingerprint(image_root(root, facts), part, states)
    except (OSError, RecordError):
        return None


@functools.cache
def _fingerprint(folder: Path, part: str, states: tuple[tuple[Path, int], ...]) -> str:
    """Once per state of the files that list the images, for all backbones that encode them."""
    (manifest, _), *splits = states
    if splits:
        drawn = (path for split, _ in splits for path in Split.read(split).paths)
        return fingerprint(folder, drawn)
    return fingerprint(folder, _listed(manifest, part))


def _listed(manifest: Path, part: str) -> list[str]:
    """Paths of one part, line by line: that of ImageNet is 50,000 of 1.3 million."""
    try:
        with open(manifest, encoding="utf-8", newline="") as stream:
            rows = csv.reader(stream)
            header = next(rows, [])
            path, split = header.index("path"), header.index("split")
            return [row[path] for row in rows if row[split] == part]
    except (ValueError, IndexError) as error:
        raise RecordError(f"{manifest}: not a readable manifest ({error!r})") from error
