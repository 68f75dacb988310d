"""The model of a table: rows with ids, columns, and cells with footnotes."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from craft.design.artefact import Artefact
from craft.report.tidy_runs import Sample

#: A row's stub entry: text, a tick (True), a cross (False) or a dash (None: does not apply).
Stub = str | bool | None

AVERAGE = "Average"
BACKBONE = "Backbone"
METHOD = "Method"

#: A mark in the tidy file.
YES_NO = {True: "yes", False: "no", None: ""}

#: Kinds of tables.
MEANS, COUNTS, WORDS = "means", "counts", "words"


@dataclass(frozen=True)
class Cell:
    """One entry of a table: ours, the published one if there is one, and notes.

    An entry is a number, or words in a table of words. ``notes`` are statements about the published
    entry; ``missing`` names the missing runs (or files) of ours. ``expected`` is None if nothing is
    averaged. ``run`` is False for a printed method that the suite lacks.
    """

    value: float | str | None
    std: float | None = None
    seeds: int | None = None
    expected: int | None = None
    published: float | str | None = None
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    run: bool = True

    @classmethod
    def of(
        cls,
        sample: Sample | None,
        published: float | str | None = None,
        notes: Iterable[str] = (),
    ) -> Cell:
        """Return the cell of a sample of runs; None is a printed method that is not run."""
        if sample is None:
            return cls(None, None, 0, 0, published, tuple(notes), run=False)
        counted = (sample.mean, sample.std, sample.seeds, sample.expected)
        return cls(*counted, published, tuple(notes), sample.missing)

    @property
    def difference(self) -> float | None:
        """Return ours minus the published number; None if either is missing."""
        if not isinstance(self.value, float | int) or not isinstance(self.published, float | int):
            return None
        return self.value - self.published


@dataclass(frozen=True)
class Column:
    """A column: its id in the tidy file, its printed heading, the heading above it.

    Numbers are printed in units of ``scale`` with ``digits`` decimals; the tidy file uses the unit
    in the id. ``exact`` numbers follow from the design, so no deviation is shown.
    """

    id: str
    heading: str
    group: str = ""
    digits: int = 2
    scale: float = 1.0
    exact: bool = False


@dataclass(frozen=True)
class Row:
    """A row: ids for the tidy file, stub for the printed ones, one cell per column."""

    ids: dict[str, str]
    stub: tuple[Stub, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """A table in the paper's shape.

    ``kind`` is the kind of cells: means over seeds, whole numbers, or words. If the first stub
    column is the backbone, the rows of a backbone form a group that prints its name once. ``after``
    holds text columns at the right, with one text per row.
    """

    artefact: Artefact
    suite: str
    caption: str
    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    kind: str = MEANS
    after: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notices: tuple[str, ...] = ()  # what a reader must know of the runs, below the table

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Yield every cell in reading order."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def note_marks(self) -> dict[str, str]:
        """Return each note's footnote letter, in reading order (a, b, ... z, aa, ...)."""
        notes = dict.fromkeys(note for *_, cell in self.cells() for note in cell.notes)
        return {note: _letters(number) for number, note in enumerate(notes)}

    def missing(self) -> tuple[str, ...]:
        """Return every missing run (or file) once, in reading order."""
        return tuple(dict.fromkeys(text for *_, cell in self.cells() for text in cell.missing))

    def row_notes(self, row: Row) -> tuple[str, ...]:
        """Return the notes that all cells of a row share, which are marked once at its name."""
        if len(row.cells) < 2:
            return ()
        first, *others = row.cells
        return tuple(n for n in first.notes if all(n in cell.notes for cell in others))

    def has_published(self) -> bool:
        """Return whether any cell has a published number."""
        return _any_published(cell for *_, cell in self.cells())

    def part(self, rows: Iterable[int], columns: Iterable[int]) -> Table:
        """Return the table with only some rows and columns, by number."""
        rows, columns = list(rows), list(columns)
        return replace(
            self,
            columns=tuple(self.columns[n] for n in columns),
            rows=tuple(
                replace(self.rows[n], cells=tuple(self.rows[n].cells[m] for m in columns))
                for n in rows
            ),
            after={name: tuple(texts[n] for n in rows) for name, texts in self.after.items()},
        )

    def printed_part(self) -> Table:
        """Return the table with only the rows and columns that have a published entry."""
        by_column = zip(*(row.cells for row in self.rows), strict=True)
        return self.part(
            [n for n, row in enumerate(self.rows) if _any_published(row.cells)],
            [n for n, cells in enumerate(by_column) if _any_published(cells)],
        )

    def continues_group(self, index: int) -> bool:
        """Return whether the row at ``index`` belongs to the same backbone as the one above."""
        rows = self.rows
        return index > 0 and self.grouped and rows[index].stub[0] == rows[index - 1].stub[0]

    @property
    def name_column(self) -> int:
        """Return the number of the stub column that names a row, behind the backbone if any."""
        return int(self.grouped)

    @property
    def grouped(self) -> bool:
        """Return whether rows are grouped by backbone."""
        return self.stub[0] == BACKBONE


def _any_published(cells: Iterable[Cell]) -> bool:
    return any(cell.published is not None for cell in cells)


def _letters(number: int) -> str:
    letters = ""
    number += 1
    while number:
        number, remainder = divmod(number - 1, 26)
        letters = string.ascii_lowercase[remainder] + letters
    return letters
