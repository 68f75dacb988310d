"""Keys of users. A key is shown once; only its SHA-256 is stored."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from craft.service.database import Database

#: A fixed prefix lets scanners find leaked keys.
PREFIX = "craft_"
#: Access levels that a key can have; ``weights`` never leave the owner.
GRANTS = ("predictions", "texts", "features")

_FIELDS = (
    *("name", "created", "revoked", "query_budget", "scoring_budget", "image_budget"),
    *("calls_per_minute", "queries", "scorings", "images"),
)


class KeyProblem(ValueError):
    """A key's name or access levels are invalid."""


@dataclass(frozen=True)
class Key:
    """A key's rights, budgets and spending; a budget of None is unlimited."""

    name: str
    created: float
    revoked: float | None
    access: tuple[str, ...]
    makes_tasks: bool
    query_budget: int | None
    scoring_budget: int | None
    image_budget: int | None
    calls_per_minute: int | None
    queries: int
    scorings: int
    images: int

    @classmethod
    def of(cls, row: sqlite3.Row) -> Key:
        """Return the key of a database row."""
        fields = {name: row[name] for name in _FIELDS}
        access = tuple(json.loads(row["access"]))
        return cls(access=access, makes_tasks=bool(row["makes_tasks"]), **fields)


def _hashed(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()


def add(
    database: Database,
    name: str,
    *,
    access: Sequence[str] = ("predictions",),
    makes_tasks: bool = False,
    query_budget: int | None = None,
    scoring_budget: int | None = None,
    image_budget: int | None = None,
    calls_per_minute: int | None = None,
) -> str:
    """Add a key and return its secret, which is not stored. Raises KeyProblem for a used name."""
    if unknown := set(access) - set(GRANTS):
        raise KeyProblem(f"access: expected some of {', '.join(GRANTS)}, got {min(unknown)!r}")
    secret = PREFIX + secrets.token_urlsafe(32)
    granted = json.dumps([level for level in GRANTS if level in access])
    try:
        with database.writing() as opened:
            opened.execute(
                "INSERT INTO keys (name, sha256, created, access, makes_tasks, query_budget,"
                " scoring_budget, image_budget, calls_per_minute) VALUES (?,?,?,?,?,?,?,?,?)",
                (
                    *(name, _hashed(secret), time.time(), granted, makes_tasks),
                    *(query_budget, scoring_budget, image_budget, calls_per_minute),
                ),
            )
    except sqlite3.IntegrityError:
        raise KeyProblem(f"key: expected an unused name, got {name!r}") from None
    return secret


def listed(database: Database) -> list[Key]:
    """Return all keys, including revoked ones, sorted by name."""
    with database.reading() as opened:
        return [Key.of(row) for row in opened.execute("SELECT * FROM keys ORDER BY name")]


def revoke(database: Database, name: str) -> None:
    """Revoke a key at once; raises KeyProblem for an unknown or revoked name."""
    with database.writing() as opened:
        done = opened.execute(
            "UPDATE keys SET revoked = ? WHERE name = ? AND revoked IS NULL", (time.time(), name)
        )
    if not done.rowcount:
        raise KeyProblem(f"key: expected the name of a key that is not revoked, got {name!r}")


def recognised(database: Database, secret: str) -> Key | None:
    """Return the key of a secret; None, after the same work, for a wrong or revoked one."""
    hashed = _hashed(secret)
    with database.reading() as opened:
        row = opened.execute("SELECT * FROM keys WHERE sha256 = ?", (hashed,)).fetchone()
    same = hmac.compare_digest(row["sha256"] if row else bytes(len(hashed)), hashed)
    return Key.of(row) if row and same and row["revoked"] is None else None


def take_call(database: Database, key: Key, clock: Callable[[], float] = time.time) -> float | None:
    """Count a call against a key's rate; return the seconds to wait if the rate is exceeded.

    A token bucket of one minute's calls refills evenly. Setting the clock back refills nothing;
    setting it forward refills the bucket at most once.
    """
    if not key.calls_per_minute:
        return None
    most, now = float(key.calls_per_minute), clock()
    with database.writing() as opened:
        row = opened.execute(
            "SELECT calls_left, refilled FROM keys WHERE name = ?", (key.name,)
        ).fetchone()
        passed = max(0.0, now - row["refilled"]) if row["refilled"] is not None else 60.0
        left = min(most, (row["calls_left"] or 0.0) + passed * most / 60)
        wait = None if left >= 1 else (1 - left) * 60 / most
        opened.execute(
            "UPDATE keys SET calls_left = ?, refilled = ? WHERE name = ?",
            (left - 1 if wait is None else left, now, key.name),
        )
    return wait
