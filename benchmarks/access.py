"""What one query, a gate and a search that reads scores are worth: ``python -m benchmarks.access``.

``--only`` names parts: ``real``, convex head against the paper's refiner on logits of real models
(``CRAFT_REAL_LOGITS`` names their folder, see benchmarks.real_logits); ``heads``, ``gate`` and
``search`` on the embedded suite's data sets, which the pipeline renders and encodes. That is from
development seeds, unless ``--instance own`` asks for the suite's own. Each part writes
``access_PART.json`` below ``--figures``. Differences are paired by box and seed, with the standard
error of their mean; ``bars`` are what the methods were built to reach.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks import measure
from benchmarks.load import checkout, measured
from benchmarks.page import FIGURES
from benchmarks.real_logits import RecordedBox, names, parts
from craft.blackbox.guards.predictions import GuardedBox
from craft.data.splits import draw
from craft.design.runs import Design, Run
from craft.evaluation.calibration import expected_calibration_error, negative_log_likelihood
from craft.evaluation.score import TestLabels
from craft.fit.curve import CurveRecorder
from craft.fit.inputs import JobFiles, JobInputs, RunInputs
from craft.learner.base import Learner
from craft.learner.lookup import load_learner
from craft.learner.probe import Probe
from craft.learner.refine_only import RefineOnly
from craft.learner.zero_shot import ZeroShot

ACCURACY, ERROR, LOSS = "balanced_accuracy", "expected_calibration_error", "negative_log_likelihood"
MEASURES = (ACCURACY, ERROR, LOSS)
SHOTS = (1, 2, 4, 8, 16)
ZERO_SHOT = "zero-shot"
#: The paper's refiner on the untouched prompt: as its row PR trains it, and with Eq. 6's KL term.
REFINERS = ("refine", "refine-kl")
#: Points that a head may lose against zero-shot.
TOLERANCE = 0.3

DATASETS = ("digits", "doodles", "textures", "objects")
BACKBONES = ("mini-rn", "mini-vit")
_PROBE = {"learner": "craft.learner.probe:Probe"}
_CRAFT = {"learner": "craft.learner.collaborative:Collaborative"}
_ZERO = {"learner": "craft.learner.zero_shot:ZeroShot"}
_BBT = {"learner": "craft.learner.prompt_only:PromptOnly"}
_SEARCH = {"learner": "craft.learner.gauss_newton:GaussNewton", "options": {"budget": 500}}
#: Methods of each part on the embedded suite, its shots, and its data sets.
MINI: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[str, ...]]] = {
    "heads": (
        {
            ZERO_SHOT: _ZERO,
            "refine": {
                "learner": "craft.learner.refine_only:RefineOnly",
                "options": {"lambda2": 0},
            },
            "probe": _PROBE,
            "probe-8": _PROBE | {"options": {"queries": 8}},
        },
        (1, 4, 16),
        DATASETS,
    ),
    "gate": (
        {
            ZERO_SHOT: _ZERO,
            "probe-open": _PROBE | {"options": {"gate": False}},
            "probe": _PROBE,
            "craft": _CRAFT,
            "craft-gated": _CRAFT | {"options": {"gate": True}},
        },
        (16,),
        ("objects",),
    ),
    "search": (
        {"bbt": _BBT, "bbt-500": _BBT | {"options": {"budget": 500}}, "gauss-newton": _SEARCH},
        (1, 16),
        DATASETS,
    ),
}


def standard_error(differences: Sequence[float]) -> float:
    """Return the standard error of the mean of differences, of which there are two or more."""
    return float(np.std(differences, ddof=1) / len(differences) ** 0.5)


# --- logits of real models -----------------------------------------------------------------------


def _measures(logits: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
    """Return the measures of an answer (N, K) to images of labels (N,)."""
    logs, true = logits.double().log_softmax(dim=1).numpy(), labels.numpy()
    right = logs.argmax(axis=1) == true
    return {
        ACCURACY: 100 * float(np.mean([right[true == label].mean() for label in np.unique(true)])),
        ERROR: expected_calibration_error(np.exp(logs.max(axis=1)), right),
        LOSS: negative_log_likelihood(logs, true),
    }


def real(folder: Path, seeds: int, budget: int = 8000) -> list[dict[str, Any]]:
    """Return a row for each box, number of shots, method and seed, with the measures.

    The paper's refiner trains for as many generations as CraFT has with ``budget``.
    """
    learners: dict[str, Callable[[], Learner]] = {
        ZERO_SHOT: ZeroShot,
        REFINERS[0]: lambda: RefineOnly(budget=budget, hidden=512, lambda2=0),
        REFINERS[1]: lambda: RefineOnly(budget=budget, hidden=512),
        "probe": Probe,
    }
    rows = []
    for box, shots in ((box, shots) for box in names(folder) for shots in SHOTS):
        (pool, pool_labels), (test, labels), classes = parts(folder, box)
        for seed in range(1, seeds + 1):
            drawn = torch.tensor(draw(pool_labels.tolist(), shots, seed))
            for method, make in learners.items():
                guarded = GuardedBox(RecordedBox(classes, {"train": pool[drawn], "test": test}))
                learner = make().fit(guarded, pool_labels[drawn], seed=seed)
                found = _measures(learner.predict(guarded, "test"), labels)
                rows.append({"box": box, "shots": shots, "seed": seed, "method": method} | found)
    return rows


def real_bars(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Yield each bar of the convex head on real logits, what was found, and whether it holds."""
    means = rows.groupby(["method", "box", "shots"])[ACCURACY].mean()
    for box in rows["box"].unique():
        least = (means["probe", box] - means[ZERO_SHOT, box]).min()
        yield _bar(f"{box}: least change from zero-shot", least, -TOLERANCE)
        losses = rows[rows["box"] == box].groupby("method")[LOSS].mean()
        for refiner in REFINERS:
            last = means["probe", box, SHOTS[-1]] - means[refiner, box, SHOTS[-1]]
            yield _bar(f"{box}: minus {refiner} at {SHOTS[-1]} shots", last, 0.0)
            yield _bar(f"{box}: NLL of {refiner} minus ours", losses[refiner] - losses["probe"], 0)


def _bar(what: str, found: float, least: float) -> dict[str, Any]:
    return {"bar": what, "found": float(found), "least": least, "holds": bool(found >= least)}


# --- the embedded suite --------------------------------------------------------------------------


def suite(part: str, seeds: int, development: bool) -> dict[str, Any]:
    """Return the suite of a part, with the embedded suite's options."""
    methods, shots, datasets = MINI[part]
    more: dict[str, Any] = {}
    artefacts: dict[str, Any] = {"accuracy_by_queries": {"shots": list(shots)}}
    if part == "gate":
        targets = [f"objects-{name}" for name in ("v2", "sketch", "adv", "rendition")]
        more = {"shift": {"source": "objects", "targets": targets}}
        artefacts = {"robustness": {"shots": list(shots)}}
    return {
        "suite": f"access-{part}",
        "results": "results/access",
        "data": "results/access/data",
        "development": development,
        "seeds": list(range(1, seeds + 1)),
        "encode_together": True,
        "encode_cores": 1,
        "backbones": list(BACKBONES),
        "datasets": list(datasets),
        "options": {"mode": "paper", "budget": 2000, "intrinsic_dim": 128, "hidden": 128}
        | {"curve_points": 0},
        "methods": methods,
        "artefacts": artefacts,
    } | more


def mini(part: str, seeds: int, development: bool, cores: int) -> pd.DataFrame:
    """Return a row for each run of a part, on images that the pipeline renders and encodes.

    The fits share this process: most take less time than a job of their own would start in.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        design = checkout(folder, suite(part, seeds, development))
        results = design.config["results"]
        needed = {path for run in design.all_runs for path in design.inputs(run).values()}
        command = [sys.executable, "-m", "snakemake", *(f"{results}/{path}" for path in needed)]
        more = ["--configfile", "suite.yaml", "--cores", str(cores), "--quiet", "all"]
        measured([*command, *more], folder)
        return pd.DataFrame(scored(design, folder / results))


def scored(design: Design, results: Path) -> Iterator[dict[str, Any]]:
    """Fit each run of a design on the files below ``results``; yield a row for it."""
    for run in design.all_runs:
        files = {role: results / path for role, path in design.inputs(run).items()}
        tests = {name: files[f"test/{name}"] for name in design.tests_of(run)}
        train = (files["train"],) if run.shots else ()
        cls = load_learner(run.learner)
        job = JobInputs(JobFiles(files["tower"], files["prompts"], train, tests), cls.prompts)
        inputs = job.for_run(cls(**run.options.as_dict()), files.get("split"), [*tests])
        manifests = {name: files[f"manifest/{name}"] for name in tests}
        yield {**run.identity, "box": run.dataset} | _scores(inputs, manifests, run)


def _scores(inputs: RunInputs, manifests: Mapping[str, Path], run: Run) -> dict[str, Any]:
    """Return accuracy and measures of a run's fit, and its accuracy on shifted test sets."""
    learner, box = inputs.learner, inputs.box("")
    labels = torch.tensor(inputs.split.labels if inputs.split else [], dtype=torch.int64)
    sets = {"train_set": inputs.search_set(), "refine_sets": inputs.refine_sets()}
    learner.fit(box, labels, seed=run.seed, **sets)
    said = CurveRecorder(inputs, box, {}).finish(learner)
    found: dict[str, Any] = {}
    for name, path in manifests.items():
        test, predicted = TestLabels.read(name, path), said.labels[name]
        (accuracy,) = test.accuracy(predicted)
        if name == run.dataset:
            measures = test.measures(
                predicted[-1], said.log_probabilities[name], said.classes[name]
            )
            found |= {"accuracy": accuracy} | measures
        else:
            found |= {f"accuracy:{name}": accuracy}
    return found


def mini_bars(part: str, runs: pd.DataFrame, development: bool) -> Iterator[dict[str, Any]]:
    """Yield each bar of a part on the embedded suite."""
    means = runs.groupby(["method", "backbone", "shots"])["accuracy"].mean()
    if part == "heads" and not development:
        bars = {("probe", 16): (84.0, 79.0), ("probe-8", 16): (87.0, 82.5)}
        bars |= {("probe-8", 4): (79.5, 74.0)}
        for (method, shots), least in bars.items():
            for backbone, value in zip(BACKBONES, least, strict=True):
                found = means[method, backbone, shots]
                yield _bar(f"{method}, {backbone}, {shots} shots", found, value)
    if part == "search":
        for shots in (16, 1):
            found = means["gauss-newton", :, shots].mean() - means["bbt", :, shots].mean()
            yield _bar(f"gauss-newton's 500 minus BBT's 2,000 queries, {shots} shots", found, 0.0)
    if part == "gate":
        home = runs.groupby("method")["accuracy"].mean()
        columns = [name for name in runs if name.startswith("accuracy:")]
        away = runs.groupby("method")[columns].mean().mean(axis=1)
        for gated, plain in (("probe", "probe-open"), ("craft-gated", "craft")):
            change = home[gated] - home[plain]
            yield _bar(f"{gated} at home, minus {plain}", change, -0.5)
            yield _bar(f"{gated} away, minus zero-shot", away[gated] - away[ZERO_SHOT], 0.0)


# --- the table -----------------------------------------------------------------------------------


def compared(
    runs: pd.DataFrame, value: str, against: str, keys: Sequence[str]
) -> list[dict[str, Any]]:
    """Return a row for each method and number of shots: means, and differences to one method.

    ``keys`` tell boxes apart. A method of one run (zero-shot) stands beside every seed.
    """
    other = runs[runs["method"] == against].groupby([*keys])
    by_seed, level = runs["seed"].nunique() > 1, other[value].mean()
    found = []
    for (method, shots), own in runs.groupby(["method", "shots"], sort=False):
        means: Mapping[str, float] = {name: float(own[name].mean()) for name in (value, *MEASURES)}
        row = {"method": method, "shots": int(shots), "runs": len(own)} | dict(means)
        if method != against and by_seed:
            index = pd.MultiIndex.from_frame(own[[*keys]])
            change = own[value].to_numpy() - level.reindex(index).to_numpy()
            row |= {f"minus {against}": float(change.mean()), "error": standard_error(change)}
        found.append(row)
    return found


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure the parts that are asked for; returns what each writes, by its name."""
    parser = measure.parser(__doc__)
    parser.add_argument("--only", nargs="*", choices=("real", *MINI), default=("real", *MINI))
    parser.add_argument("--seeds", type=int, default=10, help="of each cell (default: 10)")
    parser.add_argument("--instance", choices=("development", "own"), default="development")
    parser.add_argument("--cores", type=int, default=2, help="jobs of the pipeline at a time")
    parser.add_argument("--figures", type=Path, default=FIGURES, help="folder of the files")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    development, done = given.instance == "development", {}
    for part in given.only:
        seeds = 2 if given.smoke else given.seeds
        facts = {"part": part, "seeds": seeds}
        if part == "real":
            folder = os.environ.get("CRAFT_REAL_LOGITS")
            if not folder:
                parser.error("CRAFT_REAL_LOGITS: expected a folder of logits, got none")
            runs = pd.DataFrame(real(Path(folder), seeds, 400 if given.smoke else 8000))
            rows = [
                {"box": box} | row
                for box, own in [("all", runs), *runs.groupby("box")]
                for row in compared(own, ACCURACY, ZERO_SHOT, ("box", "shots", "seed"))
            ]
            bars = list(real_bars(runs))
        else:
            facts |= {"instance": given.instance}
            runs = mini(part, seeds, development, given.cores)
            against = "bbt" if part == "search" else ZERO_SHOT
            keys = ("backbone", "box") + (("shots", "seed") if part == "search" else ())
            rows = [
                {"backbone": backbone} | row
                for backbone, own in [("all", runs), *runs.groupby("backbone")]
                for row in compared(own, "accuracy", against, keys)
            ]
            if part == "gate":
                for row in rows:
                    row |= _away(runs, row)
            bars = list(mini_bars(part, runs, development))
        suffix = "" if development else "_own"
        given.json = given.figures / f"access_{part}{suffix}.json"
        measure.report(facts | {"bars": bars}, rows, given)
        done[part] = facts | {"bars": bars, "rows": rows}
    print(json.dumps([bar for each in done.values() for bar in each["bars"]], indent=1))
    return done


def _away(runs: pd.DataFrame, row: Mapping[str, Any]) -> dict[str, float]:
    """Return a row's mean accuracy on the shifted test sets."""
    own = runs[runs["method"] == row["method"]]
    if row["backbone"] != "all":
        own = own[own["backbone"] == row["backbone"]]
    columns = [name for name in runs if name.startswith("accuracy:")]
    return {"away": float(own[columns].to_numpy().mean())}


if __name__ == "__main__":
    main()
