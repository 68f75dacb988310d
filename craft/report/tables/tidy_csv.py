"""A table as tidy CSV: one line per cell, in reading order."""

from __future__ import annotations

import pandas as pd

from craft.report.tables.table import COUNTS, MEANS, WORDS, Cell, Table


def tidy(table: Table) -> str:
    """Return CSV text: artefact, the row's ids, column, then the cell's entries, possibly empty.

    Means, deviations and differences have four decimals, counts none. ``note`` states what was not
    run or is missing, then notes on the published number.
    """
    fields = {MEANS: cell_fields, COUNTS: _count_fields, WORDS: _word_fields}[table.kind]
    found = []
    for index, row in enumerate(table.rows):
        ids = {"artefact": table.artefact.name, **row.ids}
        ids |= {name.lower(): texts[index] for name, texts in table.after.items()}
        for column, cell in zip(table.columns, row.cells, strict=True):
            found.append(ids | {"column": column.id} | fields(cell))
    return csv_text(found)


def csv_text(lines: list[dict[str, str]]) -> str:
    """Return lines of texts as CSV."""
    return pd.DataFrame(lines).to_csv(index=False, lineterminator="\n")


def cell_fields(cell: Cell) -> dict[str, str]:
    """Return the texts of a cell of runs, by their headings."""
    return {
        "mean": _decimal(cell.value),
        "std": _decimal(cell.std),
        "seeds": _whole(cell.seeds),
        "expected": _whole(cell.expected),
        "published": _decimal(cell.published, 2),
        "difference": _decimal(cell.difference),
        "note": _note(cell),
    }


def _count_fields(cell: Cell) -> dict[str, str]:
    return {
        "value": _whole(cell.value),
        "published": _whole(cell.published),
        "difference": _whole(cell.difference),
        "note": _note(cell),
    }


def _word_fields(cell: Cell) -> dict[str, str]:
    comparable = cell.value is not None and cell.published is not None
    return {
        "value": cell.value or "",
        "published": cell.published or "",
        "difference": ("none" if cell.value == cell.published else "differs") * comparable,
        "note": _note(cell),
    }


def _note(cell: Cell) -> str:
    missing = (f"missing {text}" for text in cell.missing)
    return "; ".join((*(() if cell.run else ("not run",)), *missing, *cell.notes))


def _decimal(value: float | None, decimals: int = 4) -> str:
    # adding zero turns -0.0000 into 0.0000
    return "" if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"


def _whole(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"
