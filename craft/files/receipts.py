"""Receipts: a record of what a file was made from, beside the file.

A receipt is the hidden file ``.NAME.receipt`` beside ``NAME``. It holds the SHA-256 of the file,
the key of the job that made it (a hash of its settings and its code) and one hash over the files
that the job read; for readers it also names these files, the command, its times and its versions.
Run records and scores hold the same of themselves and have no receipt.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.files.atomic import (
    RecordError,
    content_sha256,
    read_json,
    read_sealed,
    sha256,
    write_json,
    write_sealed,
)
from craft.runtime.provenance import timestamp, versions

#: When this process had loaded its first module that keeps receipts.
_STARTED = timestamp()

#: Seconds after which a file's times tell a later change for sure: disks round them.
_SETTLED = 2.0


def receipt_of(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file's receipt."""
    path = Path(path)
    return path.with_name(f".{path.name}.receipt")


@dataclass(frozen=True)
class Job:
    """A job that writes receipts: its key and its command."""

    key: str
    command: str


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Add the argument with the key of the command's job."""
    parser.add_argument(
        "--receipt",
        type=lambda key: Job(key, parser.prog),
        metavar="KEY",
        help="keep a receipt with this key",
    )


def write(
    outputs: Iterable[Path | str],
    job: Job | None,
    inputs: Iterable[Path | str],
    hashes: Iterable[str] = (),
) -> None:
    """Write the receipt of each file that was just made from ``inputs``; none without a job.

    Inputs that are missing count as such, as they do in :func:`problem`. ``hashes`` stand for what
    was read besides, such as the state of images. Files that were read are named by their paths
    from the folder of the output, so that a receipt holds after results were moved.
    """
    if job is None:
        return
    index = Index()
    found = {os.fspath(path): index.sha256(path) for path in inputs}
    digest = combined([*found.values(), *hashes])
    made = {"command": job.command, "started": _STARTED, "ended": timestamp()}
    for path in outputs:
        folder = os.path.dirname(os.path.abspath(path))
        read = {os.path.relpath(each, folder): found[each] for each in sorted(found)}
        said = {"key": job.key, "inputs": digest, "sha256": sha256(path), "read": read, **made}
        write_sealed(receipt_of(path), said | {"versions": versions()})


def combined(hashes: Iterable[str | None]) -> str:
    """Return one hash over those of several files, in any order; missing files count too."""
    return hashlib.sha256("\n".join(sorted({str(each) for each in hashes})).encode()).hexdigest()


class Index:
    """Checksums of files and passed checks, looked up by size, times and inode of the files.

    ``path`` keeps them from one call to the next. A file that changed less than two seconds before
    it was looked at is read again the next time, as its times may not tell a further change.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path, self._now = path, time.time()
        self._sha256: dict[str, str] = {}
        self._passed: set[str] = set()
        self._kept: dict[str, Any] = {}
        if path and path.exists():
            try:
                kept = read_json(path)
                self._sha256, self._passed = dict(kept["sha256"]), set(kept["passed"])
                self._kept = kept
            except (RecordError, KeyError, TypeError, ValueError):
                pass  # it only saves time
        self._states: dict[str, tuple[str, bool]] = {}
        self._used: dict[str, str] = {}
        self._good: set[str] = set()

    def state(self, path: str | os.PathLike[str]) -> str:
        """Return the metadata that identify a file's content; empty without a file."""
        return self._state(path)[0]

    def _state(self, path: str | os.PathLike[str]) -> tuple[str, bool]:
        name = os.fspath(path)
        if name not in self._states:
            try:
                found = os.stat(name)
                times = found.st_mtime_ns, found.st_ctime_ns
                settled = max(times) < (self._now - _SETTLED) * 1e9
                text = f"{name}|{found.st_ino}|{found.st_size}|{times[0]}|{times[1]}"
                self._states[name] = text, settled
            except OSError:
                self._states[name] = "", True
        return self._states[name]

    def sha256(self, path: str | os.PathLike[str]) -> str | None:
        """Return the hex SHA-256 of a file; None if it cannot be read."""
        state, settled = self._state(path)
        if not state:
            return None
        if state not in self._used:
            found = self._sha256.get(state)
            if found is None:
                try:
                    found = sha256(path)
                except OSError:
                    return None
            if not settled:
                return found
            self._used[state] = found
        return self._used[state]

    def passes(
        self,
        files: Sequence[str | os.PathLike[str]],
        expected: Any,
        check: Callable[[], str | None],
    ) -> str | None:
        """Return the problem that ``check`` finds in ``files``; skip unchanged files.

        ``expected`` holds everything that the check compares, as JSON values.
        """
        states = [self._state(path) for path in files]
        text = content_sha256({"expected": expected, "states": [state for state, _ in states]})
        if text not in self._passed and (problem := check()):
            return problem
        if all(settled for _, settled in states):
            self._good.add(text)
        return None

    def save(self) -> None:
        """Save new entries, if the folder exists."""
        now = {"sha256": self._used, "passed": sorted(self._good)}
        if self._path and self._path.parent.is_dir() and now != self._kept:
            with contextlib.suppress(OSError):  # it only saves time
                write_json(self._path, now)


def problem(
    path: str | os.PathLike[str],
    key: str,
    inputs: Sequence[str],
    hashes: Sequence[str | None],
    index: Index,
) -> str | None:
    """Return the problem of a file by its receipt; None if that job made it from those files."""
    digest = combined([*map(index.sha256, inputs), *hashes])

    def check() -> str | None:
        try:
            receipt = read_sealed(receipt_of(path))
        except RecordError:
            return "no receipt says what it was made from"
        if receipt.get("key") != key:
            return "its settings or its code have changed"
        if receipt.get("inputs") != digest:
            return "a file that it was made from has changed"
        if receipt.get("sha256") != index.sha256(path):
            return "it was edited or replaced"
        return None

    return index.passes([path, receipt_of(path)], [key, digest], check)
