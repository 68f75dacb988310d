"""Ten thousand fits for real: ``python -m benchmarks.many_fits [--runs 10000] [--cores 2]``.

The whole pipeline on the embedded suite's images, with fits so small that what is left is the
price of a run: planning, processes, files, scores, tables. A job fits all shots and seeds of a
method on a data set. Asked again, Snakemake finds nothing to do; that is timed too.

``--finished`` fits the first method alone and gives the others' runs its files, each with a record
of its own: what is timed is the way from finished fits to every table.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks import measure
from benchmarks.load import checkout, measured
from craft.design.jobs import batches
from craft.design.request import claims_of
from craft.design.runs import Design, Run
from craft.files import paths
from craft.files.atomic import SEAL, content_sha256, sha256
from craft.files.records import RUN_FILES

DATASETS = ("digits", "doodles", "textures", "objects")
SHOTS = (1, 2)
SEEDS = 25
_CRAFT = {"learner": "craft.learner.collaborative:Collaborative", "components": ["PG", "PR", "Co"]}


def suite(runs: int) -> dict[str, Any]:
    """Return a suite of at least ``runs`` tiny fits: methods that differ in the weight lambda1."""
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


def finish(design: Design, folder: Path, done: str) -> None:
    """Write fits of every method but ``done``, whose runs' files they share, as hard links."""
    results = folder / design.config["results"]

    def of(run: Run, method: str) -> Path:
        return results / paths.RUN.format(**run.identity | {"method": method})

    for name, runs in batches(design.all_runs, design.config["runs_per_job"]).items():
        if runs[0].method == done:
            continue
        records = {}
        for run in runs:
            source, target = of(run, done), of(run, run.method)
            target.mkdir(parents=True, exist_ok=True)
            for file in RUN_FILES:
                (target / file).hardlink_to(source / file)
            record = json.loads((source / paths.RECORD_NAME).read_text(encoding="utf-8"))
            del record[SEAL]
            record |= {"method": run.method, "options": run.options.as_dict()}
            record["config_hash"] = claims_of(design, run)["config_hash"]
            path = target / paths.RECORD_NAME
            text = json.dumps(record | {SEAL: content_sha256(record)})
            path.write_text(text, encoding="utf-8")
            records[run.folder] = sha256(path)
        written = {"job": name, "records": records}
        path = results / paths.FITTED.format(batch=name)
        path.write_text(json.dumps(written), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the suite, ask for it again, and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--runs", type=int, help="fits, or just more (default: 10000)")
    parser.add_argument("--cores", type=int, default=2, help="jobs at a time")
    parser.add_argument("--finished", action="store_true", help="from finished fits on")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = suite(given.runs or (200 if given.smoke else 10_000))
        design = checkout(folder, config)
        command = [sys.executable, "-m", "snakemake", "all", "--configfile", "suite.yaml"]
        command += ["--cores", str(given.cores), "--quiet", "all"]
        if given.finished:
            first = next(iter(config["methods"]))
            alone = config | {"methods": {first: config["methods"][first]}}
            (folder / "suite.yaml").write_text(yaml.safe_dump(alone, sort_keys=False))
            measured(command, folder)
            finish(design, folder, first)
            (folder / "suite.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
        rows = [{"call": call} | measured(command, folder) for call in ("first", "second")]
        scores = len(list(folder.glob("results/many/runs/**/score.json")))
    result = {"runs": len(design.all_runs), "scored": scores, "cores": given.cores} | {
        "fits": "finished" if given.finished else "made"
    }
    measure.report(result, rows, given)
    return result | {"rows": rows}


if __name__ == "__main__":
    main()
