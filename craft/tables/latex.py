"""A table as LaTeX: a table environment that needs booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from craft.tables.layout import Cell, Column, Stub, Table
from craft.tables.markdown import missing_sentence, number

MARKS = {True: r"$\surd$", False: r"$\times$", None: "--"}

#: Above this many columns of numbers the deviation goes on a line below the mean, to fit a page.
WIDE = 7

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "±": r"$\pm$",
    "—": "---",
    "λ": r"$\lambda$",
    "₁": "$_1$",
    "₂": "$_2$",
}


def escaped(text: str) -> str:
    """Text with LaTeX's special characters made printable."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def latex(table: Table) -> str:
    """A ``table*`` environment with caption, label, booktabs rules, and notes below the rules."""
    marks = table.note_marks()
    wide = len(table.columns) > WIDE
    alignment = "l" * len(table.stub) + "c" * len(table.columns) + "l" * len(table.after)
    lines = [
        f"% {table.artefact}: {table.place} of the paper; suite {table.suite}",
        r"\begin{table*}[t]",
        r"\centering",
        *([r"\scriptsize", r"\setlength{\tabcolsep}{2pt}"] if wide else [r"\small"]),
        rf"\caption{{{escaped(table.caption)}}}",
        rf"\label{{tab:{table.artefact}}}",
        rf"\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
        r"\toprule",
        *_group_headings(table),
        _line([*table.stub, *(column.heading for column in table.columns), *table.after]),
        r"\midrule",
    ]
    for index, row in enumerate(table.rows):
        continues = table.continues_group(index)
        if index and table.grouped and not continues:
            lines.append(r"\midrule")
        stub = [_stub(entry) for entry in row.stub]
        if continues:
            stub[0] = ""
        common = table.row_notes(row)
        stub[table.name_column] += _raised(common, marks)
        cells = []
        for cell in row.cells:
            raised = _raised([note for note in cell.notes if note not in common], marks)
            cells.append(_mean(table, cell) + raised + ("" if wide else _deviation(cell, " ")))
        after = [escaped(texts[index]) for texts in table.after.values()]
        lines.append(" & ".join([*stub, *cells, *after]) + r" \\")
        if wide and any(cell.std is not None for cell in row.cells):
            below = [_deviation(cell, "") for cell in row.cells]
            lines.append(" & ".join([""] * len(stub) + below + [""] * len(after)) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    footnotes = [rf"\textsuperscript{{{mark}}} {escaped(note)}" for note, mark in marks.items()]
    if missing := table.missing():
        footnotes.append(f"--- {escaped(missing_sentence(missing))}")
    for text in footnotes:
        lines += ["", rf"{{\footnotesize {text}\par}}"]
    lines += [r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _group_headings(table: Table) -> list[str]:
    """The row of headings over several columns, with its rules; none where no column has one."""
    if not any(column.group for column in table.columns):
        return []
    texts, rules = [""] * len(table.stub), []
    first = len(table.stub) + 1
    for group, columns in groupby(table.columns, key=_group):
        span = len(list(columns))
        texts.append(rf"\multicolumn{{{span}}}{{c}}{{{escaped(group)}}}")
        rules.append(rf"\cmidrule(lr){{{first}-{first + span - 1}}}")
        first += span
    texts += [""] * len(table.after)
    return [" & ".join(texts) + r" \\", " ".join(rules)]


def _group(column: Column) -> str:
    return column.group


def _line(texts: list[str]) -> str:
    return " & ".join(map(escaped, texts)) + r" \\"


def _stub(entry: Stub) -> str:
    return escaped(entry) if isinstance(entry, str) else MARKS[entry]


def _mean(table: Table, cell: Cell) -> str:
    return "---" if cell.value is None else number(table, cell.value)


def _deviation(cell: Cell, space: str) -> str:
    return "" if cell.std is None else rf"{space}{{\tiny $\pm$ {cell.std:.2f}}}"


def _raised(notes: Iterable[str], marks: Mapping[str, str]) -> str:
    letters = ",".join(marks[note] for note in notes)
    return rf"\textsuperscript{{{letters}}}" if letters else ""
