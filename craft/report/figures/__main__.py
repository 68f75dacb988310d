"""Command line: one figure of a design as PDF, PNG and the plotted numbers as CSV."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence

from craft.design.runs import FIGURES, Design
from craft.evaluation.scores import Scores
from craft.files import receipts
from craft.files.atomic import write_text
from craft.report.figures import few_shot_curves, query_efficiency, style
from craft.report.figures.panels import plotted
from craft.report.published import Published
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: Artefact -> (module that makes and draws its panels, name of its x column)
_OF_RUNS = {
    "few_shot_curves": (few_shot_curves, "shots"),
    "query_efficiency": (query_efficiency, "queries"),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Write OUT.pdf, OUT.png and OUT.csv."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.figures", description=__doc__)
    parser.add_argument("--artefact", required=True, choices=tuple(FIGURES))
    parser.add_argument("--design", required=True, type=json.loads, metavar="JSON")
    parser.add_argument("--published", metavar="FOLDER", help="the paper's printed numbers")
    parser.add_argument("--out", required=True, metavar="PREFIX")
    receipts.add_argument(parser)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells of every glyph table
    design = Design(given.design)
    module, x = _OF_RUNS[given.artefact]
    published = Published.read(given.published, design, given.artefact)
    panels = module.panels(design, Scores(design), published)
    for panel in panels:
        for label in panel.incomplete():
            log.warning("%s: runs of %s are missing", panel.title, label)
    with style.styled():
        style.save(module.draw(panels), given.out)
    write_text(f"{given.out}.csv", plotted(given.artefact, x, panels))
    made = [f"{given.out}.{suffix}" for suffix in ("pdf", "png", "csv")]
    receipts.write(made, given.receipt, design.sources(given.artefact))
    log.info("%s: %d panels", given.out, len(panels))


if __name__ == "__main__":
    run_command(main)
