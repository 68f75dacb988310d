"""Show the progress of this process as live bars on standard error."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from craft.runtime.progress import State, observed


@contextlib.contextmanager
def bars(console: Console) -> Iterator[None]:
    """Show a bar for each task that runs within the block; without a terminal, none moves."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as shown:
        tasks = {}

        def show(state: State) -> None:
            if state.what not in tasks:
                tasks[state.what] = shown.add_task(state.what, unit=state.unit)
            total = state.total if state.running else state.done  # a task may end early
            idle = not (state.running or state.done)  # zero-shot is not fitted
            shown.update(tasks[state.what], total=total, completed=state.done, visible=not idle)

        with observed(show):
            yield
