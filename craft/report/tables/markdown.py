"""A table as Markdown in the paper's shape, with footnotes and the published numbers below."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from craft.report.tables.model import WORDS, Cell, Column, Stub, Table
from craft.report.tables.wording import deviation, difference, entry, missing_sentence

DASH = "—"
MARKS = {True: "✓", False: "✗", None: DASH}


def markdown(table: Table) -> str:
    """The table, what is missing, the published numbers where there are any, the footnotes."""
    marks = table.note_marks()
    below = table.has_published()  # notes are marked where the published numbers stand
    head = f"**{table.artefact}** ({table.origin})"
    ours = _grid(table, _ours, {} if below else marks)
    parts = [f"{head}. {_escaped(table.caption)}", ours]
    if missing := table.missing():
        parts.append(f"{DASH} {missing_sentence(missing)}")
    if below:
        words = "whether ours differs" if table.kind == WORDS else "ours minus published"
        parts.append(f"Published (in brackets: {words}):")
        parts.append(_grid(table.printed_part(), _published, marks))
    if marks:
        parts.append("\n".join(f"<sup>{mark}</sup> {_escaped(n)}  " for n, mark in marks.items()))
    return "\n\n".join(parts) + "\n"


def _ours(column: Column, cell: Cell) -> str:
    if cell.value is None:
        return DASH if cell.missing else ""
    text, spread = _escaped(entry(column, cell.value)), deviation(column, cell)
    return f"{text} ± {spread}" if spread else text


def _published(column: Column, cell: Cell) -> str:
    if cell.published is None:
        return ""
    text, change = _escaped(entry(column, cell.published)), difference(column, cell)
    return f"{text} ({change})" if change else text


def _grid(table: Table, text: Callable[[Column, Cell], str], marks: Mapping[str, str]) -> str:
    """A pipe table; a heading above columns is joined to theirs, Markdown has one heading row."""
    headings = [
        f"{column.group}: {column.heading}" if column.group else column.heading
        for column in table.columns
    ]
    stub_rule = [":--"] * len(table.stub)
    rule = ":--" if table.kind == WORDS else "--:"
    lines = [
        _line([*table.stub, *headings, *table.after]),
        _line([*stub_rule, *[rule] * len(headings), *[":--"] * len(table.after)], escape=False),
    ]
    for index, row in enumerate(table.rows):
        stub = [_stub(entry) for entry in row.stub]
        if table.continues_group(index):
            stub[0] = ""
        common = table.row_notes(row)
        stub[table.name_column] += _raised(common, marks)
        cells = [
            text(column, cell) + _raised([note for note in cell.notes if note not in common], marks)
            for column, cell in zip(table.columns, row.cells, strict=True)
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
