"""Decode every image of a user's data set once: find unreadable files and identical pictures.

Nobody has counted or hashed these images: what is wrong is found before hours go by.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from craft.data.rgb import ImageError, read_rgb
from craft.data.user_lists import about
from craft.files.atomic import write_json
from craft.files.datasets import Image, Manifest
from craft.runtime.progress import Progress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What is remarkable about a data set's images, though nothing refuses it.

    ``unreadable``: images that were left out, and why. ``identical``: groups of equal pictures in
    several parts or classes; only the images of a user's own are decoded for it.
    """

    without_test_images: tuple[str, ...] = ()  # class names
    unreadable: tuple[dict[str, str], ...] = ()  # path, reason
    identical: tuple[tuple[dict[str, Any], ...], ...] = ()  # path, label, class_name, split

    def write(self, path: Path) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    def lines(self) -> list[str]:
        """Return the findings, a line for each kind."""
        pairs = [" = ".join(image["path"] for image in group) for group in self.identical]
        return [
            *about(self.without_test_images, "classes without test images"),
            *about([image["path"] for image in self.unreadable], "unreadable images left out"),
            *about(pairs, "identical pictures in several parts or classes"),
        ]


def inspect(
    manifest: Manifest, folder: Path, reading: str, workers: int = 1, *, skip: bool = False
) -> tuple[Manifest, Report]:
    """Decode all images; return the manifest of those that can be read, and a report.

    Raises ImageError naming every image that cannot be read, unless ``skip`` leaves these out.
    """

    def decoded(image: Image) -> str | ImageError:
        try:
            picture = read_rgb(folder / image.path, reading)
        except ImageError as error:
            return error
        return hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest()

    outcomes: list[str | ImageError] = []
    what = f"inspection of {folder}"
    with (
        ThreadPoolExecutor(workers) as pool,
        Progress(what, len(manifest.images), "images") as progress,
    ):
        for outcome in pool.map(decoded, manifest.images):
            outcomes.append(outcome)
            progress.reach(len(outcomes))
    broken = {
        image.path: str(outcome)
        for image, outcome in zip(manifest.images, outcomes, strict=True)
        if isinstance(outcome, ImageError)
    }
    if broken and not skip:
        raise ImageError("\n".join([f"{len(broken)} images cannot be read", *broken.values()]))
    kept = Manifest(tuple(image for image in manifest.images if image.path not in broken))
    unreadable = tuple({"path": path, "reason": why} for path, why in broken.items())
    return kept, Report(untested(kept), unreadable, _identical(manifest.images, outcomes))


def untested(manifest: Manifest) -> tuple[str, ...]:
    """Return names of the classes that have no test image, in label order."""
    tested = {image.label for image in manifest.part("test")}
    return tuple(name for label, name in manifest.class_names().items() if label not in tested)


def _identical(
    images: Sequence[Image], outcomes: Iterable[str | ImageError]
) -> tuple[tuple[dict[str, Any], ...], ...]:
    groups: dict[str, list[Image]] = defaultdict(list)
    for image, outcome in zip(images, outcomes, strict=True):
        if isinstance(outcome, str):
            groups[outcome].append(image)
    return tuple(
        tuple(map(asdict, group))
        for group in groups.values()
        if len({(image.label, image.split) for image in group}) > 1
    )
