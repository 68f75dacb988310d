"""Print the headline table of a suite's results, and the paths of its artefacts."""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from craft.design.artefacts import ARTEFACTS
from craft.files import paths
from craft.files.atomic import RecordError
from craft.runtime.command import run_command

HEADLINE = "architectures"


def headline(path: Path, width: int) -> str:
    """Return the tidy table at ``path`` with a column per data set, in text; raises RecordError.

    Standard deviations are left out where the table would be wider than ``width`` characters.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            cells = list(csv.DictReader(stream))
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for cell in cells:
            row = rows.setdefault((cell["backbone"], cell["label"]), {})
            row[cell["column"]] = _number(cell["mean"], cell["std"])
    except (OSError, KeyError, ValueError) as error:
        raise RecordError(f"{path}: not a table of the suite ({error!r})") from error
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    grid = [["backbone", "method", *columns]]
    grid += [[*ids, *(row.get(column, "") for column in columns)] for ids, row in rows.items()]
    if len(_aligned(grid).splitlines()[0]) > width:
        grid = [[text.partition(" ±")[0].rstrip() for text in line] for line in grid]
    return _aligned(grid)


def _number(mean: str, std: str) -> str:
    if not mean:
        return "—"
    return f"{float(mean):.2f}" + (f" ±{float(std):5.2f}" if std else " " * 7)


def _aligned(grid: list[list[str]]) -> str:
    """Text columns left, numbers right, a rule below the heading and between backbones."""
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    lines = []
    for index, texts in enumerate(grid):
        if index == 1 or (index > 1 and texts[0] != grid[index - 1][0]):
            lines.append("  ".join("─" * width for width in widths))
        shown = [*texts]
        if index > 1 and texts[0] == grid[index - 1][0]:
            shown[0] = ""
        lines.append(
            "  ".join(
                text.ljust(width) if place < 2 else text.rjust(width)
                for place, (text, width) in enumerate(zip(shown, widths, strict=True))
            ).rstrip()
        )
    return "\n".join(lines)


def artefacts(results: Path) -> str:
    """Return a line per existing artefact: its place in the paper and its files."""
    found = []
    for artefact in ARTEFACTS.values():
        files = [path for name in artefact.files if (path := results / name).exists()]
        if files:
            suffixes = ",".join(path.suffix.removeprefix(".") for path in files)
            found.append(f"{artefact.called:<10} {files[0].with_suffix('')}.{{{suffixes}}}")
    runs = results / paths.RUNS
    found += [f"{'runs':<10} {runs}"] * runs.exists()
    found += [f"{'report':<10} {path}" for path in sorted(results.glob("report*.html"))]
    return "\n".join(found)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m craft.report.tables.headline", description=__doc__
    )
    parser.add_argument("--results", required=True, type=Path, metavar="FOLDER")
    args = parser.parse_args(arguments)
    width = shutil.get_terminal_size((110, 24)).columns
    table = headline(args.results / f"{HEADLINE}.csv", width)
    place = ARTEFACTS[HEADLINE].place
    title = f"Accuracy (%), mean ± standard deviation over seeds ({place} of the paper)"
    sys.stdout.write(f"\n{title}\n\n{table}\n\n{artefacts(args.results)}\n")


if __name__ == "__main__":
    run_command(main)
