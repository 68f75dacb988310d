"""Where every number of a suite comes from: seeds, settings, code, versions and machines."""

from __future__ import annotations

import json
from typing import Any

from craft.design.runs import Design
from craft.evaluation.scores import Scores
from craft.files.atomic import RecordError
from craft.runtime.provenance import config_hash

#: What a run shares with many others, kept once per combination.
SHARED = ("commit", "code_hash", "versions", "machine")


def provenance(design: Design) -> dict[str, Any]:
    """What made each run of a design, as JSON values.

    ``environments`` lists the combinations of git commit (null outside a checkout), hash of the
    code, versions and machine that occur; a run names its own by position, beside its seed, the
    hash of its settings and the SHA-256 of each file that it read. A run without a score is named
    in ``missing`` with the reason.
    """
    scores, environments = Scores(design), {}
    runs: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for run in design.all_runs:
        try:
            record = scores.score(run).record
        except RecordError as error:
            missing[run.folder] = str(error)
            continue
        shared = {name: record.get(name) for name in SHARED}
        key = json.dumps(shared, sort_keys=True)
        number, _ = environments.setdefault(key, (len(environments), shared))
        runs[run.folder] = {
            "seed": run.seed,
            "config_hash": record.get("config_hash"),
            "environment": number,
            "inputs": record.get("inputs"),
        }
    return {
        "suite": design.config["suite"],
        "config_hash": config_hash(design.config),
        "seeds": list(design.seeds),
        "environments": [shared for _, shared in environments.values()],
        "runs": runs,
        "missing": missing,
    }
