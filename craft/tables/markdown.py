"""A table as Markdown in the paper's shape, with footnotes and the published numbers below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from craft.tables.layout import Cell, Stub, Table

DASH = "—"
MARKS = {True: "✓", False: "✗", None: DASH}

#: Missing runs listed in full; more are counted (the CSV names each).
LISTED = 8


def markdown(table: Table) -> str:
    """The table, what is missing, the published numbers where there are any, the footnotes."""
    marks = table.note_marks()
    below = table.has_published()  # notes are marked where the published numbers stand
    head = f"**{table.artefact}** ({table.place} of the paper; suite: {table.suite})"
    ours = _grid(table, partial(_ours, table), {} if below else marks)
    parts = [f"{head}. {_escaped(table.caption)}", ours]
    if missing := table.missing():
        parts.append(f"{DASH} {missing_sentence(missing)}")
    if below:
        parts.append("Published (in brackets: ours minus published):")
        parts.append(_grid(table, partial(_published, table), marks))
    if marks:
        parts.append("\n".join(f"<sup>{mark}</sup> {_escaped(n)}  " for n, mark in marks.items()))
    return "\n\n".join(parts) + "\n"


def missing_sentence(missing: Sequence[str]) -> str:
    """Names what is missing, up to a number that can be read."""
    listed = "; ".join(missing[:LISTED])
    rest = len(missing) - LISTED
    more = f"; and {rest} more (see the CSV)" if rest > 0 else ""
    return f"Missing: {listed}{more}."


def number(table: Table, value: float) -> str:
    """Accuracies with two decimals, counts with thousands separators."""
    return f"{value:,.0f}" if table.counts else f"{value:.2f}"


def _ours(table: Table, cell: Cell) -> str:
    if cell.value is None:
        return DASH
    deviation = "" if cell.std is None else f" ± {cell.std:.2f}"
    return number(table, cell.value) + deviation


def _published(table: Table, cell: Cell) -> str:
    if cell.published is None:
        return ""
    text = number(table, cell.published)
    if cell.difference is None:
        return text
    size = number(table, abs(cell.difference))
    negative = cell.difference < 0 and float(size.replace(",", "")) > 0
    return f"{text} ({'-' if negative else '+'}{size})"


def _grid(table: Table, text: Callable[[Cell], str], marks: Mapping[str, str]) -> str:
    """A pipe table; a heading above columns is joined to theirs, Markdown has one heading row."""
    headings = [
        f"{column.group}: {column.heading}" if column.group else column.heading
        for column in table.columns
    ]
    stub_rule = [":--"] * len(table.stub)
    lines = [
        _line([*table.stub, *headings, *table.after]),
        _line([*stub_rule, *["--:"] * len(headings), *[":--"] * len(table.after)], escape=False),
    ]
    for index, row in enumerate(table.rows):
        stub = [_stub(entry) for entry in row.stub]
        if table.continues_group(index):
            stub[0] = ""
        common = table.row_notes(row)
        stub[table.name_column] += _raised(common, marks)
        cells = [
            text(cell) + _raised([note for note in cell.notes if note not in common], marks)
            for cell in row.cells
        ]
        after = [_escaped(texts[index]) for texts in table.after.values()]
        lines.append(_line([*stub, *cells, *after], escape=False))
    return "\n".join(lines)


def _raised(notes: Iterable[str], marks: Mapping[str, str]) -> str:
    letters = ",".join(marks[note] for note in notes if note in marks)
    return f"<sup>{letters}</sup>" if letters else ""


def _line(texts: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(map(_escaped, texts) if escape else texts) + " |"


def _stub(entry: Stub) -> str:
    return _escaped(entry) if isinstance(entry, str) else MARKS[entry]


def _escaped(text: str) -> str:
    """Characters that Markdown would take as markup, and the cell separator."""
    for character in "\\|*_`<":
        text = text.replace(character, f"\\{character}")
    return text
