"""Charges: one transaction records a question with its price, so that a replay costs nothing.

The answer depends only on the question, so it is computed again and never stored.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from craft.service.database import Database
from craft.service.keys import Key

#: Days for which a replay is free.
KEPT_DAYS = 30


@dataclass(frozen=True)
class Price:
    """The price of a question."""

    queries: int
    scorings: int  # images x contexts


@dataclass(frozen=True)
class Receipt:
    """The charged queries, and those left in the budget; None is unlimited."""

    queries: int
    left: int | None


class BudgetSpent(RuntimeError):
    """A question would exceed a budget; nothing was charged."""

    def __init__(self, what: str, spent: int, asked: int, budget: int) -> None:
        self.facts = {"spent": spent, "asked": asked, "budget": budget, "left": budget - spent}
        super().__init__(f"{what}: {spent} spent and {asked} asked of a budget of {budget}")


class Reused(RuntimeError):
    """An idempotency key was reused for another question."""


def charge(
    database: Database,
    key: Key,
    idempotency: str,
    payload: str,
    price: Price,
    purpose: str,
    image_set: str,
) -> Receipt:
    """Charge a question unless it is a replay; return the receipt.

    ``payload`` is a hash of everything that decides the answer. Raises BudgetSpent and Reused.
    """
    with database.writing() as opened:
        known = opened.execute(
            "SELECT payload FROM charges WHERE key = ? AND idempotency = ?", (key.name, idempotency)
        ).fetchone()
        if known:
            if known["payload"] != payload:
                raise Reused(
                    f"{idempotency!r}: expected the question of its first use, got another"
                )
            price = Price(0, 0)
        row = opened.execute("SELECT * FROM keys WHERE name = ?", (key.name,)).fetchone()
        budget = row["query_budget"]
        left = None if budget is None else budget - row["queries"] - price.queries
        if known:
            return Receipt(0, left)
        for what, asked in (("query", price.queries), ("scoring", price.scorings)):
            spent = row["queries" if what == "query" else "scorings"]
            budget = row[f"{what}_budget"]
            if budget is not None and spent + asked > budget:
                raise BudgetSpent(f"{what} budget", spent, asked, budget)
        opened.execute(
            "INSERT INTO charges VALUES (?, ?, ?, ?)", (key.name, idempotency, payload, time.time())
        )
        opened.execute(
            "UPDATE keys SET queries = queries + ?, scorings = scorings + ? WHERE name = ?",
            (price.queries, price.scorings, key.name),
        )
        opened.execute(
            "INSERT INTO usage VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " queries = queries + excluded.queries, scorings = scorings + excluded.scorings",
            (key.name, purpose, image_set, price.queries, price.scorings),
        )
    return Receipt(price.queries, left)


def usage(database: Database, name: str) -> dict[str, Any]:
    """Return a key's spending by purpose and image set, and the rest of its budgets."""
    with database.reading() as opened:
        row = opened.execute("SELECT * FROM keys WHERE name = ?", (name,)).fetchone()
        parts = opened.execute(
            "SELECT purpose, image_set, queries, scorings FROM usage WHERE key = ?", (name,)
        ).fetchall()
    found: dict[str, Any] = {"by": [dict(part) for part in parts], "resets": None}
    for what, one in (("queries", "query"), ("scorings", "scoring"), ("images", "image")):
        budget = row[f"{one}_budget"]
        left = None if budget is None else budget - row[what]
        found[what] = {"spent": row[what], "budget": budget, "left": left}
    return found


def forget_old(database: Database) -> None:
    """Delete records for replays older than KEPT_DAYS; the spending stays."""
    with database.writing() as opened:
        opened.execute("DELETE FROM charges WHERE at < ?", (time.time() - KEPT_DAYS * 86_400,))
