"""Write ``ro-crate-metadata.json`` beside the results of a suite."""

from __future__ import annotations

import argparse
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from craft.files import paths, receipts
from craft.files.atomic import read_json, sha256, write_json
from craft.report.crate.metadata import crate
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write ``ro-crate-metadata.json`` beside the results, and copy the workflow there."""
    parser = argparse.ArgumentParser(prog="python -m craft.report.crate", description=__doc__)
    parser.add_argument("--results", required=True, metavar="FOLDER", help="of the suite")
    parser.add_argument(
        "--workflow", nargs="+", required=True, type=Path, metavar="FILE", help="Snakefile, rules"
    )
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    folder = Path(args.results)
    provenance = read_json(folder / paths.PROVENANCE)
    copies = {}
    for source in args.workflow:
        name = f"rules/{source.name}" if source.suffix == ".smk" else source.name
        target = folder / paths.WORKFLOW / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        copies[f"{paths.WORKFLOW}/{name}"] = sha256(target)
    found = crate(provenance, sha256(folder / paths.SUITE), copies)
    write_json(folder / paths.CRATE, found)
    read = [folder / paths.PROVENANCE, folder / paths.SUITE]
    receipts.write([folder / paths.CRATE], args.receipt, read)
    log.info("%s: %d entities", folder / paths.CRATE, len(found["@graph"]))


if __name__ == "__main__":
    run_command(main)
