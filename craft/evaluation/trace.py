"""Where every number of a suite comes from: seeds, settings, code, versions and machines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from craft.evaluation.scores import Scores
from craft.files.atomic import RecordError

#: What a run shares with many others, kept once per combination.
SHARED = ("commit", "code_hash", "versions", "machine")


def trace(request: Mapping[str, Any], scores: Scores) -> dict[str, Any]:
    """Return what made each run of a suite, as JSON values.

    ``environments`` lists the combinations of git commit (null outside a checkout), hash of the
    code, versions and machine that occur; a run names its own by position, beside its seed, the
    hash of its settings and the SHA-256 of each file that it read. A run without a score is named
    in ``missing`` with the reason.
    """
    environments: dict[str, tuple[int, dict[str, Any]]] = {}
    runs: dict[str, Any] = {}
    missing: dict[str, str] = {}
    for *_, folder in request["cells"]:
        try:
            record = scores.score(folder).record
        except RecordError as error:
            missing[folder] = str(error)
            continue
        shared = {name: record.get(name) for name in SHARED}
        key = json.dumps(shared, sort_keys=True)
        number, _ = environments.setdefault(key, (len(environments), shared))
        runs[folder] = {
            "seed": request["runs"][folder]["seed"],
            "config_hash": record.get("config_hash"),
            "environment": number,
            "inputs": record.get("inputs"),
        }
    return {
        "suite": request["suite"],
        "config_hash": request["config_hash"],
        "seeds": request["seeds"],
        "environments": [shared for _, shared in environments.values()],
        "runs": runs,
        "missing": missing,
    }
