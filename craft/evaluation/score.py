"""Score the predictions of runs with test labels; only this stage reads test labels."""

from __future__ import annotations

import argparse
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from craft.evaluation.calibration import expected_calibration_error, negative_log_likelihood
from craft.files import paths
from craft.files.atomic import RecordError, sha256, unchanged, write_json
from craft.files.datasets import Manifest
from craft.files.records import (
    BALANCED_ACCURACY,
    CALIBRATION_ERROR,
    LOG_LOSS,
    PREDICTIONS_FILE,
    RunRecord,
    Score,
)
from craft.files.run_predictions import Predictions
from craft.files.suite import Job
from craft.runtime.command import run_command
from craft.runtime.provenance import code_hash, timestamp

log = logging.getLogger(__name__)


class TestLabels:
    """Labels of a data set's test images, (N,) int64 in the manifest's order, and all its labels.

    ``manifest_sha256`` is of the manifest's file. Raises RecordError for one without test images.
    """

    __test__ = False  # not a test case, whatever its name looks like to a collector

    def __init__(self, dataset: str, manifest: Manifest, manifest_sha256: str) -> None:
        images = manifest.part("test")
        if not images:
            raise RecordError(f"{dataset}: the manifest lists no test image")
        self.dataset, self.manifest_sha256 = dataset, manifest_sha256
        self.labels = np.array([image.label for image in images], dtype=np.int64)  # (N,)
        self.names = manifest.class_names()  # label -> class name
        self.classes = np.array(list(self.names), dtype=np.int64)  # (K,)

    @classmethod
    def read(cls, dataset: str, path: str | os.PathLike[str]) -> TestLabels:
        """Read the labels from a manifest; raises RecordError."""
        with unchanged([Path(path)]):
            manifest = Manifest.read(path)
            return cls(dataset, manifest, sha256(path))

    def accuracy(self, predicted: np.ndarray) -> list[float]:
        """Return the accuracy (per cent) at each of T points; ``predicted`` is (T, N).

        Raises RecordError when N is not the number of test images or a predicted label is none of
        the data set's.
        """
        if predicted.ndim != 2 or predicted.shape[1] != len(self.labels):
            raise RecordError(
                f"{self.dataset}: expected predictions for {len(self.labels)} test images, got "
                f"shape {predicted.shape}"
            )
        foreign = predicted[~np.isin(predicted, self.classes)]
        if foreign.size:
            raise RecordError(
                f"{self.dataset}: {foreign.size} predicted labels are none of its "
                f"{len(self.classes)} labels {self.classes[0]} to {self.classes[-1]}; "
                f"the first: {foreign[0]}"
            )
        right = (predicted == self.labels).sum(axis=1)  # (T,)
        return [100.0 * int(count) / len(self.labels) for count in right]

    def by_class(self, predicted: np.ndarray) -> dict[str, float | None]:
        """Return the accuracy (per cent) of each class, in label order.

        ``predicted`` is (N,). A class is called by its name, and by its label too where another one
        has the same; one without test images has no number.
        """
        taken = Counter(self.names.values())
        found: dict[str, float | None] = {}
        for label, name in self.names.items():
            right = predicted[self.labels == label] == label  # (images of the class,)
            key = name if taken[name] == 1 else f"{name} ({label})"
            found[key] = 100.0 * int(right.sum()) / len(right) if len(right) else None
        return found

    def measures(
        self, predicted: np.ndarray, log_probabilities: np.ndarray, classes: np.ndarray
    ) -> dict[str, float]:
        """Return the measures of an answer besides its accuracy.

        ``predicted`` is (N,), ``log_probabilities`` (N, C), ``classes`` (C,) the labels of its
        columns. Raises RecordError where these do not belong together or to the data set.
        """
        column = {int(label): n for n, label in enumerate(classes)}
        if log_probabilities.shape != (len(self.labels), len(column)):
            raise RecordError(
                f"{self.dataset}: expected probabilities of {len(self.labels)} test images and "
                f"{len(column)} classes, got shape {log_probabilities.shape}"
            )
        if foreign := {*self.labels.tolist()} - {*column}:
            raise RecordError(
                f"{self.dataset}: expected probabilities of all its classes, got none of label "
                f"{min(foreign)}"
            )
        columns = np.array([column[label] for label in self.labels.tolist()])
        by_class = [value for value in self.by_class(predicted).values() if value is not None]
        confidence = np.exp(log_probabilities.max(axis=1).astype(np.float64))
        return {
            BALANCED_ACCURACY: sum(by_class) / len(by_class),
            CALIBRATION_ERROR: expected_calibration_error(confidence, predicted == self.labels),
            LOG_LOSS: negative_log_likelihood(log_probabilities, columns),
        }


def evaluate(record: RunRecord, predictions: Predictions, tests: Mapping[str, TestLabels]) -> Score:
    """Score one run on each of its test sets.

    Raises RecordError when the run's test sets are not those of ``tests``, its own is missing, or
    one was predicted in the order of another manifest or calls a label otherwise than its source.
    """
    if set(predictions.labels) != set(tests):
        raise RecordError(
            f"predicted on {sorted(predictions.labels)} but test labels are given for "
            f"{sorted(tests)}"
        )
    if record.dataset not in tests:
        raise RecordError(f"trained on {record.dataset} but tested on {sorted(tests)} only")
    learned = tests[record.dataset].names
    for name, test in tests.items():
        if wrong := [label for label in test.names if test.names[label] != learned.get(label)]:
            raise RecordError(
                f"{name}: class {wrong[0]} is {test.names[wrong[0]]!r}, but "
                f"{learned.get(wrong[0])!r} in {record.dataset}, which the run was trained on"
            )
        if (predicted := predictions.manifests[name]) != test.manifest_sha256:
            raise RecordError(
                f"{name}: predicted for the images of manifest (SHA-256) {predicted}, to be scored "
                f"with manifest {test.manifest_sha256}; fit again, on features of this manifest"
            )
    points = len(predictions.queries)
    for name, labels in predictions.labels.items():
        if not points or len(labels) != points:
            raise RecordError(f"{name}: {len(labels)} rows of predictions for {points} points")
    return Score(
        method=record.method,
        backbone=record.backbone,
        dataset=record.dataset,
        shots=record.shots,
        seed=record.seed,
        queries=[int(count) for count in predictions.queries],
        accuracy={name: test.accuracy(predictions.labels[name]) for name, test in tests.items()},
        class_accuracy={
            name: test.by_class(predictions.labels[name][-1]) for name, test in tests.items()
        },
        measures={
            name: test.measures(
                predictions.labels[name][-1],
                predictions.log_probabilities[name],
                predictions.classes[name],
            )
            for name, test in tests.items()
        },
        test_images={name: len(test.labels) for name, test in tests.items()},
        manifests={name: test.manifest_sha256 for name, test in tests.items()},
        record=dict(vars(record)),
        code_hash=code_hash("craft.evaluation.score"),
        scored=timestamp(),
    )


def score_run(folder: str | os.PathLike[str], tests: Mapping[str, TestLabels]) -> Score:
    """Write ``score.json`` into a run's folder; raises RecordError naming the folder."""
    folder = Path(folder)
    record = RunRecord.read(folder / paths.RECORD_NAME)
    record.require_files(folder)
    predictions = Predictions.read(folder / PREDICTIONS_FILE)
    try:
        score = evaluate(record, predictions, tests)
    except RecordError as error:
        raise RecordError(f"{folder}: {error}") from error
    score.write(folder / paths.SCORE_NAME)
    return score


def _assignment(text: str) -> tuple[str, str]:
    """Return ``NAME=FILE`` as a pair."""
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FILE")
    return name, path


def main(arguments: Sequence[str] | None = None) -> None:
    """Score the runs of a job with the manifests of their test sets."""
    parser = argparse.ArgumentParser(prog="python -m craft.evaluation.score", description=__doc__)
    parser.add_argument("--suite", type=Path, required=True, help="suite.json with the job")
    parser.add_argument("--job", required=True, metavar="NAME", help="the job's name in it")
    parser.add_argument("--digest", required=True, help="hash of the job as it was planned")
    parser.add_argument("--runs", type=Path, required=True, help="folder with a folder per run")
    parser.add_argument(
        "--manifests", nargs="+", required=True, type=_assignment, metavar="NAME=FILE"
    )
    parser.add_argument("--scored", metavar="FILE", help="written last: SHA-256 of each score")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    job = Job.read(given.suite, given.job, given.digest)
    tests = {name: TestLabels.read(name, path) for name, path in given.manifests}
    scores = {}
    for run in job.runs:
        if missing := [name for name in run.tests if name not in tests]:
            raise ValueError(f"--manifests: expected that of {missing[0]}, got {', '.join(tests)}")
        name = f"{paths.CELL}/{paths.RUN_OF_CELL}".format(**vars(job) | vars(run))
        score = score_run(given.runs / name, {name: tests[name] for name in run.tests})
        final = {test: round(values[-1], 2) for test, values in score.accuracy.items()}
        log.info("%s: %s", name, final)
        scores[name] = sha256(given.runs / name / paths.SCORE_NAME)
    if given.scored:
        write_json(given.scored, {"scores": scores})


if __name__ == "__main__":
    run_command(main)
