"""Count the classes and images of data sets in their manifests, into one tidy CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from craft.files import paths
from craft.files.atomic import RecordError
from craft.files.datasets import Manifest

#: What is counted.
COUNTS = ("classes", "train", "test")


def manifest_of(dataset: str, results: str) -> str:
    """Return the path of a data set's manifest."""
    return paths.at(results, paths.MANIFEST, dataset=dataset)


def count_images(request: Mapping[str, Any], results: str) -> pd.DataFrame:
    """Return a line for each data set: what is counted, and what its file declares of it.

    A data set without a readable manifest keeps its line, with the reason in ``status``. A shifted
    test set has nothing to train on.
    """
    lines = []
    for facts in request["manifests"]:
        name = facts["dataset"]
        line = {key: facts[key] for key in ("dataset", "label", "task", "shifted")}
        line |= {f"declared_{what}": facts["declared"].get(what) for what in COUNTS}
        try:
            manifest = Manifest.read(manifest_of(name, results))
        except RecordError:
            missing = f"{paths.MANIFEST.format(dataset=name)}: missing or unreadable"
            lines.append(line | {"status": missing})
            continue
        train = None if facts["shifted"] else len(manifest.part("train"))
        counted = (len(manifest.class_names()), train, len(manifest.part("test")))
        lines.append(line | dict(zip(COUNTS, counted, strict=True)) | {"status": "ok"})
    columns = ["dataset", "label", "task", "shifted", "status"]
    columns += [*COUNTS, *(f"declared_{what}" for what in COUNTS)]
    frame = pd.DataFrame(lines, columns=columns).assign(suite=request["suite"])
    whole = [name for name in columns if name.removeprefix("declared_") in COUNTS]
    return frame.astype(dict.fromkeys(whole, "Int64"))
