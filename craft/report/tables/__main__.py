"""Command line: one table as CSV, Markdown, LaTeX and HTML, from the runs gathered for it."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from craft.design.artefact import Artefact
from craft.design.artefacts import ARTEFACTS, maker, tables
from craft.files import receipts
from craft.files.atomic import write_text
from craft.report.published import Published
from craft.report.tables.html import html
from craft.report.tables.labels import notices
from craft.report.tables.latex import latex
from craft.report.tables.markdown import markdown
from craft.report.tables.table import Table
from craft.report.tables.tidy_csv import tidy
from craft.report.tidy_runs import read
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: Suffix of each form of a table -> how it is written.
FORMS = {"md": markdown, "html": html, "tex": latex, "csv": tidy}


def build(artefact: Artefact, lines: pd.DataFrame, published: str | None = None) -> Table:
    """Return a table from its gathered lines and the folder of the paper's printed numbers."""
    table = maker(artefact)(artefact, lines, Published.read(published, artefact, lines))
    return replace(table, notices=notices(lines) if "run" in lines else ())


def main(arguments: Sequence[str] | None = None) -> None:
    """Write OUT.md, OUT.html, OUT.tex and OUT.csv."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.tables", description=__doc__)
    parser.add_argument("--artefact", required=True, choices=[each.name for each in tables()])
    parser.add_argument("--runs", required=True, metavar="FILE", help="CSV of craft.evaluation")
    parser.add_argument("--published", metavar="FOLDER", help="the paper's printed numbers")
    parser.add_argument("--out", required=True, metavar="PREFIX")
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    artefact, lines = ARTEFACTS[args.artefact], read(args.runs)
    table = build(artefact, lines, args.published)
    for missing in table.missing():
        log.warning("missing: %s", missing)
    for suffix, form in FORMS.items():
        write_text(f"{args.out}.{suffix}", form(table))
    sources = [args.runs, *artefact.printed_files(args.published)]
    receipts.write([f"{args.out}.{suffix}" for suffix in FORMS], args.receipt, sources)
    log.info("%s: %d rows, %d columns", args.out, len(table.rows), len(table.columns))


if __name__ == "__main__":
    run_command(main)
