"""What a table is before it is written: rows with ids, columns, cells with their footnotes."""

from __future__ import annotations

import string
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from craft.design.runs import OWN, REBUILDS
from craft.evaluation.scores import Sample

#: A row's stub entry: text, a tick (True), a cross (False) or a dash (None: does not apply).
Stub = str | bool | None

AVERAGE = "Average"
BACKBONE = "Backbone"
METHOD = "Method"
BLACK_BOX = "Black-Box"

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
    def of(cls, sample: Sample | None, published: float | str | None, notes: Sequence[str]) -> Cell:
        """The cell of a sample of runs; None is a printed method that the suite does not run."""
        if sample is None:
            return cls(
                None, seeds=0, expected=0, published=published, notes=tuple(notes), run=False
            )
        return cls(
            value=sample.mean,
            std=sample.std,
            seeds=sample.seeds,
            expected=sample.expected,
            published=published,
            notes=tuple(notes),
            missing=sample.missing,
        )

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

    artefact: str
    place: str  # where the paper prints it
    suite: str
    caption: str
    stub: tuple[str, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    kind: str = MEANS
    after: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def cells(self) -> Iterator[tuple[Row, Column, Cell]]:
        """Every cell in reading order."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                yield row, column, cell

    def note_marks(self) -> dict[str, str]:
        """Note -> footnote letter, in reading order (a, b, ... z, aa, ...)."""
        notes = dict.fromkeys(note for *_, cell in self.cells() for note in cell.notes)
        return {note: _letters(number) for number, note in enumerate(notes)}

    def missing(self) -> tuple[str, ...]:
        """Every missing run (or file) once, in reading order."""
        return tuple(dict.fromkeys(text for *_, cell in self.cells() for text in cell.missing))

    def row_notes(self, row: Row) -> tuple[str, ...]:
        """Notes that every cell of a row has: they are marked once, at the row's name."""
        if len(row.cells) < 2:
            return ()
        first, *others = row.cells
        return tuple(n for n in first.notes if all(n in cell.notes for cell in others))

    def has_published(self) -> bool:
        """Whether any cell has a published number."""
        return _any_published(cell for *_, cell in self.cells())

    def printed_part(self) -> Table:
        """The rows and columns of which the paper has at least one entry."""
        rows = [n for n, row in enumerate(self.rows) if _any_published(row.cells)]
        by_column = zip(*(row.cells for row in self.rows), strict=True)
        columns = [n for n, cells in enumerate(by_column) if _any_published(cells)]
        return replace(
            self,
            columns=tuple(self.columns[n] for n in columns),
            rows=tuple(
                replace(self.rows[n], cells=tuple(self.rows[n].cells[m] for m in columns))
                for n in rows
            ),
            after={name: tuple(texts[n] for n in rows) for name, texts in self.after.items()},
        )

    def continues_group(self, index: int) -> bool:
        """Whether the row at ``index`` belongs to the same backbone as the one above."""
        rows = self.rows
        return index > 0 and self.grouped and rows[index].stub[0] == rows[index - 1].stub[0]

    @property
    def origin(self) -> str:
        """Where the table is from and which suite it is of, in words."""
        suite = f"suite: {self.suite}"
        if self.suite not in REBUILDS:
            return suite
        place = "not in the paper" if self.place == OWN else f"{self.place} of the paper"
        return f"{place}; {suite}"

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
