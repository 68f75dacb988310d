"""A table as a separate HTML page that needs no network."""

from __future__ import annotations

from craft.report.tables.table import Table
from craft.report.tables.wording import rendered

_MACROS = """
{% macro raised(letters) %}
{% if letters %}<sup>{{ letters | join(",") }}</sup>{% endif %}
{% endmacro %}
{% macro blank(names) %}
{% for _ in names %}<th></th>{% endfor %}
{% endmacro %}
{% macro entry(column, cell, printed) %}
{% set text = published(column, cell) if printed else ours(column, cell) %}
{% set more = difference(column, cell) if printed else deviation(column, cell) %}
{{ text }}{% if more %}{{ " (" ~ more ~ ")" if printed else " ± " ~ more }}{% endif %}
{% endmacro %}
{% macro grid(part, marks, printed) %}
<table>
<thead>
{% if groups(part) %}
<tr>{{ blank(part.stub) }}
{% for text, span in groups(part) %}
<th colspan="{{ span }}" class="group">{{ text }}</th>
{% endfor %}
{{ blank(part.after) }}</tr>
{% endif %}
<tr>
{% for text in part.stub %}
<th class="text">{{ text }}</th>
{% endfor %}
{% for column in part.columns %}
<th>{{ column.heading }}</th>
{% endfor %}
{% for text in part.after %}
<th class="text">{{ text }}</th>
{% endfor %}
</tr>
</thead>
<tbody>
{% for line in lines(part, marks) %}
<tr{% if line.opens %} class="opens"{% endif %}>
{% for text in line.stub %}
<td class="text">{{ text if text is string else MARKS[text] }}
{%- if loop.index0 == part.name_column %}{{ raised(line.marks) }}{% endif %}</td>
{% endfor %}
{% for column, cell, letters in line.cells %}
<td{% if part.kind == WORDS %} class="text"{% endif %}>
{{- entry(column, cell, printed) | trim }}{{ raised(letters) | trim }}</td>
{% endfor %}
{% for text in line.after %}
<td class="text">{{ text }}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody>
</table>
{% endmacro %}
"""

_CONTENT = """
<p>
{%- if named -%}
<strong>{{ table.artefact.name }}</strong> ({{ table.artefact.origin(table.suite) }}).
{% endif %}
{{ table.caption }}</p>
{{ grid(table, {} if table.has_published() else marks, false) }}
{% if table.missing() %}
<p>{{ DASH }} {{ missing_sentence(table.missing()) }}</p>
{% endif %}
{% for notice in table.notices %}
<p>{{ notice }}</p>
{% endfor %}
{% if table.has_published() %}
<p>Published (in brackets: {{ COMPARED[table.kind] }}):</p>
{{ grid(table.printed_part(), marks, true) }}
{% endif %}
{% for note, mark in marks.items() %}
<div><sup>{{ mark }}</sup> {{ note }}</div>
{% endfor %}
"""

_PAGE = """
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{{ table.artefact.heading(table.suite) }}</title>
<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; white-space: nowrap; text-align: right; }
td.text, th.text { text-align: left; }
th { white-space: normal; vertical-align: bottom; }
thead tr:first-child th { border-top: 2px solid; }
thead tr:last-child th { border-bottom: 1px solid; }
th.group { text-align: center; }
p { max-width: 70rem; }
tbody tr.opens td { border-top: 1px solid; }
tbody tr:last-child td { border-bottom: 2px solid; }
tbody tr:hover { background: #f2f2f2; }
sup { color: #666; }
</style>
"""


def html(table: Table) -> str:
    """Return a whole page that shows a table and fetches nothing."""
    template = _MACROS + _PAGE + _CONTENT + "</html>\n"
    return rendered(template, table, named=True).lstrip()


def fragment(table: Table) -> str:
    """Return the table as a part of a page, without its name."""
    return rendered(_MACROS + _CONTENT, table, named=False).lstrip()
