"""Limits on concurrent calls: by key, in all, and one for each idempotency key."""

from __future__ import annotations

from collections import Counter

from craft.service.keys import Key
from craft.service.limits import Limits
from craft.service.problem_details import Problem

#: Seconds after which a refused client can retry.
_SOON = 1


class Admission:
    """The calls in progress. Only one event loop uses it, so it needs no lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._running: set[tuple[str, str]] = set()
        self._of_key: Counter[str] = Counter()

    @property
    def running(self) -> int:
        """Return the number of calls in progress."""
        return len(self._running)

    def enter(self, key: Key, idempotency: str) -> None:
        """Admit a call; raises Problem 409, 429 or 503, each with Retry-After."""
        call = key.name, idempotency
        if call in self._running:
            raise Problem(409, f"Idempotency-Key: {idempotency!r} is still in progress", _SOON)
        if self._of_key[key.name] >= self._limits.calls_per_key:
            most = self._limits.calls_per_key
            raise Problem(429, f"calls at a time: expected at most {most} for each key", _SOON)
        if len(self._running) >= self._limits.queue:
            raise Problem(503, "server: expected a free place in the queue, got none", _SOON)
        self._running.add(call)
        self._of_key[key.name] += 1

    def leave(self, key: Key, idempotency: str) -> None:
        """Release a finished call."""
        self._running.remove((key.name, idempotency))
        self._of_key[key.name] -= 1
