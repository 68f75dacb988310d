"""Show the running jobs of a suite as live bars, read only from the ends of their logs.

Jobs on other machines that share the disk are therefore shown too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from craft.runtime.progress import State, duration, read_line

#: Bytes at the end of a log that hold its last line of progress.
_TAIL = 16384
#: Seconds without a line after which a job may be dead, and after which it is no longer shown.
STALE, GONE = 180.0, 3600.0


@dataclass(frozen=True)
class Job:
    """One running job: the last progress in its log, and the log's age in seconds."""

    log: Path
    state: State
    age: float

    @property
    def stale(self) -> bool:
        """Return whether the job may have been killed."""
        return self.age > STALE


def running(results: Path) -> list[Job]:
    """Return the unfinished jobs below a folder of results, sorted by log name.

    A killed job is stale for a while, and then left out. Raises FileNotFoundError if the folder
    does not exist.
    """
    if not results.is_dir():
        raise FileNotFoundError(f"{results}: no such folder of results")
    return sorted(_jobs(results, time.time()), key=lambda job: job.log)


def _jobs(results: Path, now: float) -> Iterator[Job]:
    # A suite's own results, or the folder of several suites.
    for folder in {path for depth in ("logs", "*/logs") for path in results.glob(depth)}:
        for log in folder.rglob("*.log"):
            try:
                age = now - log.stat().st_mtime
                state = _last(log) if age < GONE else None
            except OSError:  # removed meanwhile
                continue
            if state is not None and state.running:
                yield Job(log, state, max(0.0, age))


def _last(log: Path) -> State | None:
    with log.open("rb") as stream:
        stream.seek(max(0, os.fstat(stream.fileno()).st_size - _TAIL))
        lines = stream.read().decode("utf-8", "replace").splitlines()
    return next((state for line in reversed(lines) if (state := read_line(line))), None)


def table(jobs: list[Job]) -> Table:
    """Return a row for each job: task, bar, count and the other values in its log."""
    shown = Table(box=None, expand=True, show_header=bool(jobs), header_style="dim")
    shown.add_column("running", ratio=3, overflow="fold")
    shown.add_column("", ratio=2)
    shown.add_column("done", justify="right", no_wrap=True)
    shown.add_column("", ratio=3, overflow="fold")
    for job in jobs:
        state = job.state
        total = "?" if state.total is None else f"{state.total:,.10g}"
        note = f"stale: no sign for {duration(job.age)}" if job.stale else state.note
        shown.add_row(
            state.what,
            ProgressBar(total=state.total, completed=state.done, pulse=state.total is None),
            f"{state.done:,.10g} of {total} {state.unit}",
            note,
            style="dim" if job.stale else None,
        )
    if not jobs:
        shown.add_row("no job is running")
    return shown


def show(results: Path, *, once: bool, every: float) -> None:
    """Show the running jobs until Ctrl-C, or once; refresh after each interval."""
    console = Console()
    if once:
        console.print(table(running(results)))
        return
    with Live(table(running(results)), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(every)
            live.update(table(running(results)), refresh=True)
