"""The user's own side of a run: decoded images, and their codes by a public encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from craft.files.atomic import RecordError
from craft.files.image_features import Features
from craft.files.pixels import PixelRows
from craft.learner.own import Own


class Codes:
    """Features by encoder and image set, as read from files."""

    def __init__(self, paths: Iterable[Path], manifests: Mapping[str, str]) -> None:
        """Read features files; ``manifests`` are those of the run's images, by data set.

        Raises RecordError for codes of another data set or of other images.
        """
        self._known: dict[tuple[str, str], tuple[Path, Features]] = {}
        for path in paths:
            found = Features.read(path)
            expected = manifests.get(found.dataset)
            if found.manifest_sha256 != expected:
                raise RecordError(
                    f"{path}: codes of data set {found.dataset}, manifest "
                    f"{found.manifest_sha256}, beside images of manifest {expected}; encode the "
                    "images again"
                )
            self._known[found.backbone, _set_name(found)] = path, found

    def of(self, encoder: str, image_sets: Sequence[str]) -> dict[str, tuple[Path, Features]]:
        """Return an encoder's file and features by image set; raises ValueError for one lacking."""
        lacking = [name for name in image_sets if (encoder, name) not in self._known]
        if lacking:
            given = ", ".join(f"{name} by {who}" for who, name in self._known) or "none"
            raise ValueError(f"codes: expected those of {lacking[0]} by {encoder}, got {given}")
        return {name: self._known[encoder, name] for name in image_sets}


def _set_name(features: Features) -> str:
    """Return the learner's name of an image set, as in its box."""
    if features.part == "test":
        return f"test/{features.dataset}"
    return f"train-{features.copy}" if features.copy else "train"


def own_of(pixels: PixelRows, paths: Sequence[str], codes: Features, device: torch.device) -> Own:
    """Return the own side of one image set: its images ``paths`` and their codes, of raw norm."""
    rows = codes.rows(paths)
    raw = codes.features[rows] * codes.norms[rows, None]
    return Own(pixels, torch.from_numpy(raw).to(device))
