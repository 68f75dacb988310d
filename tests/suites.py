"""Suites that tests run, cut from config/mini.yaml."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

MINI = Path(__file__).resolve().parents[1] / "config/mini.yaml"

#: A fit of two populations.
SMALL = {"budget": 40, "population": 20, "intrinsic_dim": 8, "hidden": 8}


def tiny(
    methods: Iterable[str], artefacts: Mapping[str, Mapping[str, Any]], **changes: Any
) -> dict[str, Any]:
    """Return a suite of these methods of ``mini`` on ``digits`` with mini-rn, seeds 1 and 2.

    Each method is shown in every artefact; ``changes`` replace keys of the suite.
    """
    mini = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    own = {name: copy.deepcopy(mini["methods"][name]) for name in methods}
    for method in own.values():
        method.pop("dataset_options", None)
        method.pop("datasets", None)
    shown = [name for name in artefacts if name != "dataset_statistics"]
    return mini | {
        "suite": "tiny",
        "seeds": [1, 2],
        "backbones": ["mini-rn"],
        "datasets": ["digits"],
        "dataset_options": {},
        "shift": None,
        "options": dict(SMALL),
        "methods": {name: method | {"artefacts": shown} for name, method in own.items()},
        "artefacts": dict(artefacts),
        **changes,
    }
