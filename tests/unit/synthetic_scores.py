"""Small designs and made-up scores, for the tests of tables and figures."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from craft.design.artefacts import ARTEFACTS
from craft.design.request import request
from craft.design.runs import Design, Run
from craft.evaluation import gather
from craft.evaluation.staleness import expected_of
from craft.files.atomic import read_sealed, write_sealed
from craft.files.receipts import Index
from craft.files.records import Score
from craft.report.tables.__main__ import build
from craft.report.tables.table import Table
from craft.report.tidy_runs import read
from craft.runtime.provenance import code_hash

#: Learner of methods that are shown and never fitted.
CRAFT = "craft.learner.collaborative:Collaborative"

METHODS = {
    "zero-shot": {
        "learner": "craft.learner.zero_shot:ZeroShot",
        "label": "ZS-CLIP",
        "components": [],
    },
    "bbt": {
        "learner": "craft.learner.prompt_only:PromptOnly",
        "label": "BBT",
        "components": ["PG"],
    },
    "craft": {
        "learner": CRAFT,
        "label": "CraFT",
        "components": ["PG", "PR", "Co"],
    },
}


#: Of the backbone "rn": 4 MB in fp32.
MODEL_PARAMETERS = 2**20


def config(results: Path, **changes: Any) -> dict[str, Any]:
    """A suite of two data sets, one of them with two shifted test sets, and two backbones."""
    facts = {
        "red": {
            "counts": {"classes": 2, "train": 4, "test": 3},
            "task": "redness",
            "released": {"budget": {"1": 2000, "16": 8000}, "sigma": 0.02, "lambda1": 0.05},
        },
        "blue": {"counts": {"classes": 2, "train": 4, "test": 3}, "task": "50% & more"},
        "blue-v2": {"counts": {"classes": 2, "train": 0, "test": 2}, "task": "shift"},
        "blue-dark": {"counts": {"classes": 2, "train": 0, "test": 2}, "task": "shift"},
    }
    value = {
        "suite": "toy",
        "results": str(results),
        "seeds": [1, 2, 3],
        "backbones": ["rn", "vit"],
        "backbone_facts": {
            "rn": {"label": "Res_Net", "parameters": MODEL_PARAMETERS},
            "vit": {"label": "ViT"},
        },
        "datasets": ["red", "blue"],
        "facts": facts,
        "shift": {"source": "blue", "targets": ["blue-v2", "blue-dark"]},
        "options": {},
        "dtype": "float32",
        "fit_threads": 1,
        "prices": {"currency": "EUR", "query": 0.5, "image_scoring": 0.01, "image_encoding": 0.1},
        "methods": METHODS,
        "artefacts": {
            "architectures": {"shots": [16]},
            "robustness": {"shots": [16]},
            "ablation_components": {"backbones": ["rn"], "shots": [1, 16]},
            "efficiency": {"backbones": ["rn"], "datasets": ["blue"], "shots": [16]},
            "ablation_lambda1": sweep("lambda1"),
            "ablation_lambda2": sweep("lambda2"),
            "ablation_residual": {"backbones": ["rn"], "shots": [1, 16]},
            "blackbox_assumptions": {"datasets": ["red"], "shots": [16]},
            "blackbox_methods": {"backbones": ["vit"], "shots": [16]},
            "training_time": {"backbones": ["vit"], "shots": [16]},
            "dataset_statistics": {},
            "discrepancies": {"backbones": ["rn"], "shots": [16], "method": "craft"},
            "access": {"shots": [16]},
            "few_shot_curves": {"backbones": ["rn"], "shots": [1, 4, 16]},
            "query_efficiency": {"backbones": ["rn"], "datasets": ["blue"], "shots": [16]},
            "accuracy_by_queries": {"backbones": ["rn"], "shots": [1, 16]},
        },
    }
    return value | changes


def sweep(option: str) -> dict[str, Any]:
    """A sweep of one option on the data set red; 0.05 is the default of its two classes."""
    return {
        "backbones": ["rn"],
        "datasets": ["red"],
        "shots": [16],
        "method": "craft",
        "option": option,
        "values": [0.0, 0.05],
    }


def write_scores(
    design: Design,
    accuracy: Callable[[Run, str], float],
    curve: Callable[[Run, str], tuple[list[int], list[float]]] | None = None,
    skip: Callable[[Run], bool] = lambda run: False,
) -> None:
    """Write a score for every run of a design, with the accuracy (or curve) that is asked for."""
    for run in design.all_runs:
        if skip(run):
            continue
        queries, values = [80], {}
        for test_set in design.test_sets(run.dataset):
            values[test_set] = [accuracy(run, test_set)]
            if curve is not None:
                queries, values[test_set] = curve(run, test_set)
        black_box = not run.method.startswith("coop")
        spent = {"search": queries[-1], "refine": 2, "evaluate": 1}
        record = {
            "queries": spent if black_box else {},
            "access": "predictions" if black_box else "weights",
            "images": {"upload": 100} if black_box else {},
            "train_images": 32,
            "train_accuracy": None,
            "initial_accuracy": None,
            "near_chance": False,
            "distinct_prompts": 2,
            "fit_seconds": 1.5 + run.seed,
            "predict_seconds": 0.5,
            "peak_memory_mb": 300.0,
            "peak_device_memory_mb": 0.0,
            "learner_parameters": 7 if run.shots else 0,
            "learner_bytes": 2**18 if run.shots else 0,
            "machine": {"processor": "Abacus", "device": "cpu", "threads": "1"},
            "learner": run.learner,
            "options": run.options.as_dict(),
            **claims(design, run),
            "versions": {"torch": "2", "numpy": "1"},
            "started": "2024-07-21T09:00:00.000+00:00",
            "ended": "2024-07-21T09:00:01.000+00:00",
        }
        path = Path(design.config["results"]) / "runs" / run.folder / "score.json"
        Score(
            method=run.method,
            backbone=run.backbone,
            dataset=run.dataset,
            shots=run.shots,
            seed=run.seed,
            queries=queries,
            accuracy=values,
            class_accuracy={name: {"a": points[-1], "b": 0.0} for name, points in values.items()},
            measures={name: measures(points[-1]) for name, points in values.items()},
            test_images=dict.fromkeys(values, 10),
            manifests={},
            record=record,
            code_hash=code_hash("craft.evaluation.score"),
            scored="2024-07-21T09:00:02.000+00:00",
        ).write(path)


def measures(accuracy: float) -> dict[str, float]:
    """Made-up measures of an answer of some accuracy."""
    return {
        "balanced_accuracy": accuracy - 2,
        "expected_calibration_error": 10 - accuracy / 10,
        "negative_log_likelihood": 2 - accuracy / 100,
    }


def edit_score(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change a score as if it had been written so."""
    value = read_sealed(path)
    edit(value)
    write_sealed(path, value)


def claims(design: Design, run: Run) -> dict[str, Any]:
    """What a run's record says that it is of; files of its inputs are made up where none are."""
    results = Path(design.config["results"])
    for path in (results / name for name in design.inputs(run).values()):
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(path.name)
    return asdict(expected_of(design, run, Index()))


def seeds_apart(run: Run, test_set: str) -> float:
    """Zero-shot 50; BBT 60, CraFT 70, others 80; seeds 1, 2, 3 add 0, 1, 2 (std 1); blue 8 more;
    each shifted set 10 and 20 less; one shot 5 less."""
    value = {"zero-shot": 50.0, "bbt": 60.0, "craft": 70.0}.get(run.method, 80.0)
    value += max(run.seed - 1, 0) + (8 if run.dataset == "blue" else 0)
    value -= {"blue-v2": 10, "blue-dark": 20}.get(test_set, 0)
    return value - (5 if run.shots == 1 else 0)


def gathered(design: Design, artefact: str) -> pd.DataFrame:
    """The tidy lines of an artefact, written by the command that a rule runs, and read again."""
    results = Path(design.config["results"])
    asked = results / f"gathered/{artefact}.json"
    asked.parent.mkdir(parents=True, exist_ok=True)
    asked.write_text(json.dumps(request(design, artefact), sort_keys=True))
    out = results / f"gathered/{artefact}.csv"
    gather.main(["--request", str(asked), "--results", str(results), "--out", str(out)])
    return read(out)


def table(design: Design, artefact: str, published: Path | None = None) -> Table:
    """A table from the scores that lie there."""
    return build(ARTEFACTS[artefact], gathered(design, artefact), published)
