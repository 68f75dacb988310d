"""Progress of a long job in its log: a line every 30 s, which ``craft watch`` reads back.

Commands with live bars follow it by :func:`observed`.
"""

from __future__ import annotations

import contextlib
import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)

#: Further values in a line, such as a fit's best loss; texts and numbers.
Facts = Mapping[str, float | str]

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_LINE = re.compile(
    rf"progress of (?P<what>.*): (?P<done>{_NUMBER}) of (?P<total>{_NUMBER}|unknown) "
    r"(?P<unit>[\w-]+(?: [\w-]+)*)(?:, (?P<note>.*))?$"
)


#: Called with the state of every task of this process, whenever that changes.
_observers: list[Callable[[State], None]] = []


@contextlib.contextmanager
def observed(observer: Callable[[State], None]) -> Iterator[None]:
    """Call ``observer`` at the start, each unit and the end of every task within the block."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


class Progress:
    """Log how far one task is, from ``with`` to the end of the block.

    ``unit`` is the plural name of the units; ``total`` is None if unknown; ``done`` counts the
    units of earlier processes. It logs a line every ``every`` seconds, or after the current unit if
    that takes longer.

        with Progress("encoding of digits/train", len(batches), "batches") as progress:
            for number, batch in enumerate(batches, 1):
                ...
                progress.reach(number)
    """

    def __init__(
        self,
        what: str,
        total: float | None,
        unit: str,
        *,
        done: float = 0,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = " ".join(what.split())
        self._total, self._unit = total, unit
        self._start, self._done = done, done
        self._every, self._clock = every, clock
        self._began = self._logged = clock()

    def __enter__(self) -> Self:
        self._began = self._clock()
        self._log(())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log the end, so that the task is no longer shown as running."""
        took = f"in {duration(self._clock() - self._began)}"
        self._log([f"{'finished' if kind is None else 'stopped'} {took}"])

    def reach(self, done: float, facts: Callable[[], Facts] | None = None) -> None:
        """Record that ``done`` units are done; ``facts`` is called only if a line is due."""
        self._done = done
        self._tell("")
        if self._clock() - self._logged >= self._every:
            self._log([*self._rate(), *_worded(facts() if facts else {})])

    def _rate(self) -> list[str]:
        """Return rate and time left, as measured in this process; nothing before the first unit."""
        seconds = self._clock() - self._began
        if self._done <= self._start or seconds <= 0:
            return []
        rate = (self._done - self._start) / seconds
        per = next(((size, per) for size, per in _PER if rate * size >= 1), _PER[-1])
        words = [f"{_number(rate * per[0])} {self._unit}/{per[1]}"]
        if self._total is not None:
            words.append(f"{duration(max(0.0, self._total - self._done) / rate)} left")
        return words

    def _log(self, note: list[str] | tuple[()]) -> None:
        self._logged = self._clock()
        total = "unknown" if self._total is None else _count(self._total)
        reached = f"{_count(self._done)} of {total} {self._unit}"
        self._tell(", ".join(note))
        log.info("%s", f"progress of {self._what}: {', '.join([reached, *note])}")

    def _tell(self, note: str) -> None:
        for observer in _observers:
            observer(State(self._what, self._done, self._total, self._unit, note))


@dataclass(frozen=True)
class State:
    """The content of a progress line."""

    what: str
    done: float
    total: float | None
    unit: str
    note: str

    @property
    def running(self) -> bool:
        """Return whether the task had not ended when the line was written."""
        return not self.note.startswith(("finished ", "stopped "))


def read_line(line: str) -> State | None:
    """Return the state in a progress line; None for any other line."""
    match = _LINE.search(line)
    if not match:
        return None
    done, total = (
        None if match[name] == "unknown" else float(match[name].replace(",", ""))
        for name in ("done", "total")
    )
    return State(match["what"], done or 0.0, total, match["unit"], match["note"] or "")


def duration(seconds: float) -> str:
    """Return a duration in a readable unit: 4 s, 12 min, 3.5 h, 2.1 days."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or not seconds else f"{seconds:.1f} s"


#: Seconds of the periods that a rate may be given in, with their names.
_PER = ((1, "s"), (60, "min"), (3600, "h"))


def _worded(facts: Facts) -> list[str]:
    return [
        f"{name} {value if isinstance(value, str) else _number(value)}"
        for name, value in facts.items()
    ]


def _count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if isinstance(value, int) or value >= 1000 else f"{value:.4g}"
