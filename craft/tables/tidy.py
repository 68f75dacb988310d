"""A table as tidy CSV: one row per cell, in reading order."""

from __future__ import annotations

import csv
import io

from craft.tables.layout import Cell, Table

VALUES = ("mean", "std", "seeds", "expected", "published", "difference", "note")
COUNT_VALUES = ("value", "published", "difference", "note")


def tidy(table: Table) -> str:
    """CSV text: artefact, the row's ids, column, then the cell; empty where there is no number.

    Accuracies and differences are per cent with four decimals, counts whole numbers. ``note`` says
    what is missing, then what is known of the published number.
    """
    ids = list(dict.fromkeys(name for row in table.rows for name in row.ids))
    names = COUNT_VALUES if table.counts else VALUES
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["artefact", *ids, *map(str.lower, table.after), "column", *names])
    for index, row in enumerate(table.rows):
        after = [texts[index] for texts in table.after.values()]
        for column, cell in zip(table.columns, row.cells, strict=True):
            fields = _count_fields(cell) if table.counts else cell_fields(cell)
            writer.writerow([table.artefact, *row.ids.values(), *after, column.id, *fields])
    return buffer.getvalue()


def cell_fields(cell: Cell) -> list[str]:
    """The texts of a cell of runs under the headings :data:`VALUES`."""
    return [
        _decimal(cell.value),
        _decimal(cell.std),
        _whole(cell.seeds),
        _whole(cell.expected),
        "" if cell.published is None else f"{cell.published:.2f}",
        _decimal(cell.difference),
        _note(cell),
    ]


def _count_fields(cell: Cell) -> list[str]:
    return [_whole(cell.value), _whole(cell.published), _whole(cell.difference), _note(cell)]


def _note(cell: Cell) -> str:
    missing = (f"missing {text}" for text in cell.missing)
    return "; ".join((*missing, *cell.notes))


def _decimal(value: float | None) -> str:
    # adding zero turns -0.0000 into 0.0000
    return "" if value is None else f"{round(value, 4) + 0.0:.4f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
