"""Signals that ask a command to end: Slurm's time limit, Ctrl-C, a closed terminal."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

#: Exit status of a command that was told to end and can be given again; sysexits.h's "try again
#: later".
ENDED = 75


class Ended(BaseException):
    """A signal asked the process to end; notes state what was kept.

    Derives from BaseException, so that ``except Exception`` does not catch it.
    """


class Signals:
    """SIGTERM, SIGINT and SIGHUP (unless nohup has it ignored) while in use: each raises Ended.

    What is at work within :meth:`deferred` looks for itself whether a signal was received; the
    second one ends it at once.
    """

    def __init__(self) -> None:
        self._deferred = False
        self.received: str | None = None

    def __enter__(self) -> Signals:
        numbers = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._receive) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def deferred(self) -> Iterator[None]:
        """While something is at work that looks by itself; what it did not see raises Ended."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False
        if self.received:
            raise Ended(self.received)

    def _receive(self, number: int, _: FrameType | None) -> None:
        again, self.received = self.received, signal.Signals(number).name
        if again or not self._deferred:
            raise Ended(self.received)
