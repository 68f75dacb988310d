"""Measure everything and write it up: ``python -m benchmarks --threads 2``, about 20 minutes.

Each benchmark leaves its JSON below ``benchmarks/figures``, and docs/performance.md gets its tables
from those files. ``--only NAME`` measures some of them, ``--only`` alone writes up what is there.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

from benchmarks.page import FIGURES, PAGE, PLOT, filled
from benchmarks.pictures import draw


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what was asked for, then fill in the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = (
        "text_tower",
        "scoring",
        "whole_run",
        "images",
        "precision",
        "image_tower",
        "service",
        "growth",
    )
    parser.add_argument("--threads", default="2", help="threads of each process")
    parser.add_argument("--only", nargs="*", choices=names, default=names, metavar="NAME")
    parser.add_argument("--clock", choices=("cpu", "wall"), default="wall")
    given = parser.parse_args(arguments)
    FIGURES.mkdir(exist_ok=True)
    for name in given.only:
        options = ["--threads", given.threads, "--json", str(FIGURES / f"{name}.json")]
        options += ["--clock", given.clock] if name in ("text_tower", "growth") else []
        options += ["--plot", str(PLOT)] if name == "growth" else []
        importlib.import_module(f"benchmarks.{name}").main(options)
    draw(FIGURES, PLOT.parent)
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
