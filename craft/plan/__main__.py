"""What a target will cost, before anyone spends a day: jobs, queries, disk and hours.

``python -m craft.plan --config JSON --target all --cores 2``; ``snakemake plan`` runs it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from craft.blackbox.backbones.description import architecture, complete
from craft.config import load
from craft.design.runs import Design, Run
from craft.files import paths
from craft.learner.base import Learner
from craft.plan.cost import Cost, images_of, of_features, of_run, to_fetch, weights_of
from craft.plan.dry_run import Pending, PlanError, pending
from craft.plan.measure import Speed, measure
from craft.plan.summary import Plan, page
from craft.runtime.command import run_command

#: Rules whose jobs import torch.
COMPUTES = re.compile("fit.*|features|backbone|prompts")


def learner_of(design: Design, run: Run) -> Learner:
    """The learner of a run, configured."""
    module, _, name = design.learner(run.method).partition(":")
    cls = getattr(importlib.import_module(module), name)
    return cls(**design.options(run.method, run.dataset, run.shots))


def features_of(suite: Mapping[str, Any], left: Pending) -> list[tuple[str, str, str]]:
    """(backbone, data set, part) of each features file that will be written."""
    folder = Path(suite["results"]) / "features"
    paths = [Path(file) for file in left.files]
    return sorted(
        (path.parts[-3], path.parts[-2], path.stem) for path in paths if folder in path.parents
    )


def make(
    suite: Mapping[str, Any], target: str, left: Pending, speed: Speed, cores: int, gpus: int
) -> Plan:
    """The plan of what is ``left`` to do."""
    design = Design(suite)
    embed = {
        name: architecture(complete(fact))["embed_dim"]
        for name, fact in suite["backbone_facts"].items()
    }
    runs: Counter[str] = Counter()
    fits: dict[str, Cost] = {}
    longest: dict[str, float] = {}
    for run in design.all_runs:
        if f"{suite['results']}/runs/{run.folder}/record.json" not in left.files:
            continue
        cost = of_run(run, learner_of(design, run), design, embed[run.backbone], speed)
        runs[run.method] += 1
        fits[run.method] = fits.get(run.method, Cost()) + cost
        longest[run.method] = max(longest.get(run.method, 0.0), cost.seconds)
    encoded = [
        (backbone, images_of(design, dataset, part))
        for backbone, dataset, part in features_of(suite, left)
    ]
    features = (of_features(count, name, embed[name], speed) for name, count in encoded)
    compute = sum(count for rule, count in left.jobs.items() if COMPUTES.fullmatch(rule))
    fetched = [
        name
        for name in suite["facts"]
        if paths.at(suite["results"], paths.FETCHED, dataset=name) in left.files
    ]
    towers = Path(suite["results"]) / "backbones"
    exported = [
        name for name in suite["backbones"] if f"{towers}/{name}/text.safetensors" in left.files
    ]
    return Plan(
        target=target,
        suite=suite["suite"],
        cores=cores,
        gpus=gpus,
        jobs=left.jobs,
        runs=runs,
        total_runs=len(design.all_runs),
        fits=fits,
        longest=longest,
        images=sum(count for _, count in encoded),
        features=sum(features, Cost()),
        starts=compute * speed.start[0] + (sum(left.jobs.values()) - compute) * speed.start[1],
        fetch=to_fetch(suite, fetched),
        weights=weights_of(suite, exported),
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m craft.plan", description=__doc__)
    parser.add_argument("--config", type=json.loads, required=True, help="the configuration")
    parser.add_argument("--target", nargs="+", default=["all"], help="rules or files")
    parser.add_argument("--cores", type=int, default=1, help="jobs at a time")
    parser.add_argument("--gpus", type=int, default=1, help="jobs at a time that need a GPU")
    parser.add_argument("--conda", action="store_true", help="jobs run in conda environments")
    parser.add_argument("--speed", type=Path, help="measured elsewhere, as --save-speed writes it")
    parser.add_argument("--save-speed", type=Path, help="file that gets what was measured here")
    parser.add_argument("--device", default="cpu", help="what jobs compute on")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the plan of a target."""
    given = _arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    suite = load(given.config)
    try:
        left = pending(given.config, given.target, conda=given.conda)
    except PlanError as error:
        raise SystemExit(f"error: {error}") from error
    if not left.files:
        print(f"Nothing to do for {' '.join(given.target)}: all of it is made.")
        return
    if given.speed:
        speed = Speed(**json.loads(given.speed.read_text(encoding="utf-8")))
    else:
        trained = sorted({run.dataset for run in Design(suite).all_runs})
        speed = measure(suite, suite["backbones"], trained, given.device)
    if given.save_speed:
        given.save_speed.write_text(speed.to_json(), encoding="utf-8")
    gpus = given.gpus if given.device == "cuda" else 0
    print(page(make(suite, " ".join(given.target), left, speed, given.cores, gpus), speed))


if __name__ == "__main__":
    run_command(main)
