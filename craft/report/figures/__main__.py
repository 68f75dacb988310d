"""Command line: one figure as PDF, PNG and the plotted numbers as CSV, from its gathered runs."""

from __future__ import annotations

import argparse
import importlib
import logging
from collections.abc import Sequence

from craft.design.artefacts import ARTEFACTS, figures, maker
from craft.files import receipts
from craft.files.atomic import write_text
from craft.report.figures import style
from craft.report.figures.panels import plotted
from craft.report.published import Published
from craft.report.tidy_runs import read
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write OUT.pdf, OUT.png and OUT.csv."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.figures", description=__doc__)
    parser.add_argument("--artefact", required=True, choices=[each.name for each in figures()])
    parser.add_argument("--runs", required=True, metavar="FILE", help="CSV of craft.evaluation")
    parser.add_argument("--published", metavar="FOLDER", help="the paper's printed numbers")
    parser.add_argument("--out", required=True, metavar="PREFIX")
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph table
    artefact, lines = ARTEFACTS[args.artefact], read(args.runs)
    panels = maker(artefact)(artefact, lines, Published.read(args.published, artefact, lines))
    for panel in panels:
        for label in panel.incomplete():
            log.warning("%s: runs of %s are missing", panel.title, label)
    drawing = importlib.import_module(artefact.module)
    with style.styled():
        style.save(drawing.draw(panels), args.out)
    write_text(f"{args.out}.csv", plotted(args.artefact, drawing.X, panels))
    made = [f"{args.out}.{suffix}" for suffix in ("pdf", "png", "csv")]
    receipts.write(made, args.receipt, [args.runs, *artefact.printed_files(args.published)])
    log.info("%s: %d panels", args.out, len(panels))


if __name__ == "__main__":
    run_command(main)
