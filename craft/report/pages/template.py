"""Shared parts of the pages: layout, tables and embedded pictures."""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from craft.design.artefact import Artefact
from craft.report.figures import style
from craft.report.figures.panels import Panel

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>
.craft { font: 15px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 60rem;
  margin: 0 auto; padding: 1rem; box-sizing: border-box; }
.craft h1 { font-size: 1.6rem; line-height: 1.2; margin: .5rem 0; }
.craft h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
.craft .scroll { overflow-x: auto; }
.craft img { display: block; }
.craft table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
.craft th, .craft td { padding: .25rem .5rem; white-space: nowrap; text-align: right; }
.craft td.text, .craft th.text { text-align: left; }
.craft td.wrap { white-space: normal; text-align: left; }
.craft thead tr:first-child th { border-top: 2px solid; }
.craft thead tr:last-child th { border-bottom: 1px solid; }
.craft th.group { text-align: center; }
.craft tbody tr.opens td { border-top: 1px solid; }
.craft tbody tr:last-child td { border-bottom: 2px solid; }
.craft dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1rem; }
.craft dd { margin: 0; overflow-wrap: anywhere; }
.craft sup { color: #666; }
</style>
<div class="craft">
{{ body }}
</div>
</html>
"""

ENVIRONMENT = Environment(
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=True
)


def page(title: str, template: str, **values: Any) -> str:
    """Return a whole page: a template's content in the layout."""
    body = Markup(ENVIRONMENT.from_string(template).render(**values))
    return ENVIRONMENT.from_string(_PAGE).render(title=title, body=body)


def picture(artefact: Artefact, panels: Sequence[Panel]) -> str:
    """Return a drawn figure as a data URI; the same panels give the same text."""
    drawn = io.BytesIO()
    with style.styled():
        figure = importlib.import_module(artefact.module).draw(tuple(panels))
        figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
