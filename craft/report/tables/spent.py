"""Requests of runs to the service, in words: queries and image encodings."""

from __future__ import annotations

import pandas as pd

PURPOSES = ("search", "refine", "evaluate")


def span(numbers: pd.Series) -> str:
    """Return a count of the runs, as a range if runs differ; empty without runs."""
    if numbers.isna().all():
        return ""
    least, most = numbers.fillna(0).min(), numbers.max()
    return f"{most:,.0f}" if least == most else f"{least:,.0f} to {most:,.0f}"


def queries(lines: pd.DataFrame) -> str:
    """Return the queries of runs by purpose."""
    counts = {purpose: span(lines[f"queries_{purpose}"]) for purpose in PURPOSES}
    return ", ".join(f"{count} {purpose}" for purpose, count in counts.items() if count)


def whole(lines: pd.DataFrame) -> bool:
    """Return whether all runs of a row exist."""
    return len(lines) > 0 and not lines["problem"].any()
