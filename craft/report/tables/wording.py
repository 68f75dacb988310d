"""Text that all printed forms of a table share: lines, numbers, deviations and notes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from jinja2 import Environment, StrictUndefined

from craft.report.tables.table import COUNTS, MEANS, WORDS, Cell, Column, Stub, Table

DASH = "—"
MARKS = {True: "✓", False: "✗", None: DASH}
#: Meaning of the brackets behind a published entry, by kind of table.
COMPARED = {
    MEANS: "ours minus published",
    COUNTS: "ours minus published",
    WORDS: "whether ours differs",
}
#: Missing runs listed in full; more are counted (the CSV names each).
LISTED = 8


@dataclass(frozen=True)
class Line:
    """A row as it is printed: its group named once, its notes as footnote letters."""

    stub: tuple[Stub, ...]
    marks: tuple[str, ...]  # of notes on the whole row, at its name
    cells: tuple[tuple[Column, Cell, tuple[str, ...]], ...]  # with the marks of its own notes
    after: tuple[str, ...]
    opens: bool  # whether a group of rows begins here, below another one


def lines(table: Table, marks: dict[str, str]) -> Iterator[Line]:
    """Yield the rows of a table as they are printed; ``marks`` are the letters of its notes."""
    for index, row in enumerate(table.rows):
        continues = table.continues_group(index)
        common = table.row_notes(row)
        yield Line(
            stub=("", *row.stub[1:]) if continues else row.stub,
            marks=tuple(marks[note] for note in common if note in marks),
            cells=tuple(
                (
                    column,
                    cell,
                    tuple(marks[n] for n in cell.notes if n in marks and n not in common),
                )
                for column, cell in zip(table.columns, row.cells, strict=True)
            ),
            after=tuple(texts[index] for texts in table.after.values()),
            opens=index > 0 and table.grouped and not continues,
        )


def groups(table: Table) -> list[tuple[str, int]]:
    """Return the group headings with their numbers of columns; empty if no column has one."""
    found = [(text, len(list(each))) for text, each in groupby(c.group for c in table.columns)]
    return found if any(text for text, _ in found) else []


def number(column: Column, value: float) -> str:
    """Return a number in its column's unit and decimals, with thousands separators."""
    return f"{value / column.scale:,.{column.digits}f}"


def entry(column: Column, value: float | str) -> str:
    """Return a cell's number or words."""
    return value if isinstance(value, str) else number(column, value)


def ours(column: Column, cell: Cell) -> str:
    """Return our entry; a dash if a run is missing."""
    if cell.value is None:
        return DASH if cell.missing else ""
    return entry(column, cell.value)


def deviation(column: Column, cell: Cell) -> str:
    """Return the standard deviation; empty if there is none."""
    if cell.std is None or (column.exact and cell.std == 0):
        return ""
    return number(column, cell.std)


def published(column: Column, cell: Cell) -> str:
    """Return the paper's entry; empty if there is none."""
    return "" if cell.published is None else entry(column, cell.published)


def difference(column: Column, cell: Cell) -> str:
    """Return the signed difference to the published number, or a mark for different words."""
    if isinstance(cell.value, str) and isinstance(cell.published, str):
        return "" if cell.value == cell.published else "differs"
    if cell.difference is None:
        return ""
    size = number(column, abs(cell.difference))
    negative = cell.difference < 0 and float(size.replace(",", "")) > 0
    return f"{'-' if negative else '+'}{size}"


def missing_sentence(missing: Sequence[str]) -> str:
    """Return a sentence that names the missing runs, up to a readable number."""
    listed = "; ".join(missing[:LISTED])
    rest = len(missing) - LISTED
    more = f"; and {rest} more (see the CSV)" if rest > 0 else ""
    return f"Missing: {listed}{more}."


def rendered(
    template: str, table: Table, text: Callable[[str], str] | None = None, **more: Any
) -> str:
    """Return a table by a Jinja template.

    The filter ``text`` escapes plain text; without it, all inserted text is escaped for HTML.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=text is None
    )
    environment.filters |= {"text": text}
    functions = (lines, groups, ours, deviation, published, difference, missing_sentence)
    environment.globals |= {function.__name__: function for function in functions}
    environment.globals |= {"MARKS": MARKS, "DASH": DASH, "WORDS": WORDS, "COMPARED": COMPARED}
    marks = table.note_marks()
    return environment.from_string(template).render(table=table, marks=marks, **more)
