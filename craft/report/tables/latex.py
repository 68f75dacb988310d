"""A table as LaTeX: a table environment that needs booktabs and nothing else.

It fits the page of a two-column article. Columns that do not fit beside each other are printed
below each other, under the same rows; words wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

from craft.report.tables.latex_text import TINY, broken, escaped, width, words
from craft.report.tables.model import WORDS, Cell, Column, Stub, Table
from craft.report.tables.wording import (
    DASH,
    deviation,
    difference,
    groups,
    lines,
    ours,
    published,
    rendered,
)

MARKS = {True: r"$\surd$", False: r"$\times$", None: "--"}
#: Width of a page of a two-column article, almost, and of the gap on either side of a column.
PAGE, GAP = 405.0, 3.0  # points
#: Names of rows and columns of words wrap beyond the first of these with which a table fits.
WRAPS = (180.0, 120.0, 85.0, 62.0)  # points

_TEMPLATE = r"""
% {{ table.artefact.name }}: {{ table.artefact.origin(table.suite) }}
\begin{table*}[t]
\centering
\footnotesize
\setlength{\tabcolsep}{{ "{" }}{{ gap }}pt}
\setlength{\emergencystretch}{3em}
\caption{{ "{" }}{{ table.caption | text }}}
\label{tab:{{ table.artefact.name }}}

\smallskip
{% for panel in panels %}
{% if not loop.first %}

\medskip
{% endif %}
\begin{tabular}{@{}{{ panel.alignment }}@{}}
\toprule
{% if panel.spans %}
{{ panel.spans | join(" & ") }} \tabularnewline
{{ panel.rules | join(" ") }}
{% endif %}
{{ panel.headings | join(" & ") }} \tabularnewline
\midrule
{% for opens, line in panel.lines %}
{% if opens %}
\midrule
{% endif %}
{{ line | join(" & ") }} \tabularnewline
{% endfor %}
\bottomrule
\end{tabular}
{% endfor %}
{% for note, mark in marks.items() %}

{\raggedright \textsuperscript{{ "{" }}{{ mark }}} {{ note | text }}\par}
{% endfor %}
{% if table.missing() %}

{\raggedright --- {{ missing_sentence(table.missing()) | text }}\par}
{% endif %}
{% for notice in table.notices %}

{\raggedright {{ notice | text }}\par}
{% endfor %}
\end{table*}
"""


@dataclass(frozen=True)
class Panel:
    """Some of a table's columns beside the names of its rows, as LaTeX."""

    alignment: str
    spans: list[str]  # headings over several columns, and the rules below them
    rules: list[str]
    headings: list[str]
    lines: list[tuple[bool, list[str]]]  # with whether a rule comes before


def latex(table: Table) -> str:
    """Return a ``table*`` environment with caption, label, booktabs rules, notes below the rules.

    Below a row that the paper prints stands what it prints, in italics, and the difference.
    """
    panels = [_panel(measured, table.note_marks()) for measured in _fitting(table)]
    return rendered(_TEMPLATE, table, words, panels=panels, gap=f"{GAP:g}").lstrip("\n")


def _fitting(table: Table) -> list[Measured]:
    """Return as few panels as fit, of equal numbers of columns, words wrapped as late as may be."""
    count = len(table.columns)
    for panels in range(1, count + 1):
        edges = [round(n * count / panels) for n in range(panels + 1)]
        for wrap in WRAPS:
            found = [
                Measured(table.part(range(len(table.rows)), range(first, last)), wrap)
                for first, last in pairwise(edges)
            ]
            if all(panel.width <= PAGE for panel in found):
                return found
    return found


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
        entries = [entry for cell in cells for entry in _entries(column, cell)]
        if self.table.kind == WORDS:
            return self._wrapped([column.heading, *(text for text, _ in entries)])
        marks = width("a,b") if any(cell.notes for cell in cells) else 0.0
        widest = max((width(text) + width(small, TINY) for text, small in entries), default=0.0)
        return max(widest, _longest_word(column.heading)) + marks

    def _wrapped(self, texts: Sequence[str]) -> float:
        """Width that texts take if they wrap where that is long."""
        natural = max(map(width, texts), default=0.0)
        return min(natural, max(self.wrap, *map(_longest_word, texts)))


def _entries(column: Column, cell: Cell) -> tuple[tuple[str, str], tuple[str, str]]:
    """Return our entry and the paper's, each with what stands beside it in small print."""
    spread, change = deviation(column, cell), difference(column, cell)
    ourselves = ours(column, cell), f" ± {spread}" if spread else ""
    return ourselves, (published(column, cell), f" ({change})" if change else "")


def _longest_word(text: str) -> float:
    return max(map(width, broken(text)), default=0.0)


def _panel(measured: Measured, marks: dict[str, str]) -> Panel:
    table, wraps = measured.table, measured.table.kind == WORDS
    spans, rules = _spans(table)
    headings = [
        _words(column.heading) if wraps else _heading(column.heading, points)
        for column, points in zip(table.columns, measured.inner, strict=True)
    ]
    return Panel(
        alignment="".join(map(_paragraph, measured.before))
        + "".join(_paragraph(points) if wraps else "c" for points in measured.inner)
        + "".join(map(_paragraph, measured.after)),
        spans=spans,
        rules=rules,
        headings=[*map(_words, table.stub), *headings, *map(_words, table.after)],
        lines=list(_lines(table, marks)),
    )


def _paragraph(points: float) -> str:
    return f"p{{{points:.1f}pt}}"


def _words(text: str) -> str:
    """Return text that wraps at the left of its column."""
    return rf"\raggedright {words(text)}" if text else ""


def _heading(text: str, points: float) -> str:
    return rf"\parbox[b]{{{points:.1f}pt}}{{\centering {words(text)}}}"


def _spans(part: Table) -> tuple[list[str], list[str]]:
    """Return the headings over several columns and the rules below them."""
    if not groups(part):
        return [], []
    texts, rules, first = [""] * len(part.stub), [], len(part.stub) + 1
    for text, span in groups(part):
        texts.append(rf"\multicolumn{{{span}}}{{c}}{{{escaped(text)}}}")
        if text:
            rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    return texts + [""] * len(part.after), rules


def _lines(part: Table, marks: dict[str, str]) -> Iterator[tuple[bool, list[str]]]:
    """Yield the lines of each row: ours, then the paper's, which carry the marks of notes."""
    name = part.name_column
    shown = partial(_cell, part.kind == WORDS)
    for line in lines(part, marks):
        compared = any(cell.published is not None for _, cell, _ in line.cells)
        stub = [_stub(entry) for entry in line.stub]
        label = [""] * len(stub)
        label[name] = r"\textit{published}"
        (label if compared else stub)[name] += _raised(line.marks)
        mine, theirs = [], []
        for column, cell, letters in line.cells:
            (text, spread), (printed, change) = _entries(column, cell)
            mine.append(shown(text, spread) + ("" if compared else _raised(letters)))
            theirs.append(shown(printed, change, italic=True) + _raised(letters))
        yield line.opens, [*stub, *mine, *map(_words, line.after)]
        if compared:
            yield False, [*label, *theirs, *[""] * len(line.after)]


def _cell(wraps: bool, text: str, small: str, italic: bool = False) -> str:
    if text == DASH:
        return "---"
    shown = words(text) if wraps else escaped(text)
    if text and italic:
        shown = rf"\textit{{{shown}}}"
    shown += rf" {{\tiny{escaped(small)}}}" if small else ""
    return rf"\raggedright {shown}" if wraps and shown else shown


def _stub(entry: Stub) -> str:
    return _words(entry) if isinstance(entry, str) else MARKS[entry]


def _raised(letters: Sequence[str]) -> str:
    return rf"\textsuperscript{{{','.join(letters)}}}" if letters else ""
