"""Cache of paid vectors on disk, by the content that was sent."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from craft.files.atomic import writing

#: Keys in one statement: SQLite limits its parameters.
_MOST = 500


class VectorCache:
    """float32 vectors by key, in an SQLite file that processes can share.

    A vector is on disk when :meth:`put` returns. With ``path`` None, they stay in memory.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.Lock()
        where = ":memory:"
        if path is not None:
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
            where = str(path)
        self._database = sqlite3.connect(where, timeout=60, check_same_thread=False)
        with self._database:
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS vectors (key TEXT PRIMARY KEY, vector BLOB NOT NULL)"
            )

    def get(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the cached vectors (E,) among those of the keys."""
        found: dict[str, np.ndarray] = {}
        with self._lock:
            for start in range(0, len(keys), _MOST):
                part = list(keys[start : start + _MOST])
                marks = ", ".join("?" * len(part))
                rows = self._database.execute(
                    f"SELECT key, vector FROM vectors WHERE key IN ({marks})", part
                )
                found |= {key: np.frombuffer(blob, np.float32) for key, blob in rows}
        return found

    def put(self, vectors: Mapping[str, np.ndarray]) -> None:
        """Store vectors (E,) under their keys."""
        rows = [(key, value.astype(np.float32).tobytes()) for key, value in vectors.items()]
        with self._lock, self._database:
            self._database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)
