"""A whole fit, everything included: ``python -m benchmarks.whole_run --threads 2``.

CraFT at EuroSAT's size: its 10 class names, 16 shots, RN50's text tower with random weights, 8,000
queries, 200 refinement passes, 8,100 test images predicted at ten points of the run. What runs is
``craft.fit``'s own command in a process of its own, on files as the pipeline makes them; a
stopwatch on its parts says where the seconds go. The pipeline's start-up counts too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import measure
from craft.blackbox.text.tokenise import Prompts
from craft.files.datasets import Split
from craft.files.image_features import Features
from craft.files.paths import RUN_OF_CELL
from craft.files.suite import Job, JobRun, suite_content, write_suite

BACKBONE, DATASET, SHOTS = "RN50", "EuroSAT", 16
SIZE = {"budget": 8_000, "population": 40, "tests": 8_100, "features": 1_024, "points": 10}
SMALL = {"budget": 16, "population": 8, "tests": 30, "features": 32, "points": 1}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Fit in a child and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--budget", type=int, help="search queries, in place of 8,000")
    parser.add_argument("--dtype", default="float32", help="of the text forward, as suites say it")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, help="where the child finds its files")
    given = parser.parse_args(arguments)
    size = SMALL if given.smoke else SIZE
    size |= {"budget": given.budget} if given.budget else {}
    if given.part:
        print(json.dumps(_fit(given, size)))
        return {}
    with tempfile.TemporaryDirectory() as folder:
        _prepare(Path(folder), size, given.smoke)
        options = ["--part", "fit", "--folder", folder, "--budget", str(size["budget"])]
        options += ["--dtype", given.dtype, "--device", given.device]
        start = time.perf_counter()
        parts = measure.child(
            "benchmarks.whole_run", given.threads, options + ["--smoke"] * given.smoke
        )
        wall = time.perf_counter() - start
    record = parts.pop("record")
    generations = size["budget"] // size["population"]
    parts["start-up and files"] = wall - sum(parts.values())
    rows = [
        {
            "part": part,
            "seconds": value,
            "share": value / wall,
            "ms per generation": 1e3 * value / generations,
        }
        for part, value in parts.items()
    ]
    # Start-up happens once whatever the generations; the share is of what they take.
    fit = wall - parts["start-up and files"]
    result = {
        "wall s": wall,
        "generations": generations,
        "share that is not text forward": 1 - parts["text forward"] / fit,
        "queries": record["queries"],
        "dtypes": {name: record["machine"][f"{name}_dtype"] for name in ("search", "text")},
        "peak MB": record["peak_memory_mb"],
    }
    measure.report(result, rows, given)
    return result | {"rows": rows}


def _prepare(folder: Path, size: dict[str, int], smoke: bool) -> None:
    """Write the files that a fit reads, from random weights and random images."""
    names = measure.class_names()[DATASET]
    measure.text_weights(None if smoke else f"{BACKBONE}-quickgelu").write(
        folder / "text.safetensors", {"weights": "random"}
    )
    prompt = measure.tokens(names)
    Prompts(BACKBONE, DATASET, prompt, prompt).write(folder / "prompts.json")
    generator = np.random.default_rng(1)
    for part, count in (("train", SHOTS * len(names)), ("test", size["tests"])):
        rows = generator.standard_normal((count, size["features"]), dtype=np.float32)
        norms = np.linalg.norm(rows, axis=1)
        paths = tuple(f"{part}/{n}.jpg" for n in range(count))
        Features(
            features=rows / norms[:, None],
            norms=norms,
            paths=paths,
            backbone=BACKBONE,
            dataset=DATASET,
            part=part,
            view=0,
            classes=tuple(range(len(names))),
            manifest_sha256="0" * 64,
            weights_sha256="0" * 64,
        ).write(folder / f"{part}.safetensors")
        if part == "train":
            labels = tuple(n // SHOTS for n in range(count))
            Split(DATASET, SHOTS, 1, paths, labels, tuple(names)).write(
                folder / f"splits/{RUN_OF_CELL}.json".format(shots=SHOTS, seed=1)
            )


def _fit(given: argparse.Namespace, size: dict[str, int]) -> dict[str, Any]:
    """Run craft.fit here under stopwatches: seconds by part, and the run's record."""
    from craft.blackbox.text.prefix_sharing import TextTower
    from craft.fit import __main__ as fit
    from craft.fit import curve
    from craft.learner.collaborative import Collaborative
    from craft.learner.prompt_search import PromptGenerator
    from craft.learner.refiner import RefinerTrainer

    folder, spent = given.folder, {"search: scores and losses": 0.0}
    watched = [
        (TextTower, "encode", "text forward"),
        (PromptGenerator, "ask", "CMA-ES"),
        (PromptGenerator, "tell", "CMA-ES"),
        (PromptGenerator, "chosen", "CMA-ES"),
        (RefinerTrainer, "train", "refiner"),
        (curve.CurveRecorder, "_predict", "curve"),
        (Collaborative, "fit", "search: scores and losses"),
    ]
    options = {name: size[name] for name in ("budget", "population")}
    options["curve_points"] = size["points"]
    job = Job(
        *("craft", BACKBONE, DATASET, "craft.learner.collaborative:Collaborative"),
        runs=(JobRun(SHOTS, 1, options, (DATASET,)),),
    )
    write_suite(folder / "suite.json", suite_content({}, {"job": job}))
    arguments = ["--suite", str(folder / "suite.json"), "--job", "job", "--digest", job.digest]
    arguments += ["--fitted", str(folder / "fitted.json")]
    arguments += ["--tower", str(folder / "text.safetensors")]
    arguments += ["--prompts", str(folder / "prompts.json")]
    arguments += ["--train", str(folder / "train.safetensors")]
    arguments += ["--splits", str(folder / "splits")]
    arguments += ["--tests", f"{DATASET}={folder / 'test.safetensors'}"]
    arguments += ["--out", str(folder / "runs"), "--threads", str(given.threads)]
    arguments += ["--dtype", given.dtype, "--device", given.device]
    with contextlib.ExitStack() as stack:
        for cls, name, part in watched:
            stack.enter_context(measure.stopwatch(cls, name, part, spent))
        torch.set_num_threads(given.threads)
        fit.main(arguments)
    (name,) = json.loads((folder / "fitted.json").read_text())["records"]
    record = json.loads((folder / "runs" / name / "record.json").read_text())
    return spent | {"record": record}


if __name__ == "__main__":
    main()
