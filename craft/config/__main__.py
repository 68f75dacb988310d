"""Validate a suite's files without Snakemake."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from craft.config.load import load, merged
from craft.design.runs import Design
from craft.runtime.command import run_command


def main(arguments: Sequence[str] | None = None) -> None:
    """Validate a suite's files; raises ConfigError with all problems."""
    parser = argparse.ArgumentParser(prog="python -m craft.config", description=main.__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="as given to --configfile")
    files = parser.parse_args(arguments).files
    source = " + ".join(files)
    suite = load(merged(files), source=source)
    for notice in suite["notices"]:
        print(f"notice: {notice}")
    design = Design(suite)
    count = f"{len(design.artefacts())} artefacts, {len(design.all_runs)} runs"
    print(f"{source} is valid ({count})")


if __name__ == "__main__":
    run_command(main)
