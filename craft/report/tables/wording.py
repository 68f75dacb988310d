"""How numbers, published numbers and what is missing are said, in Markdown and LaTeX alike."""

from __future__ import annotations

from collections.abc import Sequence

from craft.report.tables.model import Cell, Column

#: Missing runs listed in full; more are counted (the CSV names each).
LISTED = 8


def number(column: Column, value: float) -> str:
    """A number in its column's unit and decimals, with thousands separators."""
    return f"{value / column.scale:,.{column.digits}f}"


def entry(column: Column, value: float | str) -> str:
    """A cell's number or words."""
    return value if isinstance(value, str) else number(column, value)


def deviation(column: Column, cell: Cell) -> str:
    """The standard deviation; empty where there is none to show."""
    if cell.std is None or (column.exact and cell.std == 0):
        return ""
    return number(column, cell.std)


def difference(column: Column, cell: Cell) -> str:
    """Ours minus the published number with its sign, or that the words differ; empty otherwise."""
    if isinstance(cell.value, str) and isinstance(cell.published, str):
        return "" if cell.value == cell.published else "differs"
    if cell.difference is None:
        return ""
    size = number(column, abs(cell.difference))
    negative = cell.difference < 0 and float(size.replace(",", "")) > 0
    return f"{'-' if negative else '+'}{size}"


def missing_sentence(missing: Sequence[str]) -> str:
    """Names what is missing, up to a number that can be read."""
    listed = "; ".join(missing[:LISTED])
    rest = len(missing) - LISTED
    more = f"; and {rest} more (see the CSV)" if rest > 0 else ""
    return f"Missing: {listed}{more}."
