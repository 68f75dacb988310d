"""Layout of a table in LaTeX: columns side by side, line breaks, page limits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from craft.report.tables.latex_text import TINY, broken, width
from craft.report.tables.table import WORDS, Cell, Column, Table
from craft.report.tables.wording import deviation, difference, groups, ours, published

#: Width and height of the page of a two-column article, almost; the gap on either side of a column;
#: a line of the table, of the caption, and what rules and headings take besides.
PAGE, HEIGHT, GAP = 405.0, 540.0, 3.0  # points
LINE, CAPTION_LINE, RULES = 9.7, 12.0, 16.0  # points
#: Names of rows and columns of words wrap beyond the first of these with which a table fits.
WRAPS = (180.0, 120.0, 85.0, 62.0)  # points


def floats(table: Table, notes: Sequence[str]) -> list[list[Measured]]:
    """Return the panels of each float: as few as hold the table, none higher than a page.

    ``notes`` stand below the last one, by themselves where there is no room.
    """
    caption = CAPTION_LINE * _lines_of(table.caption, PAGE / 1.2) + RULES
    found: list[list[Measured]] = [[]]
    left = HEIGHT - caption
    for panel in _panels(table):
        for part in panel.cut(HEIGHT - caption):
            if part.height > left:
                found.append([])
                left = HEIGHT - CAPTION_LINE - RULES
            found[-1].append(part)
            left -= part.height
    if LINE * sum(_lines_of(note, PAGE) for note in notes) > left:
        found.append([])
    return found


def _panels(table: Table) -> list[Measured]:
    """Return as few panels as fit, of equal numbers of columns, words wrapped as late as may be."""
    count, rows = len(table.columns), range(len(table.rows))
    for panels in range(1, count + 1):
        edges = [round(n * count / panels) for n in range(panels + 1)]
        for wrap in WRAPS:
            found = [Measured(table.part(rows, range(*edge)), wrap) for edge in pairwise(edges)]
            if all(panel.width <= PAGE for panel in found):
                return found
    return found


def _lines_of(text: str, points: float) -> int:
    """Return how many lines text takes in a column of some width, or one more."""
    return 1 if width(text) <= points else math.ceil(1.15 * width(text) / points)


@dataclass(frozen=True)
class Measured:
    """A table whose columns have widths, in points; words wrap beyond ``wrap``."""

    table: Table
    wrap: float

    @property
    def width(self) -> float:
        """Width of the whole, that of headings above several columns included."""
        inner = [each + 2 * GAP for each in self.inner]
        total, start = sum(self.before + self.after) + 2 * GAP * len(self.before + self.after), 0
        for text, span in groups(self.table) or [("", len(inner))]:
            total += max(sum(inner[start : start + span]), width(text) + 2 * GAP)
            start += span
        return total

    @cached_property
    def before(self) -> list[float]:
        """Widths of the names of rows and what else stands before the cells."""
        found = []
        for number, name in enumerate(self.table.stub):
            texts = [row.stub[number] for row in self.table.rows]
            shown = [text if isinstance(text, str) else "xx" for text in texts]
            if number == self.table.name_column and self.table.has_published():
                shown.append("published a,b")
            found.append(self._wrapped([*shown, name]))
        return found

    @cached_property
    def after(self) -> list[float]:
        """Widths of the columns behind the cells."""
        return [self._wrapped([name, *texts]) for name, texts in self.table.after.items()]

    @cached_property
    def inner(self) -> list[float]:
        """Widths of the columns of cells."""
        return [self._column(number) for number in range(len(self.table.columns))]

    def _column(self, number: int) -> float:
        column = self.table.columns[number]
        cells = [row.cells[number] for row in self.table.rows]
        found = [entry for cell in cells for entry in entries(column, cell)]
        if self.table.kind == WORDS:
            return self._wrapped([column.heading, *(text for text, _ in found)])
        marks = width("a,b") if any(cell.notes for cell in cells) else 0.0
        widest = max((width(text) + width(small, TINY) for text, small in found), default=0.0)
        return max(widest, _longest_word(column.heading)) + marks

    def _wrapped(self, texts: Sequence[str]) -> float:
        """Width that texts take if they wrap where that is long."""
        natural = max(map(width, texts), default=0.0)
        return min(natural, max(self.wrap, *map(_longest_word, texts)))

    @property
    def height(self) -> float:
        """Height of the whole, headings and rules included."""
        return sum(self.heights) + self._heading_height

    @property
    def _heading_height(self) -> float:
        headings = [*zip(self.table.stub, self.before, strict=True)]
        columns = [column.heading for column in self.table.columns]
        headings += zip(columns, self.inner, strict=True)
        lines = max(_lines_of(text, points) for text, points in headings)
        return LINE * (lines + 1.5 * bool(groups(self.table))) + RULES

    @cached_property
    def heights(self) -> list[float]:
        """Heights of the rows, each with its published line and with the rule above a group."""
        return [LINE * self._lines(n) + 4.0 * self._opens(n) for n in range(len(self.table.rows))]

    def _lines(self, number: int) -> int:
        table, row = self.table, self.table.rows[number]
        beside = [*zip(row.stub, self.before, strict=True)]
        beside += zip((texts[number] for texts in table.after.values()), self.after, strict=True)
        own = [_lines_of(text, points) for text, points in beside if isinstance(text, str)]
        printed = [int(any(cell.published is not None for cell in row.cells))]
        if table.kind == WORDS:
            for column, cell, points in zip(table.columns, row.cells, self.inner, strict=True):
                own.append(_lines_of(ours(column, cell), points))
                printed.append(_lines_of(published(column, cell), points) * printed[0])
        return max(own) + max(printed)

    def _opens(self, number: int) -> bool:
        return self.table.grouped and not self.table.continues_group(number)

    def cut(self, height: float) -> Iterator[Measured]:
        """Yield the panel in parts that are not higher, between groups of rows where possible."""
        rows, start, taken = len(self.table.rows), 0, self._heading_height
        for number in range(rows):
            if taken + self.heights[number] > height and number > start:
                end = number
                while end > start + 1 and self.table.grouped and not self._opens(end):
                    end -= 1
                end = end if self._opens(end) or not self.table.grouped else number
                yield self._rows(start, end)
                start = end
                taken = self._heading_height + sum(self.heights[start:number])
            taken += self.heights[number]
        yield self._rows(start, rows)

    def _rows(self, start: int, end: int) -> Measured:
        columns = range(len(self.table.columns))
        return Measured(self.table.part(range(start, end), columns), self.wrap)


def entries(column: Column, cell: Cell) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return our entry and the paper's, each with what stands beside it in small print."""
    spread, change = deviation(column, cell), difference(column, cell)
    ourselves = ours(column, cell), f" ± {spread}" if spread else ""
    return ourselves, (published(column, cell), f" ({change})" if change else "")


def _longest_word(text: str) -> float:
    return max(map(width, broken(text)), default=0.0)
