"""The SQLite file of a service: keys, their spending, tasks and image sets.

Several servers can share it. A committed transaction is on disk (WAL, synchronous FULL).
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

#: Version of the layout, written to the file.
VERSION = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS keys (
    name TEXT PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE,
    created REAL NOT NULL,
    revoked REAL,
    access TEXT NOT NULL,
    makes_tasks INTEGER NOT NULL,
    query_budget INTEGER,
    scoring_budget INTEGER,
    image_budget INTEGER,
    calls_per_minute INTEGER,
    queries INTEGER NOT NULL DEFAULT 0,
    scorings INTEGER NOT NULL DEFAULT 0,
    images INTEGER NOT NULL DEFAULT 0,
    calls_left REAL,
    refilled REAL
);
CREATE TABLE IF NOT EXISTS charges (
    key TEXT NOT NULL,
    idempotency TEXT NOT NULL,
    payload TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (key, idempotency)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS usage (
    key TEXT NOT NULL,
    purpose TEXT NOT NULL,
    image_set TEXT NOT NULL,
    queries INTEGER NOT NULL,
    scorings INTEGER NOT NULL,
    PRIMARY KEY (key, purpose, image_set)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_sets (
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    revision TEXT NOT NULL,
    images INTEGER NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (key, name)
) WITHOUT ROWID;
"""


class DatabaseError(RuntimeError):
    """The file is not a service's database, or has another version."""


class Database:
    """A service's SQLite file, created if missing. Raises DatabaseError for another file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Only the owner may read the keys' hashes and the names of users.
            path.touch(mode=0o600)
            with contextlib.closing(self._connect()) as opened:
                (found,) = opened.execute("PRAGMA user_version").fetchone()
                (tables,) = opened.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if found != VERSION and (found or tables):
                    raise DatabaseError(f"{path}: expected version {VERSION}, got {found}")
                opened.execute("PRAGMA journal_mode = WAL")
                opened.executescript(f"{_TABLES} PRAGMA user_version = {VERSION};")
        except sqlite3.DatabaseError as error:
            raise DatabaseError(f"{path}: expected a service's SQLite file ({error})") from error

    def _connect(self) -> sqlite3.Connection:
        opened = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        opened.row_factory = sqlite3.Row
        opened.execute("PRAGMA synchronous = FULL")
        return opened

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection for reading."""
        with contextlib.closing(self._connect()) as opened:
            yield opened

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection in an exclusive write transaction; an error rolls it back."""
        with contextlib.closing(self._connect()) as opened:
            opened.execute("BEGIN IMMEDIATE")
            try:
                yield opened
            except BaseException:
                opened.execute("ROLLBACK")
                raise
            opened.execute("COMMIT")
