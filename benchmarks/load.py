"""How the workflow bears many runs: ``python -m benchmarks.load [--runs 2500 5000 10000]``.

The paper's design with more seeds, and a made-up score for each run: planned by a dry-run, then
gathered, tabulated and drawn. A row to each size and step with its processor seconds and
peak memory, then each step's exponent of growth: 1 is linear.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks import measure
from craft.config.load import load
from craft.design.artefacts import ARTEFACTS
from craft.design.request import claims_of, request, request_of_all
from craft.design.runs import Design, Run
from craft.evaluation.staleness import Expected, expected
from craft.files import yaml12
from craft.files.atomic import SEAL, content_sha256
from craft.files.paths import RECORD_NAME
from craft.files.receipts import Index
from craft.files.records import MEASURES, RUN_FILES
from craft.runtime.provenance import code_hash

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("Snakefile", "config", "craft", "envs", "profiles", "workflow")

#: Tables that read no score of their own are as fast for any number of runs.
_UNCHANGED = ("dataset_statistics",)


def suite(runs: int, results: str) -> dict[str, Any]:
    """Return the paper's configuration with as many seeds as give ``runs`` runs or just more."""
    config = yaml12.read(ROOT / "config/config.yaml")
    config |= {"results": results, "seeds": [1]}
    one = len(Design(load(config, ROOT)).all_runs)
    once = sum(run.seed == 0 for run in Design(load(config, ROOT)).all_runs)
    return config | {"seeds": list(range(1, math.ceil((runs - once) / (one - once)) + 1))}


def score(design: Design, run: Run, expected: Expected) -> dict[str, Any]:
    """Return a made-up score of a run, as ``score.json`` holds it, of what is ``expected``."""
    tests = design.tests_of(run)
    black_box = not run.method.startswith("coop")
    record = {
        "images": {"upload": 100} if black_box else {},
        "queries": {"search": 8000, "refine": 200, "evaluate": 1} if black_box else {},
        "access": "predictions" if black_box else "weights",
        "options": run.options.as_dict(),
        "train_images": 16 * run.shots,
        "train_accuracy": 90.0,
        "initial_accuracy": 60.0,
        "near_chance": False,
        "distinct_prompts": 10,
        "fit_seconds": 60.0 + run.seed,
        "predict_seconds": 1.0,
        "peak_memory_mb": 700.0,
        "peak_device_memory_mb": 0.0,
        "learner_parameters": 100_000,
        "learner_bytes": 400_000,
        "learner": run.learner,
        **asdict(expected),
        "commit": None,
        "versions": {"python": "3", "torch": "2", "numpy": "2"},
        "started": "2024-07-21T09:00:00.000+00:00",
        "ended": "2024-07-21T09:01:00.000+00:00",
        "machine": {"device": "cpu", "threads": "1", "processor": "none", "cores": "1"},
    }
    identity = {name: getattr(run, name) for name in ("method", "backbone", "dataset", "shots")}
    curve = [50.0 + point + run.seed % 7 for point in range(11)]
    return identity | {
        "seed": run.seed,
        "queries": [800 * point for point in range(11)],
        "accuracy": dict.fromkeys(tests, curve),
        "class_accuracy": {test: {"a": curve[-1], "b": curve[-1]} for test in tests},
        "measures": dict.fromkeys(tests, dict.fromkeys(MEASURES, 1.5)),
        "test_images": dict.fromkeys(tests, 1000),
        "manifests": {},
        "record": record,
        "code_hash": code_hash("craft.evaluation.score"),
        "scored": "2024-07-21T09:02:00.000+00:00",
    }


def write_scores(design: Design, folder: Path) -> None:
    """Write a made-up score of every run below ``folder``, and stand-ins for what it read."""
    for path in {path for run in design.all_runs for path in design.inputs(run).values()}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path, encoding="utf-8")
    index = Index()
    for run in design.all_runs:
        claimed = expected(claims_of(design, run), str(folder), index)
        path = folder / "runs" / run.folder / "score.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = score(design, run, claimed)
        path.write_text(json.dumps(content | {SEAL: content_sha256(content)}), encoding="utf-8")
        for name in (RECORD_NAME, *RUN_FILES):
            path.with_name(name).touch()


def measured(command: Sequence[str], folder: Path) -> dict[str, float]:
    """Seconds on the clock and of processors, and peak memory of the largest process in MB.

    Raises CalledProcessError where it fails; what it says is left in ``folder``/said.txt.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    with open(folder / "said.txt", "w", encoding="utf-8") as said:
        start = os.times().elapsed
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        elapsed = os.times().elapsed - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return {
        "wall s": elapsed,
        "cpu s": usage.ru_utime + usage.ru_stime,
        "peak MB": usage.ru_maxrss / 1024,
    }


def steps(design: Design, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Name and command of each step; commands read what they are asked for from files."""
    plan = ["all", "-n", "-q", "rules", "reason", "host", "--configfile", "suite.yaml"]
    yield "dry-run", [sys.executable, "-m", "snakemake", *plan]
    outputs = ["--out", "runs.csv"]
    yield "gather", [*_gather(folder, "suite", request_of_all(design)), *outputs]
    for name in design.artefacts():
        if name in _UNCHANGED:
            continue
        runs = f"{name}.runs.csv"
        yield (
            f"gather {name}",
            [*_gather(folder, name, request(design, name)), "--out", runs],
        )
        module = f"craft.report.{ARTEFACTS[name].kind}s"
        words = ["--artefact", name, "--runs", runs, "--published", "config/published"]
        yield name, [sys.executable, "-m", module, *words, "--out", name]


def _gather(folder: Path, name: str, asked: dict[str, Any]) -> list[str]:
    file = folder / f"{name}.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    words = ["--request", file.name, "--results", "results/load"]
    return [sys.executable, "-m", "craft.evaluation.gather", *words]


def checkout(folder: Path, config: Mapping[str, Any]) -> Design:
    """Copy the project into ``folder`` with a suite.yaml; returns the suite's design."""
    for part in PARTS:
        source = ROOT / part
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / part)
    (folder / "suite.yaml").write_text(yaml.safe_dump(dict(config), sort_keys=False))
    return Design(load(config, ROOT))


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure each step at each size and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--runs", type=int, nargs="+", help="(default: 2500 5000 10000)")
    given = parser.parse_args(arguments)
    rows = []
    for runs in sorted(given.runs or ([600] if given.smoke else [2500, 5000, 10_000])):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            design = checkout(folder, suite(runs, "results/load"))
            for step, command in steps(design, folder):
                if step == "gather":  # the dry-run plans everything: no score is there yet
                    write_scores(design, folder / "results/load")
                rows.append({"step": step, "runs": len(design.all_runs)})
                rows[-1] |= measured(command, folder)
    exponents = {}
    for step in dict.fromkeys(row["step"] for row in rows):
        line = [row for row in rows if row["step"] == step]
        if len(line) > 1:
            sizes, seconds = ([row[key] for row in line] for key in ("runs", "cpu s"))
            exponents[step] = measure.exponent(sizes, seconds)
    result = {"exponents": exponents}
    measure.report(result, rows, given)
    return result | {"rows": rows}


if __name__ == "__main__":
    main()
