"""Gather the runs of an artefact, or of the whole suite, into one tidy CSV.

Each score is opened once. Tables and figures read only the CSV.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from craft.evaluation.count_images import count_images, manifest_of
from craft.evaluation.read_scores import IDENTITY, RECORDED, Scores
from craft.files import receipts
from craft.files.atomic import RecordError, read_json, write_text
from craft.files.records import MEASURES, Score
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

#: What a line says of its cell and run, apart from what is printed of its row.
IDS = ("row", "backbone", "dataset", "shots", "test_set", "run", "seed")
OK = "ok"


def gather(request: Mapping[str, Any], scores: Scores) -> pd.DataFrame:
    """Return a line for each run of each cell of an artefact, on each of the cell's test sets.

    A figure that follows a run's curve has a line for each point of it, others for its end alone,
    where the score's measures are. ``accuracy`` is per cent, ``queries`` those of the search. A run
    without a score, or a test set on which it was not scored, keeps its line, with the reason in
    ``status``.
    """
    lines = []
    for row, backbone, dataset, shots, tests, folder in request["cells"]:
        run = request["runs"][folder]
        for test_set in tests:
            ids = (row, backbone, dataset, shots, test_set, folder, run["seed"])
            line = dict(zip(IDS, ids, strict=True)) | _printed(request, row, backbone, dataset)
            line |= {"test_label": request["datasets"][test_set], "trained_shots": run["shots"]}
            for found in _found(scores, folder, test_set, request["curve"]):
                lines.append(line | found | _price(request.get("prices"), found))
    return pd.DataFrame(lines, dtype=object).assign(suite=request["suite"])


def _printed(request: Mapping[str, Any], row: str, backbone: str, dataset: str) -> dict[str, Any]:
    """Return the printed names of a line's row, backbone and data set; missing ones are empty."""
    values = dict(request["rows"][row])
    components = values.pop("components")
    values.pop("id")
    return values | {
        "components": None if components is None else " ".join(components) or "none",
        "backbone_label": request["backbones"][backbone]["label"],
        "model_parameters": request["backbones"][backbone]["parameters"],
        "dataset_label": request["datasets"][dataset],
    }


def _found(scores: Scores, folder: str, test_set: str, curve: bool) -> Iterator[dict[str, Any]]:
    try:
        score = scores.score(folder)
    except RecordError as error:
        yield {"status": str(error)}
        return
    measured = _measured(score)
    if not score.accuracy.get(test_set):
        yield measured | {"status": f"not scored on {test_set}"}
        return
    points = list(zip(score.queries, score.accuracy[test_set], strict=True))
    for queries, accuracy in points[:-1] if curve else ():
        yield measured | {"status": OK, "queries": queries, "accuracy": accuracy}
    queries, accuracy = points[-1]
    end = {"status": OK, "queries": queries, "accuracy": accuracy}
    yield measured | end | score.measures[test_set]


def _measured(score: Score) -> dict[str, Any]:
    """Return the costs of a run, its machine and its resolved options."""
    record = score.record
    predicted = len(score.queries) * sum(score.test_images.values())
    shifted = sum(n for name, n in score.test_images.items() if name != score.dataset)
    return {
        **{name: record[name] for name in RECORDED},
        **{f"queries_{purpose}": count for purpose, count in record["queries"].items()},
        # Without the shifted sets, on which some tables have a method's learners tested.
        "images_encoded": sum(record["images"].values()) - shifted,
        **_account(score),
        "predictions": predicted,
        "classes": len(score.class_accuracy.get(score.dataset, ())),
        "machine": _pairs(record["machine"]),
        **{f"option:{name}": value for name, value in record["options"].items()},
    }


def _account(score: Score) -> dict[str, int]:
    """Return the requests of a fit to a service, without predictions; empty without a service.

    ``fit_queries`` are those of the search and of the refinement, ``fit_images_scored`` the images
    that they scored, each as often as it was, ``fit_images_encoded`` those encoded, of uploads
    without the test images. A query of predictions or texts scores every training image; a
    service that is sent images or visual prompts encodes what it scores; features are no scores.
    """
    record = score.record
    if record["access"] == "weights":
        return {}
    queries, images = (
        {purpose: record[of].get(purpose, 0) for purpose in ("upload", "search", "refine")}
        for of in ("queries", "images")
    )
    asked, encoded = (each["search"] + each["refine"] for each in (queries, images))
    uploaded = images["upload"] - sum(score.test_images.values())
    scores = asked * record["train_images"]
    scored = {"predictions": scores, "texts": scores, "features": 0}
    return {
        "fit_queries": asked,
        "fit_images_scored": scored.get(record["access"], encoded),
        "fit_images_encoded": max(0, uploaded) + encoded,
    }


def _price(prices: Mapping[str, Any] | None, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the price of a fit; empty without prices or without a service."""
    if not prices or "fit_queries" not in measured:
        return {}
    units = {"query": "queries", "image_scoring": "images_scored"}
    units |= {"image_encoding": "images_encoded"}
    price = sum(prices[unit] * measured[f"fit_{count}"] for unit, count in units.items())
    return {"price": price, "currency": prices["currency"]}


def suite_runs(request: Mapping[str, Any], scores: Scores) -> pd.DataFrame:
    """Return a line for each run of the suite, in the design's order.

    ``accuracy`` (per cent) and the measures are on the run's own test part, ``accuracy:T`` on a
    shifted test set T, ``class_accuracy`` the same by class, as JSON; ``queries_counted`` are those
    of the search, as the paper counts, ``queries_total`` all. ``option:NAME`` is a resolved option.
    A run without a score keeps its line, with the reason in ``status``.
    """
    lines = []
    shifted: dict[str, None] = {}
    for row, _backbone, dataset, _shots, tests, folder in request["cells"]:
        targets = [name for name in tests if name != dataset]
        shifted |= dict.fromkeys(targets)
        line = {name: request["runs"][folder][name] for name in IDENTITY}
        line |= {"label": request["rows"][row]["label"]}
        try:
            score = scores.score(folder)
        except RecordError as error:
            log.warning("%s: %s", folder, error)
            lines.append(line | {"status": f"missing: {error}"})
            continue
        measured, counts = _measured(score), score.record["queries"]
        line |= {"status": OK, "accuracy": _final(score, dataset)}
        line |= {name: f"{score.measures[dataset][name]:.4f}" for name in MEASURES}
        line |= {f"accuracy:{name}": _final(score, name) for name in targets}
        line |= {
            "queries_counted": counts.get("search", 0),
            "queries_total": sum(counts.values()),
            **{name: measured[name] for name in (*RECORDED, "machine")},
            "versions": _pairs(score.record["versions"]),
            **{name: measured[name] for name in measured if name.startswith("option:")},
            "class_accuracy": json.dumps(score.class_accuracy.get(dataset)),
            **{
                f"class_accuracy:{name}": json.dumps(score.class_accuracy.get(name))
                for name in targets
            },
        }
        lines.append(line)
    frame = pd.DataFrame(lines, dtype=object)
    return frame[sorted(frame, key=_place)]


def _place(column: str) -> int:
    """Return the sort key of a column of the suite's runs: long columns come last."""
    kinds = ("accuracy:", "option:", "class_accuracy")
    return next((n for n, kind in enumerate(kinds, 1) if column.startswith(kind)), 0)


def _final(score: Score, test_set: str) -> str:
    return f"{score.accuracy[test_set][-1]:.4f}" if score.accuracy.get(test_set) else ""


def _pairs(values: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in sorted(values.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the CSV of a request."""
    parser = argparse.ArgumentParser(prog="python -m craft.evaluation.gather", description=__doc__)
    parser.add_argument("--request", required=True, metavar="FILE", help="what is asked for")
    parser.add_argument("--results", required=True, metavar="FOLDER", help="of the suite")
    parser.add_argument("--out", required=True, metavar="FILE", help="CSV to write")
    receipts.add_argument(parser)
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    request = read_json(Path(args.request))
    if "manifests" in request:
        lines = count_images(request, args.results)
        read = [manifest_of(each["dataset"], args.results) for each in request["manifests"]]
    else:
        scores = Scores(request, args.results)
        read = list(map(scores.path, request["runs"]))
        lines = gather(request, scores) if "artefact" in request else suite_runs(request, scores)
    write_text(args.out, lines.to_csv(index=False, lineterminator="\n"))
    receipts.write([args.out], args.receipt, [args.request, *read])
    log.info("%s: %d lines, %d incomplete", args.out, len(lines), (lines["status"] != OK).sum())


if __name__ == "__main__":
    run_command(main)
