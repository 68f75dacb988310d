"""Tasks in the database: the owner's, for every key, and each key's own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from craft.service.database import Database
from craft.service.model import Task

#: Name in place of a key for the owner's tasks and image sets, which every key can use.
OWNER = ""


class TaskError(ValueError):
    """The name belongs to another task, or there are too many tasks."""


def store(
    database: Database, key: str, name: str, task: Task, context_length: int, most: int
) -> bool:
    """Store a task under a name; return whether it is new. Raises TaskError."""
    content = json.dumps(asdict(task) | {"context_length": context_length})
    with database.writing() as opened:
        row = opened.execute(
            "SELECT content FROM tasks WHERE key = ? AND name = ?", (key, name)
        ).fetchone()
        if row and row["content"] == content:
            return False
        if row and key != OWNER:
            raise TaskError(
                f"task {name!r}: expected the same task again, got another; choose another name"
            )
        (count,) = opened.execute("SELECT count(*) FROM tasks WHERE key = ?", (key,)).fetchone()
        if count >= most:
            raise TaskError(f"tasks: expected at most {most} of a key")
        opened.execute("INSERT OR REPLACE INTO tasks VALUES (?, ?, ?)", (key, name, content))
    return True


def tasks_of(database: Database, key: str) -> Mapping[str, Mapping[str, Any]]:
    """Return the facts of the tasks of a key and of the owner, by name."""
    with database.reading() as opened:
        rows = opened.execute(
            "SELECT name, content FROM tasks WHERE key IN (?, ?) ORDER BY key, name", (OWNER, key)
        ).fetchall()
    return {row["name"]: json.loads(row["content"]) for row in rows}


def name_of(database: Database, key: str, task: Task) -> str | None:
    """Return the name of an existing task for a key; None if it does not exist yet."""
    asked = json.loads(json.dumps(asdict(task)))
    for name, content in tasks_of(database, key).items():
        if {part: content[part] for part in asked} == asked:
            return name
    return None


def find(database: Database, key: str, name: str) -> Task | None:
    """Return a task of a key or of the owner by name; None if there is none."""
    with database.reading() as opened:
        row = opened.execute(
            "SELECT content FROM tasks WHERE name = ? AND key IN (?, ?) ORDER BY key DESC LIMIT 1",
            (name, OWNER, key),
        ).fetchone()
    if row is None:
        return None
    content = json.loads(row["content"])
    return Task(tuple(content["class_names"]), content["template"], content["context_words"])
