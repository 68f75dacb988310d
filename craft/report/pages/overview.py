"""The front page: the headline table, both figures, and methods by access and queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from craft.design.artefact import Artefact
from craft.report.figures.panels import Panel
from craft.report.pages.template import page, picture
from craft.report.tables.html import fragment
from craft.report.tables.table import Table

_BODY = """
<h1>Results of the suite {{ suite }}</h1>
{% for table in tables %}
<h2>{{ table.artefact.heading(suite) }}</h2>
<div class="scroll">
{{ fragment(table) }}
</div>
{% endfor %}
{% for artefact, shown in figures.items() %}
<h2>{{ artefact.heading(suite) }}</h2>
<div class="scroll"><img src="{{ picture(artefact, shown) }}" alt="{{ artefact.title }}"></div>
{% endfor %}
{% if methods %}
<h2>Methods</h2>
<p>Each method has a page with its curves, numbers and options, in the folder <code>methods/</code>
and in the report's category Methods: {{ methods.values() | join(", ") }}.</p>
{% endif %}
"""


def overview(
    suite: str,
    tables: Sequence[Table],
    figures: Mapping[Artefact, Sequence[Panel]],
    methods: Mapping[str, str],
) -> str:
    """Return the front page; ``figures`` are panels to draw, ``methods`` labels by id."""
    return page(
        f"Results of the suite {suite}",
        _BODY,
        suite=suite,
        tables=tables,
        fragment=lambda table: Markup(fragment(table)),
        figures=figures,
        picture=picture,
        methods=methods,
    )
