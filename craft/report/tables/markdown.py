"""A table as Markdown in the paper's shape, with the published numbers and footnotes below."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from craft.report.tables.table import WORDS, Cell, Column, Stub, Table
from craft.report.tables.wording import (
    MARKS,
    deviation,
    difference,
    lines,
    ours,
    published,
    rendered,
)

# Notes are marked where the published numbers stand.
_TEMPLATE = """
**{{ table.artefact.name }}** ({{ table.artefact.origin(table.suite) }}). {{ table.caption | text }}

{% for line in grid(table, {} if table.has_published() else marks, false) %}
| {{ line | join(" | ") }} |
{% endfor %}
{% if table.missing() %}

{{ DASH }} {{ missing_sentence(table.missing()) }}
{% endif %}
{% for notice in table.notices %}

{{ notice | text }}
{% endfor %}
{% if table.has_published() %}

Published (in brackets: {{ COMPARED[table.kind] }}):

{% for line in grid(table.printed_part(), marks, true) %}
| {{ line | join(" | ") }} |
{% endfor %}
{% endif %}
{% if marks %}

{% for note, mark in marks.items() %}
<sup>{{ mark }}</sup> {{ note | text }}{{ "  " }}
{% endfor %}
{% endif %}
"""


def markdown(table: Table) -> str:
    """Return the table, what is missing, the published numbers if there are any, the footnotes."""
    return rendered(_TEMPLATE, table, escaped, grid=_grid).lstrip("\n")


def escaped(text: str) -> str:
    """Return text with the characters escaped that Markdown takes as markup, and cells' borders."""
    return re.sub(r"([\\|*_`<\[\]$]|&(?=[#\w]+;))", r"\\\1", text)


def _grid(table: Table, marks: dict[str, str], printed: bool) -> Iterator[list[str]]:
    """Yield the lines of a pipe table; a heading above columns is joined to theirs."""
    heads = [f"{c.group}: {c.heading}" if c.group else c.heading for c in table.columns]
    yield [escaped(text) for text in (*table.stub, *heads, *table.after)]
    rules = [":--" if table.kind == WORDS else "--:"] * len(heads)
    yield [*[":--"] * len(table.stub), *rules, *[":--"] * len(table.after)]
    show: Callable[[Column, Cell], str] = _published if printed else _ours
    for line in lines(table, marks):
        stub = [_stub(entry) for entry in line.stub]
        stub[table.name_column] += _raised(line.marks)
        cells = [show(column, cell) + _raised(letters) for column, cell, letters in line.cells]
        yield [*stub, *cells, *map(escaped, line.after)]


def _ours(column: Column, cell: Cell) -> str:
    text, spread = escaped(ours(column, cell)), deviation(column, cell)
    return f"{text} ± {spread}" if spread else text


def _published(column: Column, cell: Cell) -> str:
    text, change = escaped(published(column, cell)), difference(column, cell)
    return f"{text} ({change})" if change else text


def _stub(entry: Stub) -> str:
    return escaped(entry) if isinstance(entry, str) else MARKS[entry]


def _raised(letters: tuple[str, ...]) -> str:
    return f"<sup>{','.join(letters)}</sup>" if letters else ""
