"""Check that the files of a fit belong to one backbone, its weights and the same images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from craft.files.atomic import RecordError
from craft.files.image_features import Features
from craft.files.pixels import PixelFacts
from craft.files.uploaded import Uploaded


def require_match(
    backbone: str,
    dataset: str,
    towers: Mapping[Path, Mapping[str, Any]],
    train: Mapping[Path, Features | Uploaded | PixelFacts],
    tests: Mapping[Path, tuple[str, Features | Uploaded | PixelFacts]],
) -> None:
    """Raise RecordError for images of another backbone, data set, part, manifest or weights.

    ``backbone`` and ``dataset`` are those of the prompts. ``towers`` holds the provenance of
    exported towers, ``tests`` the test set of each file. The error names the file, the value found
    and the value expected.
    """
    weights = next((o["weights_sha256"] for o in towers.values() if "weights_sha256" in o), None)
    for path, origin in towers.items():
        found = origin.get("weights_sha256", weights)
        _require_same(path, "tower", "weights (SHA-256)", found, weights)
    given = [(path, images, dataset, "train") for path, images in train.items()]
    given += [(path, images, name, "test") for path, (name, images) in tests.items()]
    manifests: dict[str, str] = {}
    for path, images, name, part in given:
        manifest = manifests.setdefault(name, images.manifest_sha256)
        of_images = [
            ("backbone", images.backbone, backbone),
            ("data set", images.dataset, name),
            ("part", images.part, part),
            ("manifest (SHA-256)", images.manifest_sha256, manifest),
        ]
        if not isinstance(images, PixelFacts):
            weights = weights or images.weights_sha256
            of_images.append(("weights (SHA-256)", images.weights_sha256, weights))
        for what, found, expected in of_images:
            kind = "pixels" if isinstance(images, PixelFacts) else "features"
            _require_same(path, kind, what, found, expected)


def _require_same(path: Path, kind: str, what: str, found: Any, expected: Any) -> None:
    if found != expected:
        raise RecordError(
            f"{path}: {kind} of {what} {found}, beside files of {what} {expected}; make them again"
        )
