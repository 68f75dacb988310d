"""A table as LaTeX: a table environment that needs booktabs and nothing else.

It fits the page of a two-column article. Columns that do not fit beside each other are printed
below each other, under the same rows; words wrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from craft.report.tables.latex_layout import GAP, Measured, entries, floats
from craft.report.tables.latex_text import escaped, words
from craft.report.tables.table import WORDS, Stub, Table
from craft.report.tables.wording import DASH, groups, lines, missing_sentence, rendered

MARKS = {True: r"$\surd$", False: r"$\times$", None: "--"}

_TEMPLATE = r"""
% {{ table.artefact.name }}: {{ table.artefact.origin(table.suite) }}
{% for panels in floats %}
\begin{table*}[t]
\centering
\footnotesize
\setlength{\tabcolsep}{{ "{" }}{{ gap }}pt}
\setlength{\emergencystretch}{3em}
{% if loop.first %}
\caption{{ "{" }}{{ table.caption | text }}}
\label{tab:{{ table.artefact.name }}}
{% else %}
\addtocounter{table}{-1}
\caption{(continued)}
{% endif %}

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
{% for note in notes if loop.last %}

{\raggedright {{ note }}\par}
{% endfor %}
\end{table*}
{% endfor %}
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
    """Return ``table*`` environments with caption, label, booktabs rules, notes below the rules.

    One is enough where the page is. Below a row that the paper prints stands what it prints, in
    italics, and the difference.
    """
    marks = table.note_marks()
    notes = [rf"\textsuperscript{{{mark}}} {words(note)}" for note, mark in marks.items()]
    if missing := table.missing():
        notes.append(f"--- {words(missing_sentence(missing))}")
    notes += map(words, table.notices)
    found = [[_panel(part, marks) for part in parts] for parts in floats(table, notes)]
    return rendered(_TEMPLATE, table, words, floats=found, notes=notes, gap=f"{GAP:g}").lstrip("\n")


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
            (text, spread), (printed, change) = entries(column, cell)
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
