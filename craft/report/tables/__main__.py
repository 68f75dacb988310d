"""Command line: one table of a design as CSV, Markdown, LaTeX and HTML."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence

from craft.design.runs import DISCREPANCIES, TABLES, Design, heading
from craft.evaluation.scores import Scores
from craft.files import receipts
from craft.files.atomic import write_text
from craft.report.published import Published
from craft.report.tables import ablations, comparisons, costs
from craft.report.tables.assumptions import blackbox_assumptions
from craft.report.tables.dataset_statistics import dataset_statistics
from craft.report.tables.discrepancies import discrepancies
from craft.report.tables.html import page
from craft.report.tables.latex import latex
from craft.report.tables.markdown import markdown
from craft.report.tables.model import Table
from craft.report.tables.tidy_csv import tidy
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

_OF_RUNS = {
    "architectures": comparisons.architectures,
    "robustness": comparisons.robustness,
    "ablation_components": ablations.components,
    "efficiency": costs.efficiency,
    "ablation_lambda1": ablations.lambda1,
    "ablation_lambda2": ablations.lambda2,
    "ablation_residual": ablations.residual,
    "blackbox_assumptions": blackbox_assumptions,
    "blackbox_methods": comparisons.blackbox_methods,
    "training_time": costs.training_time,
}


def build(artefact: str, design: Design, published: Published) -> Table:
    """The table of an artefact; raises KeyError for an unknown one."""
    if artefact == "dataset_statistics":
        return dataset_statistics(design, published)
    if artefact == DISCREPANCIES:
        return discrepancies(design, Scores(design))
    return _OF_RUNS[artefact](design, Scores(design), published)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write OUT.md, OUT.html, OUT.tex and OUT.csv."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.tables", description=__doc__)
    parser.add_argument("--artefact", required=True, choices=tuple(TABLES))
    parser.add_argument("--design", required=True, type=json.loads, metavar="JSON")
    parser.add_argument("--published", metavar="FOLDER", help="the paper's printed numbers")
    parser.add_argument("--out", required=True, metavar="PREFIX")
    receipts.add_argument(parser)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    design = Design(given.design)
    published = Published.read(given.published, design, given.artefact)
    table = build(given.artefact, design, published)
    for missing in table.missing():
        log.warning("missing: %s", missing)
    text = markdown(table)
    write_text(f"{given.out}.md", text)
    write_text(f"{given.out}.html", page(heading(table.suite, table.artefact), text))
    write_text(f"{given.out}.tex", latex(table))
    write_text(f"{given.out}.csv", tidy(table))
    made = [f"{given.out}.{suffix}" for suffix in ("md", "html", "tex", "csv")]
    receipts.write(made, given.receipt, design.sources(given.artefact))
    log.info("%s: %d rows, %d columns", given.out, len(table.rows), len(table.columns))


if __name__ == "__main__":
    run_command(main)
