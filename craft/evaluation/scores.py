"""Scores of the runs of a design, and what a table says of a handful of seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from craft.design.runs import Design, Run
from craft.evaluation.staleness import expected_of, score_difference
from craft.files.atomic import RecordError
from craft.files.receipts import INDEX, Index
from craft.files.records import Score


@dataclass(frozen=True)
class Sample:
    """One number per expected run (per cent), None where the run is missing.

    ``missing`` says which runs are missing and why. A sample that lacks a run has no mean: an
    average over the runs that happen to be there would pass for the real one.
    """

    values: tuple[float | None, ...]
    missing: tuple[str, ...] = ()

    @property
    def expected(self) -> int:
        """Number of runs that the design asks for."""
        return len(self.values)

    @property
    def seeds(self) -> int:
        """Number of runs that are there."""
        return sum(value is not None for value in self.values)

    @property
    def complete(self) -> tuple[float, ...]:
        """The values when every expected run is there, else nothing."""
        present = tuple(value for value in self.values if value is not None)
        return present if len(present) == len(self.values) else ()

    @property
    def mean(self) -> float | None:
        """Mean over seeds; None when a run is missing."""
        return statistics.fmean(self.complete) if self.complete else None

    @property
    def std(self) -> float | None:
        """Sample standard deviation over seeds; None when a run is missing or there is but one."""
        return statistics.stdev(self.complete) if len(self.complete) > 1 else None


def average(samples: Sequence[Sample]) -> Sample:
    """Average of samples (data sets, say) seed by seed; a seed that one of them lacks is missing.

    Raises ValueError for samples of different numbers of seeds, or none.
    """
    return _seed_by_seed(samples, statistics.fmean)


def with_average(samples: Sequence[Sample]) -> list[Sample]:
    """The samples and, where there are several, their average."""
    return [*samples, average(samples)] if len(samples) > 1 else list(samples)


def total(samples: Sequence[Sample]) -> Sample:
    """Sum of samples seed by seed, as :func:`average`."""
    return _seed_by_seed(samples, math.fsum)


def minus(ours: Sample, theirs: Sample) -> Sample:
    """Difference seed by seed: the same few-shot sets, the same random numbers."""
    return _seed_by_seed((ours, theirs), lambda pair: pair[0] - pair[1])


def _seed_by_seed(
    samples: Sequence[Sample], combined: Callable[[Sequence[float]], float]
) -> Sample:
    if len({sample.expected for sample in samples}) != 1:
        raise ValueError(
            f"samples with {[sample.expected for sample in samples]} seeds; "
            "accepted: one or more samples with the same number"
        )
    values = tuple(
        None if None in column else combined(column)
        for column in zip(*(sample.values for sample in samples), strict=True)
    )
    missing = dict.fromkeys(text for sample in samples for text in sample.missing)
    return Sample(values, tuple(missing))


class StaleError(ValueError):
    """A score is broken, or not of this configuration, code and inputs: it is not shown."""


class Scores:
    """The scores below ``results`` that a design's runs left, each file read once."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.results = Path(design.config["results"])
        self.runs_folder = self.results / "runs"
        self._index = Index(self.results / INDEX)
        self._read: dict[Run, Score | RecordError] = {}

    def path(self, run: Run) -> Path:
        """Where a run's score lies."""
        return self.runs_folder / run.folder / "score.json"

    def score(self, run: Run) -> Score:
        """The score of a run; raises RecordError where there is none.

        Raises StaleError, which names the file and the command that makes it again, for one that
        cannot be read, is another run's, or is not of this configuration, code and inputs.
        """
        if run not in self._read:
            self._read[run] = self._load(run)
        found = self._read[run]
        if isinstance(found, RecordError):
            raise found
        return found

    def _load(self, run: Run) -> Score | RecordError:
        path = self.path(run)
        if not path.exists():
            return RecordError("no score")
        expected = expected_of(self.design, run, self._index)
        try:
            score = Score.read(path)
            problem = _identity(score, run) or score_difference(score, expected)
        except RecordError as error:
            problem = str(error)
        if problem:
            raise StaleError(
                f"{path}: expected a score of this configuration, code and inputs, but {problem}; "
                f"make it again: snakemake {path}, with the --configfile of this suite"
            )
        return score

    def sample(self, runs: Sequence[Run], test_set: str) -> Sample:
        """Final accuracy of each run on a test set."""
        return self.collect(runs, lambda score: final_accuracy(score, test_set))

    def collect(self, runs: Sequence[Run], read: Callable[[Score], float]) -> Sample:
        """A number of each run, read from its score; RecordError says why there is none."""
        values: list[float | None] = []
        missing = []
        for run in runs:
            try:
                values.append(read(self.score(run)))
            except RecordError as error:
                values.append(None)
                missing.append(f"{run.folder}: {error}")
        return Sample(tuple(values), tuple(missing))

    def cell(self, method: str, backbone: str, dataset: str, shots: int) -> Sample:
        """Accuracy over seeds on the data set's own test part."""
        return self.sample(self.design.cell(method, backbone, dataset, shots), dataset)

    def mean_over_datasets(
        self, method: str, backbone: str, datasets: Sequence[str], shots: int
    ) -> Sample:
        """Accuracy over seeds of the average over data sets."""
        return average([self.cell(method, backbone, dataset, shots) for dataset in datasets])


def final_accuracy(score: Score, test_set: str) -> float:
    """Accuracy at the end of a run; raises RecordError where it was not scored on the test set."""
    if not score.accuracy.get(test_set):
        raise RecordError(f"not scored on {test_set}")
    return score.accuracy[test_set][-1]


def _identity(score: Score, run: Run) -> str | None:
    found = (score.method, score.backbone, score.dataset, score.shots, score.seed)
    same = found == tuple(run.identity.values())
    return None if same else f"it is the score of another run {found}"
