"""A table as tidy CSV: one row per cell, in reading order."""

from __future__ import annotations

import csv
import io

from craft.report.tables.model import COUNTS, MEANS, WORDS, Cell, Table

VALUES = ("mean", "std", "seeds", "expected", "published", "difference", "note")
ENTRY = ("value", "published", "difference", "note")


def tidy(table: Table) -> str:
    """CSV text: artefact, the row's ids, column, then the cell; empty where there is no number.

    Means, deviations and differences have four decimals, counts none. ``note`` says what was not
    run or is missing, then what is known of the published number.
    """
    ids = list(dict.fromkeys(name for row in table.rows for name in row.ids))
    names = VALUES if table.kind == MEANS else ENTRY
    fields_of = {MEANS: cell_fields, COUNTS: _count_fields, WORDS: _word_fields}[table.kind]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["artefact", *ids, *map(str.lower, table.after), "column", *names])
    for index, row in enumerate(table.rows):
        after = [texts[index] for texts in table.after.values()]
        for column, cell in zip(table.columns, row.cells, strict=True):
            writer.writerow(
                [table.artefact, *row.ids.values(), *after, column.id, *fields_of(cell)]
            )
    return buffer.getvalue()


def cell_fields(cell: Cell) -> list[str]:
    """The texts of a cell of runs under the headings :data:`VALUES`."""
    return [
        _decimal(cell.value),
        _decimal(cell.std),
        _whole(cell.seeds),
        _whole(cell.expected),
        "" if cell.published is None else _decimal(cell.published, 2),
        _decimal(cell.difference),
        _note(cell),
    ]


def _count_fields(cell: Cell) -> list[str]:
    return [_whole(cell.value), _whole(cell.published), _whole(cell.difference), _note(cell)]


def _word_fields(cell: Cell) -> list[str]:
    comparable = cell.value is not None and cell.published is not None
    same = {True: "none", False: "differs"}[cell.value == cell.published] if comparable else ""
    return [cell.value or "", cell.published or "", same, _note(cell)]


def _note(cell: Cell) -> str:
    missing = (f"missing {text}" for text in cell.missing)
    return "; ".join((*(() if cell.run else ("not run",)), *missing, *cell.notes))


def _decimal(value: float | None, decimals: int = 4) -> str:
    # adding zero turns -0.0000 into 0.0000
    return "" if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
