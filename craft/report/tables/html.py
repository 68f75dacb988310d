"""A table as an HTML page of its own, for a report that is read without a network."""

from __future__ import annotations

import html

from markdown_it import MarkdownIt

_STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; margin: 2rem; color: #1a1a1a; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; white-space: nowrap; }
thead th { border-top: 2px solid; border-bottom: 1px solid; }
thead th { white-space: normal; vertical-align: bottom; }
p { max-width: 70rem; }
tbody tr:last-child td { border-bottom: 2px solid; }
tbody tr:hover { background: #f2f2f2; }
sup { color: #666; }
"""


def page(title: str, markdown: str) -> str:
    """A whole HTML page that shows a table's Markdown (tables and ``sup`` marks included)."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n{body}</html>\n"
    )
