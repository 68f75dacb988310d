"""Make a data set's tree complete: a complete one is taken as it is, another one is fetched.

``python -m craft.data.fetch --dataset config/datasets/D.yaml --root DATA/D [--out MARKER.json]``
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from craft.data.fetch.sources import Policy
from craft.data.fetch.tree import acquire
from craft.files.atomic import write_json
from craft.runtime.command import run_command

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a data set's tree complete."""
    parser = argparse.ArgumentParser(prog="python -m craft.data.fetch", description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="data-set YAML")
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--out", type=Path, help="JSON to write when the tree is complete")
    parser.add_argument("--keep", action="store_true", help="keep the archive after unpacking")
    parser.add_argument("--attempts", type=int, default=Policy.attempts, help="tries per source")
    parser.add_argument("--wait", type=float, default=Policy.wait, help="seconds before the second")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    # The log has lines of its own; a library's bar would write control characters.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    policy = Policy(attempts=options.attempts, wait=options.wait)
    origin = acquire(options.dataset, options.root, keep=options.keep, policy=policy)
    log.info("%(dataset)s: %(images)d images, %(source)s", origin)
    if options.out:
        write_json(options.out, origin)


if __name__ == "__main__":
    run_command(main)
