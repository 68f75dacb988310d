"""Ten thousand fits for real: ``python -m benchmarks.many_fits [--runs 10000] [--cores 2]``.

The whole pipeline on the embedded suite's images, with fits so small that what is left is the
price of a run: planning, processes, files, scores, tables. A job fits all shots and seeds of a
method on a data set. Asked again, Snakemake finds nothing to do; that is timed too.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.load import checkout, measured

DATASETS = ("digits", "doodles", "textures", "objects")
SHOTS = (1, 2)
SEEDS = 25
_CRAFT = {"learner": "craft.learner.collaborative:Collaborative", "components": ["PG", "PR", "Co"]}


def suite(runs: int) -> dict[str, Any]:
    """A suite of at least ``runs`` tiny fits: methods that differ in the weight lambda1."""
    methods = -(-runs // (len(DATASETS) * len(SHOTS) * SEEDS))
    tiny = {"budget": 4, "population": 4, "intrinsic_dim": 8, "hidden": 8, "passes": 1}
    return {
        "suite": "many",
        "results": "results/many",
        "data": "results/many/data",
        "seeds": list(range(1, SEEDS + 1)),
        "runs_per_job": "shots",
        "encode_together": True,
        "encode_cores": 1,
        "backbones": ["mini-rn"],
        "datasets": list(DATASETS),
        "options": {"mode": "paper", "curve_points": 0, **tiny},
        "methods": {
            f"craft-{n}": {**_CRAFT, "label": f"CraFT {n}", "options": {"lambda1": n / methods}}
            for n in range(methods)
        },
        "artefacts": {"ablation_components": {"shots": list(SHOTS)}},
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the suite, ask for it again, and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--runs", type=int, help="fits, or just more (default: 10000)")
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design = checkout(folder, suite(given.runs or (200 if given.smoke else 10_000)))
        command = [sys.executable, "-m", "snakemake", "all", "--configfile", "suite.yaml"]
        command += ["--cores", str(given.cores), "--quiet", "all"]
        rows = [{"call": call} | measured(command, folder) for call in ("first", "second")]
        scores = len(list(folder.glob("results/many/runs/**/score.json")))
    result = {"runs": len(design.all_runs), "scored": scores, "cores": given.cores}
    measure.report(result, rows, given)
    return result | {"rows": rows}


if __name__ == "__main__":
    main()
