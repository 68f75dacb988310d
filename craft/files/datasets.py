"""Manifests of data sets, and few-shot splits of them."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from dataclasses import asdict, dataclass, fields

from craft.files.atomic import RecordError, read_json, write_json, write_text
from craft.files.typed import build

#: Parts of a data set, as a manifest names them.
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Image:
    """One image of a data set: path relative to its image root, label, class name, part."""

    path: str
    label: int
    class_name: str
    split: str  # train | val | test


@dataclass(frozen=True)
class Manifest:
    """Every image of a data set in its published order; CSV ``path,label,class_name,split``."""

    images: tuple[Image, ...]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as CSV with a header."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow([f.name for f in fields(Image)])
        writer.writerows((i.path, i.label, i.class_name, i.split) for i in self.images)
        write_text(path, buffer.getvalue())

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Manifest:
        """Read the CSV; raises RecordError."""
        try:
            with open(path, encoding="utf-8", newline="") as stream:
                rows = [
                    Image(row["path"], int(row["label"]), row["class_name"], row["split"])
                    for row in csv.DictReader(stream)
                ]
            if foreign := {row.split for row in rows} - set(PARTS):
                raise ValueError(f"split: expected {', '.join(PARTS)}, got {foreign.pop()!r}")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path}: not a readable manifest ({error!r})") from error
        if not rows:
            raise RecordError(f"{path}: the manifest lists no image")
        return cls(tuple(rows))

    def part(self, split: str) -> tuple[Image, ...]:
        """Return the images of one part, in order."""
        return tuple(image for image in self.images if image.split == split)

    def class_names(self) -> dict[int, str]:
        """Label -> class name, ascending labels; a shifted test set may lack some labels."""
        names: dict[int, str] = {}
        for image in self.images:
            if names.setdefault(image.label, image.class_name) != image.class_name:
                raise RecordError(
                    f"label {image.label} is named both {names[image.label]!r} "
                    f"and {image.class_name!r}"
                )
        return dict(sorted(names.items()))


@dataclass(frozen=True)
class Split:
    """A few-shot training set: paths with their labels, in the protocol's order."""

    dataset: str
    shots: int
    seed: int
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Split:
        """Read the JSON; raises RecordError, also where a class has more or fewer than ``shots``.

        A class that is too small has some of its images twice, or there is no split of it.
        """
        split = build(cls, read_json(path), path, "few-shot split")
        if len(split.paths) != len(split.labels):
            raise RecordError(f"{path}: {len(split.paths)} paths but {len(split.labels)} labels")
        classes = len(split.class_names)
        for image, label in zip(split.paths, split.labels, strict=True):
            if not 0 <= label < classes:
                raise RecordError(
                    f"{path}: label of {image}: expected 0 to {classes - 1}, got {label}"
                )
        counts = Counter(split.labels)
        for label, name in enumerate(split.class_names):
            if split.shots < 1 or counts[label] != split.shots:
                raise RecordError(
                    f"{path}: class {label} ({name!r}): expected as many images as shots, 1 or "
                    f"more, got {counts[label]} in a split of {split.shots} shots"
                )
        return split
