"""What a run and its scoring publish: the run's record, and its score."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from craft.files.atomic import RecordError, read_sealed, sha256, write_sealed
from craft.files.typed import build

#: What a run publishes beside its record, which names the SHA-256 of each.
RUN_FILES = LEARNER_FILE, HISTORY_FILE, PREDICTIONS_FILE = (
    "learner.safetensors",
    "history.csv",
    "predictions.safetensors",
)


@dataclass(frozen=True)
class RunRecord:
    """The record of one fit, as JSON: identity, resolved options, costs, versions."""

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
