"""Whether the files that a fit reads belong together: one backbone, its weights, one manifest."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from craft.files.atomic import RecordError
from craft.files.records import Features


def require_match(
    backbone: str,
    dataset: str,
    tower: Mapping[str, Any],
    train: Mapping[Path, Features],
    tests: Mapping[Path, tuple[str, Features]],
) -> None:
    """Refuse features of another backbone, data set, part, manifest or weights than the others.

    ``backbone`` and ``dataset`` are the prompts'; ``tower`` is what the exported text tower says
    of its origin; ``tests`` holds the test set that each file is given as. Raises RecordError
    naming the file, what it says and what it should.
    """
    given = [(path, features, dataset, "train") for path, features in train.items()]
    given += [(path, features, name, "test") for path, (name, features) in tests.items()]
    weights = tower.get("weights_sha256")
    manifests: dict[str, str] = {}
    for path, features, name, part in given:
        weights = weights or features.weights_sha256
        manifest = manifests.setdefault(name, features.manifest_sha256)
        for what, found, expected in (
            ("backbone", features.backbone, backbone),
            ("data set", features.dataset, name),
            ("part", features.part, part),
            ("weights (SHA-256)", features.weights_sha256, weights),
            ("manifest (SHA-256)", features.manifest_sha256, manifest),
        ):
            if found != expected:
                raise RecordError(
                    f"{path}: features of {what} {found}, beside files of {what} {expected}; "
                    "encode the images again"
                )
