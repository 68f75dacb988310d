"""Limits of the service: sizes, times and numbers of calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of a server, in bytes, seconds and counts."""

    body_bytes: int = 64 << 20  # of a question
    upload_bytes: int = 1 << 30  # of an image set, packed
    json_bytes: int = 1 << 20
    images: int = 100_000  # of an image set
    token_positions: int = 16 << 20  # contexts x classes x positions of one call
    calls_per_key: int = 4  # at a time
    queue: int = 16  # calls at a time, of all keys
    tasks_per_key: int = 1000
    image_sets_per_key: int = 10_000
    head_seconds: float = 10.0  # to send a request's head
    body_seconds: float = 60.0  # to send a question's body
    upload_seconds: float = 3600.0  # to send an image set
    idle_seconds: float = 60.0  # to read the next piece of an answer
