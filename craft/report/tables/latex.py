"""A table as LaTeX: a table environment that needs booktabs and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from craft.report.tables.model import WORDS, Cell, Column, Row, Stub, Table
from craft.report.tables.wording import deviation, difference, entry, missing_sentence

MARKS = {True: r"$\surd$", False: r"$\times$", None: "--"}

#: Above this many columns of numbers each has a line of its own for its deviation, the published
#: number and the difference, to fit a page.
WIDE = 7

#: Width of a column of words.
PARAGRAPH = r"p{28mm}"

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
    "µ": r"$\mu$",
    "λ": r"$\lambda$",
    "₁": "$_1$",
    "₂": "$_2$",
}


def escaped(text: str) -> str:
    """Text with LaTeX's special characters made printable."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def latex(table: Table) -> str:
    """A ``table*`` environment with caption, label, booktabs rules, and notes below the rules.

    Below a row that the paper prints stands what it prints, in italics, and the difference.
    """
    marks = table.note_marks()
    wide = len(table.columns) > WIDE
    columns = PARAGRAPH if table.kind == WORDS else "c"
    alignment = "l" * len(table.stub) + columns * len(table.columns) + "l" * len(table.after)
    lines = [
        f"% {table.artefact}: {table.origin}",
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
        after = [escaped(texts[index]) for texts in table.after.values()]
        lines += _row(table, row, stub, after, marks)
    lines += [r"\bottomrule", r"\end{tabular}"]
    footnotes = [rf"\textsuperscript{{{mark}}} {escaped(note)}" for note, mark in marks.items()]
    if missing := table.missing():
        footnotes.append(f"--- {escaped(missing_sentence(missing))}")
    for text in footnotes:
        lines += ["", rf"{{\footnotesize {text}\par}}"]
    lines += [r"\end{table*}"]
    return "\n".join(lines) + "\n"


def _row(
    table: Table, row: Row, stub: list[str], after: list[str], marks: Mapping[str, str]
) -> list[str]:
    """The lines of a row; notes are marked where the published numbers stand, if there are any."""
    wide, blank = len(table.columns) > WIDE, [""] * len(after)
    common = table.row_notes(row)
    raised = [_raised([n for n in cell.notes if n not in common], marks) for cell in row.cells]
    pairs = list(zip(table.columns, row.cells, strict=True))
    ours = [_ours(column, cell) for column, cell in pairs]
    deviations = [_deviation(column, cell) for column, cell in pairs]
    printed = [_italic(column, cell) for column, cell in pairs]
    changes = [_change(column, cell) for column, cell in pairs]
    if not wide:
        ours = [f"{text} {more}".rstrip() for text, more in zip(ours, deviations, strict=True)]
        printed = [f"{text} {more}".rstrip() for text, more in zip(printed, changes, strict=True)]
    compared = any(printed)
    target, name = printed if compared else ours, table.name_column
    target[:] = [text + mark for text, mark in zip(target, raised, strict=True)]
    labels = [[*stub], [""] * len(stub), [""] * len(stub)]
    labels[1][name] = r"\textit{published}"
    labels[1 if compared else 0][name] += _raised(common, marks)
    lines = [(labels[0], ours, after)]
    if wide and any(deviations):
        lines.append((labels[2], deviations, blank))
    if compared:
        lines.append((labels[1], printed, blank))
    if wide and any(changes):
        lines.append((labels[2], changes, blank))
    return [" & ".join([*first, *texts, *last]) + r" \\" for first, texts, last in lines]


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


def _ours(column: Column, cell: Cell) -> str:
    if cell.value is None:
        return "---" if cell.missing else ""
    return escaped(entry(column, cell.value))


def _deviation(column: Column, cell: Cell) -> str:
    spread = deviation(column, cell)
    return rf"{{\tiny $\pm$ {spread}}}" if spread else ""


def _italic(column: Column, cell: Cell) -> str:
    if cell.published is None:
        return ""
    return rf"\textit{{{escaped(entry(column, cell.published))}}}"


def _change(column: Column, cell: Cell) -> str:
    change = difference(column, cell)
    return rf"{{\tiny ({escaped(change)})}}" if change else ""


def _raised(notes: Iterable[str], marks: Mapping[str, str]) -> str:
    letters = ",".join(marks[note] for note in notes)
    return rf"\textsuperscript{{{letters}}}" if letters else ""
