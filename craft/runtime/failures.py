"""Summary of a failed Snakemake call: the failed jobs and the last lines of their logs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Largest number of failed jobs to name, and of characters of the last line of a log.
_MOST, _LONGEST = 20, 300


def summary(
    failed: Sequence[tuple[str, Mapping[str, str], Sequence[str]]], total: int
) -> Iterator[str]:
    """Yield lines about ``failed`` jobs of ``total``: (rule, wildcards, logs) of each."""
    yield f"{len(failed)} of {total} jobs failed:"
    named = sorted((_name(rule, wildcards), *logs[:1]) for rule, wildcards, logs in failed)
    for name, *logs in named[:_MOST]:
        yield "".join([f"- {name}", *(f": {log}: {_last_line(Path(log))}" for log in logs)])
    if len(named) > _MOST:
        yield f"- and {len(named) - _MOST} more"


def _name(rule: str, wildcards: Mapping[str, str]) -> str:
    shown = ", ".join(f"{name}={value}" for name, value in wildcards.items())
    return f"{rule} ({shown})" if shown else rule


def _last_line(log: Path) -> str:
    """Return the last line of a job's log: a failed command ends with its error."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace").rstrip()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return text.rpartition("\n")[2][:_LONGEST] or "is empty; the job was killed, or did not start"
