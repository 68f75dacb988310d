"""Who may ask now: calls at a time of a key and of all, and one call for an idempotency key."""

from __future__ import annotations

from collections import Counter

from craft.service.keys import Key
from craft.service.limits import Limits
from craft.service.problem_details import Problem

#: Seconds after which a refused client may ask again.
_SOON = 1


class Admission:
    """Calls in hand. One event loop uses it, so that it needs no lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: set[tuple[str, str]] = set()
        self._of_key: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Calls in hand."""
        return len(self._running)

    def enter(self, key: Key, idempotency: str) -> None:
        """Take a call in hand; raises Problem 409, 429 or 503, each with Retry-After."""
        call = key.name, idempotency
        if call in self._running:
            raise Problem(409, f"Idempotency-Key: {idempotency!r} is being answered", _SOON)
        if self._of_key[key.name] >= self._limits.calls_per_key:
            most = self._limits.calls_per_key
            raise Problem(429, f"calls at a time: expected at most {most} of a key", _SOON)
        if len(self._running) >= self._limits.queue:
            raise Problem(503, "the queue is full", _SOON)
        self._running.add(call)
        self._of_key[key.name] += 1

    def leave(self, key: Key, idempotency: str) -> None:
        """Be done with a call."""
        self._running.remove((key.name, idempotency))
        self._of_key[key.name] -= 1
