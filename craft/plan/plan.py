"""The plan of a target: the jobs that Snakemake would run, and their cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from craft.blackbox.backbones.description import architecture, complete
from craft.design.runs import Design
from craft.files.paths import FEATURES_FOLDER, FETCHED, PIXELS_FOLDER, RECORD, TOWER, at
from craft.plan.cost import (
    Cost,
    Pace,
    bills_of,
    images_of,
    of_features,
    of_pixels,
    of_run,
    to_fetch,
    weights_of,
)
from craft.plan.dry_run import Pending, pending
from craft.plan.summary import Plan, summary


def plan_targets(targets: Sequence[str], *, cores: int, gpus: int, **where: Any) -> str:
    """Return the plan of ``targets`` as text; ``where`` as for :func:`dry_run.pending`."""
    left = pending(targets, **where)
    if not left.jobs:
        return f"Nothing to do: all outputs of {' '.join(targets)} are up to date."
    at_a_time = cores if left.suite["device"] == "cpu" else min(cores, gpus)
    return summary(make_plan(targets, left, at_a_time))


def make_plan(targets: Sequence[str], left: Pending, at_a_time: int) -> Plan:
    """Return the plan of the work ``left``, with ``at_a_time`` jobs at a time."""
    suite = left.suite
    design, results = Design(suite), suite["results"]
    facts = suite["backbone_facts"]
    built = {name: _architecture(fact) for name, fact in facts.items()}
    pace = Pace(design, built)
    runs: Counter[str] = Counter()
    fits: dict[str, Cost] = {}
    asked: list[tuple[str, Cost]] = []
    longest = 0.0
    for run in design.all_runs:
        if at(results, RECORD, **run.identity) in left.files:
            table = of_run(design, run, built[run.backbone])
            corrected = table.seconds * pace.of(run)
            cost = replace(table, seconds=corrected)
            asked.append((run.backbone, cost))
            runs[run.method] += 1
            fits[run.method] = fits.get(run.method, Cost()) + cost
            longest = max(longest, cost.seconds)
    encoded = [
        (name, images_of(design, dataset, path.stem, drawn=name in suite["encoders"]))
        for path in map(Path, sorted(left.files))
        if Path(results, FEATURES_FOLDER) in path.parents
        for name, dataset in (path.parts[-3:-1],)
    ]
    features = (of_features(count, name, built[name]) for name, count in encoded)
    decoded = (
        of_pixels(design, name, path.parts[-2], path.stem, complete(facts[name])["image"]["size"])
        for path in map(Path, sorted(left.files))
        if Path(results, PIXELS_FOLDER) in path.parents
        for name in (path.parts[-3],)
    )
    markers = {name: at(results, FETCHED, dataset=name) for name in suite["facts"]}
    towers = {name: at(results, TOWER, backbone=name) for name in suite["backbones"]}
    models = {name for name, file in towers.items() if file in left.files}
    models |= {name for name, _ in encoded if name in suite["encoders"]}
    return Plan(
        target=" ".join(targets),
        suite=suite["suite"],
        at_a_time=at_a_time,
        jobs=left.jobs,
        runs=runs,
        total_runs=len(design.all_runs),
        fits=fits,
        longest=longest,
        images=sum(count for _, count in encoded),
        features=sum(features, Cost()),
        pixels=sum(decoded, Cost()),
        records=pace.records,
        fetch=to_fetch(suite, [name for name, file in markers.items() if file in left.files]),
        weights=weights_of(suite, sorted(models)),
        bills=bills_of(suite, asked),
    )


def _architecture(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a backbone's architecture; of a service's model, where it is unknown, open_clip's."""
    if facts["kind"] == "http":
        return {"embed_dim": 0, "text_cfg": {}}
    return architecture(complete(facts))
