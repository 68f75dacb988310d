"""Write the report's front page and a page for each method."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from craft.design.artefacts import ARTEFACTS, maker
from craft.files import paths, receipts
from craft.files.atomic import write_text
from craft.report.pages.method import method_page
from craft.report.pages.overview import overview
from craft.report.published import Published
from craft.report.tables.__main__ import build
from craft.report.tidy_runs import read
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write FOLDER/report/overview.html and FOLDER/report/methods/METHOD.html."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.pages", description=__doc__)
    parser.add_argument(
        "--results", required=True, type=Path, metavar="FOLDER", help="of the suite"
    )
    parser.add_argument("--suite", required=True, help="name of the suite")
    parser.add_argument("--methods", nargs="+", required=True, help="ids of methods")
    parser.add_argument("--tables", nargs="*", default=[], help="of the front page, in order")
    parser.add_argument("--compared", nargs="*", default=[], help="tables of a method's numbers")
    parser.add_argument("--figures", nargs="*", default=[], help="of the front page and of methods")
    parser.add_argument("--published", metavar="FOLDER", help="the paper's printed numbers")
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")

    def gathered(name: str) -> Path:
        return args.results / paths.GATHERED.format(artefact=name)

    def tidy(name: str) -> Path:
        return args.results / f"{paths.TABLE.format(artefact=name)}.csv"

    runs_path = args.results / paths.RUNS
    runs = pd.read_csv(runs_path, dtype=str, keep_default_na=False)
    tables = [build(ARTEFACTS[name], read(gathered(name)), args.published) for name in args.tables]
    panels = {}
    for name in args.figures:
        artefact, lines = ARTEFACTS[name], read(gathered(name))
        panels[artefact] = maker(artefact)(
            artefact, lines, Published.read(args.published, artefact, lines)
        )
    compared = {
        ARTEFACTS[name]: pd.read_csv(tidy(name), dtype=str, keep_default_na=False)
        for name in args.compared
    }
    labels = dict(zip(runs["method"], runs["label"], strict=True))
    methods = {name: labels[name] for name in args.methods}
    read_files = [
        runs_path,
        *map(gathered, (*args.tables, *args.figures)),
        *map(tidy, args.compared),
    ]
    for name in (*args.tables, *args.figures):
        read_files += map(Path, ARTEFACTS[name].printed_files(args.published))
    front = args.results / paths.OVERVIEW
    write_text(front, overview(args.suite, tables, panels, methods))
    made = [front]
    for method in methods:
        made.append(args.results / paths.METHOD_PAGE.format(method=method))
        write_text(made[-1], method_page(method, args.suite, runs, compared, panels))
    receipts.write(made, args.receipt, read_files)
    log.info("%s: %d pages", front.parent, len(made))


if __name__ == "__main__":
    run_command(main)
