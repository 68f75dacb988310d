"""Command line: check a suite's files without Snakemake."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from craft.config.load import check_files, load, read
from craft.design.runs import Design
from craft.runtime.command import run_command


def _merged(below: Any, above: Any) -> Any:
    """A file's value over that of the file before it, mappings key by key, as Snakemake does."""
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    common = {key: _merged(below[key], above[key]) for key in above if key in below}
    return {**below, **above, **common}


def main(arguments: Sequence[str] | None = None) -> None:
    """Check a suite's files; raises ConfigError with all that is wrong."""
    parser = argparse.ArgumentParser(prog="python -m craft.config", description=main.__doc__)
    parser.add_argument("files", nargs="+", metavar="FILE", help="as given to --configfile")
    files = parser.parse_args(arguments).files
    check_files(files)
    source = " + ".join(files)
    suite = load(functools.reduce(_merged, map(read, files)), source=source)
    for notice in suite["notices"]:
        print(f"notice: {notice}")
    design = Design(suite)
    print(f"{source}: right; {len(design.artefacts())} artefacts of {len(design.all_runs)} runs")


if __name__ == "__main__":
    run_command(main)
