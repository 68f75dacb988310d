"""Gather every run of a design: one CSV with a row per run, and where each comes from."""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from craft.design.runs import Design, Run
from craft.evaluation.scores import Scores
from craft.evaluation.trace import provenance
from craft.files import receipts
from craft.files.atomic import RecordError, write_json, write_text
from craft.runtime.command import run_command

log = logging.getLogger(__name__)

IDS = ("method", "backbone", "dataset", "shots", "seed")
RECORDED = (
    "black_box",
    "train_images",
    "train_accuracy",
    "initial_accuracy",
    "near_chance",
    "distinct_prompts",
    "fit_seconds",
    "predict_seconds",
    "peak_memory_mb",
    "peak_device_memory_mb",
    "learner_parameters",
    "learner_bytes",
    "learner",
    "code_hash",
)


def gather(design: Design) -> str:
    """CSV text with a row for each run of the design, in the design's order.

    ``accuracy`` (per cent) is on the run's own test part, ``accuracy:T`` on a shifted test set T;
    ``queries_counted`` are those of the search, as the paper counts, ``queries_total`` all. A run
    without a score keeps its row, with the reason in ``status``.
    """
    scores = Scores(design)
    targets = tuple((design.config.get("shift") or {}).get("targets", ()))
    names = [
        *IDS,
        "label",
        "status",
        "accuracy",
        *(f"accuracy:{target}" for target in targets),
        "queries_counted",
        "queries_total",
        *RECORDED,
        "machine",
        "versions",
    ]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, names, restval="", lineterminator="\n")
    writer.writeheader()
    for run in design.all_runs:
        row = {name: getattr(run, name) for name in IDS} | {"label": design.label(run.variant)}
        try:
            row |= {"status": "ok"} | _measured(scores, run, targets)
        except RecordError as error:
            log.warning("%s: %s", run.folder, error)
            row["status"] = f"missing: {error}"
        writer.writerow(row)
    return buffer.getvalue()


def _measured(scores: Scores, run: Run, targets: Sequence[str]) -> dict[str, Any]:
    score = scores.score(run)
    record, queries = score.record, score.record["queries"]
    shifted = {
        f"accuracy:{target}": f"{score.accuracy[target][-1]:.4f}"
        for target in targets
        if target in score.accuracy
    }
    return {
        "accuracy": f"{score.accuracy[run.dataset][-1]:.4f}",
        **shifted,
        "queries_counted": queries.get("search", 0),
        "queries_total": sum(queries.values()),
        **{name: record[name] for name in RECORDED},
        **{name: _pairs(record[name]) for name in ("machine", "versions")},
    }


def _pairs(values: Mapping[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in sorted(values.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write both files."""
    parser = argparse.ArgumentParser(prog="python -m craft.evaluation.gather", description=__doc__)
    parser.add_argument("--design", required=True, type=json.loads, metavar="JSON")
    parser.add_argument("--runs", required=True, metavar="FILE", help="CSV to write")
    parser.add_argument("--provenance", required=True, metavar="FILE", help="JSON to write")
    receipts.add_argument(parser)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    design = Design(given.design)
    found = provenance(design)
    write_json(given.provenance, found)
    counts = len(found["runs"]), len(found["environments"]), len(found["missing"])
    log.info("%d runs in %d environments, %d missing", *counts)
    write_text(given.runs, gather(design))
    scores = map(Scores(design).path, design.all_runs)
    receipts.write([given.provenance, given.runs], given.receipt, scores)


if __name__ == "__main__":
    run_command(main)
