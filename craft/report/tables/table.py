"""What a table is before it is written: rows with ids, columns, cells with their footnotes."""

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
    """One entry of a table: ours, the published one where there is one, and what to know of it.

    An entry is a number, or words in a table of words. ``notes`` are statements about the published
    one; ``missing`` names the runs (or files) without which there is none of ours. ``expected`` is
    None where nothing is averaged. ``run`` is False for a printed method that the suite lacks.
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
        """Ours minus the published number; None where one of them is none."""
        if not isinstance(self.value, float | int) or not isinstance(self.published, float | int):
            return None
        return self.value - self.published


@dataclass(frozen=True)
class Column:
    """A column: its id in the tidy file, its printed heading, the heading above it.

    Numbers are printed in units of ``scale`` with ``digits`` decimals; the tidy file has them in
    the unit that the id names. ``exact`` ones follow from the design: no deviation of 0 is shown.
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

    ``kind`` says what cells are: means over seeds, whole numbers, or words. Where the first stub
    column is the backbone, rows of one backbone form a group that prints its name once. ``after``
    are stub-like columns printed at the right, each with one text per row.
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
        """Return notes that every cell of a row has: they are marked once, at the row's name."""
        if len(row.cells) < 2:
            return ()
        first, *others = row.cells
        return tuple(n for n in first.notes if all(n in cell.notes for cell in others))

    def has_published(self) -> bool:
        """Whether any cell has a published number."""
        return _any_published(cell for *_, cell in self.cells())

    def part(self, rows: Iterable[int], columns: Iterable[int]) -> Table:
        """Return the table of some of its rows and columns, by their numbers."""
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
        """Return the rows and columns of which the paper has at least one entry."""
        by_column = zip(*(row.cells for row in self.rows), strict=True)
        return self.part(
            [n for n, row in enumerate(self.rows) if _any_published(row.cells)],
            [n for n, cells in enumerate(by_column) if _any_published(cells)],
        )

    def continues_group(self, index: int) -> bool:
        """Whether the row at ``index`` belongs to the same backbone as the one above."""
        rows = self.rows
        return index > 0 and self.grouped and rows[index].stub[0] == rows[index - 1].stub[0]

    @property
    def name_column(self) -> int:
        """The stub column that names a row: after the backbone, where there is one."""
        return int(self.grouped)

    @property
    def grouped(self) -> bool:
        """Whether rows are grouped by backbone."""
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
