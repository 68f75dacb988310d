"""What couples the stages: manifests, splits, features, predictions, run records and scores."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np

from craft.storage import (
    RecordError,
    read_json,
    read_tensors,
    write_json,
    write_tensors,
    write_text,
)

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
                raise ValueError(f"split {foreign.pop()!r}; accepted: {', '.join(PARTS)}")
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path}: not a readable manifest ({error!r})") from error
        if not rows:
            raise RecordError(f"{path}: the manifest lists no image")
        return cls(tuple(rows))

    def part(self, split: str) -> tuple[Image, ...]:
        """The images of one part, in order."""
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
        """Read the JSON; raises RecordError."""
        value = read_json(path)
        try:
            split = cls(
                dataset=value["dataset"],
                shots=int(value["shots"]),
                seed=int(value["seed"]),
                paths=tuple(value["paths"]),
                labels=tuple(int(label) for label in value["labels"]),
                class_names=tuple(value["class_names"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path}: not a few-shot split ({error!r})") from error
        if len(split.paths) != len(split.labels):
            raise RecordError(f"{path}: {len(split.paths)} paths but {len(split.labels)} labels")
        return split


# --- features and predictions --------------------------------------------------------------------


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

    _META = ("backbone", "dataset", "part", "view", "classes", "manifest_sha256", "weights_sha256")

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors."""
        metadata = {key: getattr(self, key) for key in self._META} | {"paths": self.paths}
        write_tensors(path, {"features": self.features, "norms": self.norms}, metadata)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Features:
        """Read the safetensors file; raises RecordError when foreign, truncated or not finite."""
        tensors, metadata = read_tensors(path)
        try:
            value = cls(
                features=tensors["features"],
                norms=tensors["norms"],
                paths=tuple(metadata["paths"]),
                **{
                    key: tuple(metadata[key]) if key == "classes" else metadata[key]
                    for key in cls._META
                },
            )
        except KeyError as error:
            raise RecordError(f"{path}: not a features file (lacks {error})") from error
        if len(value.paths) != len(value.features):
            raise RecordError(f"{path}: {len(value.features)} features, {len(value.paths)} paths")
        if not np.isfinite(value.features).all():
            raise RecordError(f"{path}: features that are not finite")
        return value

    def rows(self, paths: Sequence[str]) -> np.ndarray:
        """Row numbers of ``paths``, (n,) int64; raises RecordError naming a path not cached."""
        index = {path: row for row, path in enumerate(self.paths)}
        missing = [path for path in paths if path not in index]
        if missing:
            raise RecordError(
                f"{len(missing)} images of the split are not among the cached features of "
                f"{self.dataset} ({self.backbone}, {self.part}); the first: {missing[0]}"
            )
        return np.array([index[path] for path in paths], dtype=np.int64)


@dataclass(frozen=True)
class Predictions:
    """Predicted labels of unlabelled test sets at T points of a run, the last one final."""

    queries: np.ndarray  # (T,) int64, search queries spent at each point
    labels: dict[str, np.ndarray]  # test set -> (T, N) int32

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors; test-set names are data, kept in the metadata."""
        names = sorted(self.labels)
        tensors = {f"labels.{n}": self.labels[name] for n, name in enumerate(names)}
        write_tensors(path, tensors | {"queries": self.queries}, {"test_sets": names})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Predictions:
        """Read the safetensors file; raises RecordError."""
        tensors, metadata = read_tensors(path)
        try:
            labels = {name: tensors[f"labels.{n}"] for n, name in enumerate(metadata["test_sets"])}
            return cls(queries=tensors["queries"], labels=labels)
        except KeyError as error:
            raise RecordError(f"{path}: not a predictions file (lacks {error})") from error


# --- run records and scores ----------------------------------------------------------------------


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
    black_box: bool
    queries: dict[str, int]  # by purpose
    train_images: int
    train_accuracy: float | None  # per cent, on its own training images; None where untrained
    fit_seconds: float  # wall time of fit() alone
    predict_seconds: float
    peak_memory_mb: float  # largest resident set of the process during the run
    learner_parameters: int
    learner_bytes: int  # what must be stored to deploy the learner beside the black box
    code_hash: str
    inputs: dict[str, str]  # role -> sha256 of the file that was read
    versions: dict[str, str]
    peak_device_memory_mb: float = 0.0  # of tensors on a CUDA device; 0 on the CPU
    machine: dict[str, str] = field(default_factory=dict)  # what its times belong to
    config_hash: str | None = None  # of what the configuration says of this run
    commit: str | None = None  # of git, "-dirty" where files differ; None outside a checkout
    notes: dict[str, Any] = field(default_factory=dict)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> RunRecord:
        """Read the JSON; raises RecordError."""
        value = read_json(path)
        try:
            return cls(**value)
        except TypeError as error:
            raise RecordError(f"{path}: not a run record ({error})") from error


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
    test_images: dict[str, int]
    record: dict[str, Any]  # the run record that was scored

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as JSON."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Score:
        """Read the JSON; raises RecordError."""
        value = read_json(path)
        try:
            return cls(**value)
        except TypeError as error:
            raise RecordError(f"{path}: not a score ({error})") from error
