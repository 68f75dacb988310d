"""What couples the stages: manifests, splits, features, run records and scores."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from craft.files.atomic import (
    RecordError,
    read_json,
    read_sealed,
    read_tensors,
    sha256,
    write_json,
    write_sealed,
    write_tensors,
    write_text,
)
from craft.files.typed import build

# --- manifests and splits ------------------------------------------------------------------------

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


# --- features ------------------------------------------------------------------------------------


#: Kinds of copies of an image beside the one that is tested: augmented by the data set's crop
#: scale, CoOp's crops, the two ends of the long side, and CBBT's crops and cutouts.
COPIES = ("view", "crop", "end", "cutout")


@dataclass(frozen=True)
class Features:
    """Image features of one (backbone, data set, part, view): unit rows and the raw norms.

    ``classes`` are the labels that the data set's task covers, a declared fact and not a label of
    any image: -A and -R tests cover 200 of 1000.
    """

    features: np.ndarray  # (N, E) float32, unit norm
    norms: np.ndarray  # (N,) float32, norm before division
    paths: tuple[str, ...]
    backbone: str
    dataset: str
    part: str
    view: int
    classes: tuple[int, ...]
    manifest_sha256: str
    weights_sha256: str
    kind: str = "view"  # one of COPIES; each kind has numbers of its own

    _META = (
        *("backbone", "dataset", "part", "view", "kind", "classes"),
        *("manifest_sha256", "weights_sha256"),
    )

    @property
    def copy(self) -> str:
        """Which copy of the images it is, ``view-3``, ``crop-7`` or ``end-1``; empty for none."""
        return f"{self.kind}-{self.view}" if self.view else ""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors."""
        metadata = {key: getattr(self, key) for key in self._META} | {"paths": self.paths}
        write_tensors(path, {"features": self.features, "norms": self.norms}, metadata)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Features:
        """Read the safetensors file; raises RecordError when foreign, truncated or not finite."""
        tensors, metadata = read_tensors(path)
        known = {key: metadata[key] for key in (*cls._META, "paths") if key in metadata}
        for key in ("classes", "paths"):
            if isinstance(known.get(key), list):
                known[key] = tuple(known[key])
        known |= {key: tensors[key] for key in ("features", "norms") if key in tensors}
        value = build(cls, known, path, "features file")
        for name, array, axes in (("features", value.features, 2), ("norms", value.norms, 1)):
            right = array.ndim == axes and array.dtype == np.float32
            if not right or len(array) != len(value.paths):
                raise RecordError(
                    f"{path}: {name}: expected {axes} axes of float32, the first "
                    f"{len(value.paths)} long, got shape {array.shape}, {array.dtype}"
                )
            if not np.isfinite(array).all():
                raise RecordError(f"{path}: {name} that are not finite")
        return value

    def rows(self, paths: Sequence[str]) -> np.ndarray:
        """Row numbers of ``paths``, (n,) int64; raises RecordError naming a path not cached."""
        about = f"cached features of {self.dataset} ({self.backbone}, {self.part})"
        return row_numbers(self.paths, paths, about)


def row_numbers(known: Sequence[str], paths: Sequence[str], about: str) -> np.ndarray:
    """Return the positions (n,) int64 of ``paths`` in ``known``.

    Raises RecordError for a path that is not ``about`` what is known.
    """
    index = {path: row for row, path in enumerate(known)}
    missing = [path for path in paths if path not in index]
    if missing:
        raise RecordError(
            f"{len(missing)} images of the split are not among the {about}; the first: {missing[0]}"
        )
    return np.array([index[path] for path in paths], dtype=np.int64)


# --- run records and scores ----------------------------------------------------------------------

#: What a run publishes beside its record, which names the SHA-256 of each.
RUN_FILES = LEARNER_FILE, HISTORY_FILE, PREDICTIONS_FILE = (
    "learner.safetensors",
    "history.csv",
    "predictions.safetensors",
)


@dataclass(frozen=True)
class RunRecord:
    """What one fit did, as JSON: identity, resolved options, costs, versions."""

    method: str
    backbone: str
    dataset: str
    shots: int
    seed: int
    learner: str
    options: dict[str, Any]
    access: str  # what the learner was given, one of craft.protocol.ACCESS
    queries: dict[str, int]  # by purpose
    train_images: int
    train_accuracy: float | None  # per cent, on its own training images; None where untrained
    fit_seconds: float  # wall time of fit() alone
    predict_seconds: float
    peak_memory_mb: float  # largest resident set of the process during the run
    learner_parameters: int
    learner_bytes: int  # what must be stored to deploy the learner beside the black box
    code_hash: str
    config_hash: str  # of what the configuration says of this run (Design.run_settings)
    inputs: dict[str, str]  # role -> SHA-256 of the file that was read (Design.inputs)
    files: dict[str, str]  # each of RUN_FILES -> its SHA-256
    versions: dict[str, str]
    started: str  # UTC, ISO 8601; of the attempt that ended well
    ended: str
    images: dict[str, int] = field(default_factory=dict)  # encodings of the service, by purpose
    peak_device_memory_mb: float = 0.0  # of tensors on a CUDA device; 0 on the CPU
    machine: dict[str, str] = field(default_factory=dict)  # what its times belong to
    commit: str | None = None  # of git, "-dirty" where files differ; None outside a checkout
    initial_accuracy: float | None = None  # as train_accuracy, at the box's untouched context
    distinct_prompts: int | None = None  # that the text tower can tell apart, of one per class
    near_chance: bool = False  # whether that says that the model does not know these images
    notes: dict[str, Any] = field(default_factory=dict)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as sealed JSON."""
        write_sealed(path, vars(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RunRecord:
        """Read the sealed JSON; raises RecordError."""
        return build(cls, read_sealed(path), path, "run record")

    def require_files(self, folder: Path) -> None:
        """Raise RecordError for a file of the run that is missing or not the one recorded."""
        for name in RUN_FILES:
            path, expected = folder / name, self.files.get(name)
            found = sha256(path) if path.is_file() else "no file"
            if found != expected:
                raise RecordError(f"{path}: expected SHA-256 {expected} (record.json), got {found}")


#: What a score says of a test set beside the accuracy: per cent, points of per cent, nats.
MEASURES = BALANCED_ACCURACY, CALIBRATION_ERROR, LOG_LOSS = (
    "balanced_accuracy",
    "expected_calibration_error",
    "negative_log_likelihood",
)


@dataclass(frozen=True)
class Score:
    """Accuracy (per cent) of one run on each of its test sets, along its queries."""

    method: str
    backbone: str
    dataset: str
    shots: int
    seed: int
    queries: list[int]  # (T,) search queries
    accuracy: dict[str, list[float]]  # test set -> (T,) per cent; the last one is the result
    class_accuracy: dict[str, dict[str, float | None]]  # test set -> class -> per cent, at the end
    measures: dict[str, dict[str, float]]  # test set -> each of MEASURES, at the end
    test_images: dict[str, int]
    manifests: dict[str, str]  # test set -> SHA-256 of the manifest that labels it
    record: dict[str, Any]  # the run record that was scored
    code_hash: str  # of the code that scored it
    scored: str  # UTC, ISO 8601: when

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as sealed JSON."""
        write_sealed(path, vars(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Score:
        """Read the sealed JSON; raises RecordError."""
        return build(cls, read_sealed(path), path, "score")
