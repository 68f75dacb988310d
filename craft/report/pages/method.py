"""The page of a method: its curves, its numbers in every table, its options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pandas as pd

from craft.design.artefact import Artefact
from craft.report.figures.panels import Panel
from craft.report.pages.template import page, picture
from craft.report.tables.wording import DASH

#: Stands in each panel for comparison.
REFERENCE = "zero-shot"

_BODY = """
<h1>{{ label }}</h1>
<dl>
{% for name, value in facts.items() %}
<dt>{{ name }}</dt><dd>{{ value }}</dd>
{% endfor %}
</dl>
{% for heading, shown in curves %}
<h2>{{ heading }}</h2>
<div class="scroll"><img src="{{ shown }}" alt="{{ heading }} of {{ label }}"></div>
{% endfor %}
{% if numbers %}
<h2>Numbers</h2>
<div class="scroll">
<table>
<thead><tr><th class="text">Table</th><th class="text">Backbone</th><th class="text">Column</th>
<th>Mean ± deviation</th><th>Seeds</th></tr></thead>
<tbody>
{% for line in numbers %}
<tr><td class="text">{{ line.table }}</td><td class="text">{{ line.backbone }}</td>
<td class="text">{{ line.column }}</td><td>{{ line.value }}</td><td>{{ line.seeds }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% endif %}
<h2>Options that its runs were given</h2>
<div class="scroll">
<table>
<thead><tr><th class="text">Option</th><th class="text">Values of its runs</th></tr></thead>
<tbody>
{% for name, values in options.items() %}
<tr><td class="text">{{ name }}</td><td class="wrap">{{ values }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
"""


def method_page(
    method: str,
    suite: str,
    runs: pd.DataFrame,
    tables: Mapping[Artefact, pd.DataFrame],
    panels: Mapping[Artefact, Sequence[Panel]],
) -> str:
    """Return the page of a method of a suite.

    ``runs`` are the lines of ``runs.csv``, ``tables`` the tidy files of tables that compare
    methods, ``panels`` those of the figures, as text all of them.
    """
    own = runs[runs["method"] == method]
    label = own["label"].iloc[0]
    return page(
        f"{label}: suite {suite}",
        _BODY,
        label=label,
        facts={
            "Method": method,
            "Learner": _values(own["learner"]),
            "Access": _values(own["access"]),
            "Runs": str(len(own)),
        },
        curves=[
            (artefact.heading(suite), picture(artefact, shown))
            for artefact, made in panels.items()
            if (shown := _of(method, made))
        ],
        numbers=list(_numbers(method, suite, tables)),
        options={
            name.removeprefix("option:"): _values(own[name])
            for name in own
            if name.startswith("option:") and (own[name] != "").any()
        },
    )


def _of(method: str, panels: Sequence[Panel]) -> tuple[Panel, ...]:
    """Return the panels that show a method, with its curve and the reference's alone."""
    found = []
    for panel in panels:
        curves = [curve for curve in panel.curves if curve.method in (method, REFERENCE)]
        if any(curve.method == method for curve in curves):
            found.append(replace(panel, curves=tuple(curves)))
    return tuple(found)


def _numbers(
    method: str, suite: str, tables: Mapping[Artefact, pd.DataFrame]
) -> Iterator[dict[str, str]]:
    for artefact, lines in tables.items():
        for line in lines[lines["method"] == method].to_dict("records"):
            mean, std = line["mean"], line["std"]
            shown = f"{float(mean):.2f}" if mean else DASH
            yield {
                "table": artefact.heading(suite),
                "backbone": line["backbone"],
                "column": line["column"],
                "value": f"{shown} ± {float(std):.2f}" if std else shown,
                "seeds": line["seeds"],
            }


def _values(column: pd.Series[str]) -> str:
    """Return the values of runs, each once; an empty one is none, others have four digits."""
    return ", ".join(dict.fromkeys(_shown(value) for value in column))


def _shown(value: str) -> str:
    return f"{float(value):.4g}" if re.fullmatch(r"\d+\.\d+", value) else value or "none"
