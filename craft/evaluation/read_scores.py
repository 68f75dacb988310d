"""The scores of a request's runs, each opened once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from craft.evaluation.staleness import expected, score_difference
from craft.files import paths
from craft.files.atomic import RecordError
from craft.files.receipts import Index
from craft.files.records import Score

#: What identifies a run of a suite.
IDENTITY = ("method", "backbone", "dataset", "shots", "seed")
#: Entries of a run's record that are gathered as they are.
RECORDED = (
    "access",
    "train_images",
    "train_accuracy",
    "initial_accuracy",
    "near_chance",
    "distinct_prompts",
    "fit_seconds",
    "predict_seconds",
    "peak_memory_mb",
    "peak_device_memory_mb",
    "learner_parameters",
    "learner_bytes",
    "learner",
    "code_hash",
)
#: What else is read of it.
_READ = (*RECORDED, "queries", "images", "machine", "options", "versions")


class StaleError(ValueError):
    """A score is broken, or belongs to another configuration, code or input; it is not shown."""


class Scores:
    """Scores below the results of a suite, by the folders of their runs."""

    def __init__(self, request: Mapping[str, Any], results: str) -> None:
        self._runs, self._results = request["runs"], results
        self._index = Index(Path(results, paths.INDEX))
        self._read: dict[str, Score | RecordError] = {}

    def path(self, folder: str) -> str:
        """Return the path of a run's score."""
        return paths.at(self._results, paths.SCORE, **self._runs[folder])

    def score(self, folder: str) -> Score:
        """Return the score of a run; raises RecordError where there is none.

        Raises StaleError, which names the file and the command that makes it again, for one that
        cannot be read, is another run's, or is not of this configuration, code and inputs.
        """
        if folder not in self._read:
            self._read[folder] = self._load(folder)
        found = self._read[folder]
        if isinstance(found, RecordError):
            raise found
        return found

    def _load(self, folder: str) -> Score | RecordError:
        run, path = self._runs[folder], self.path(folder)
        if not Path(path).exists():
            return RecordError("no score")
        try:
            score = Score.read(path)
            problem = _foreign(score, run)
            problem = problem or score_difference(score, expected(run, self._results, self._index))
        except RecordError as error:
            problem = str(error)
        if problem:
            raise StaleError(
                f"{path}: expected a score of this configuration, code and inputs, but {problem}; "
                f"make it again: snakemake {path}, with the --configfile of this suite"
            )
        return score


def _foreign(score: Score, run: Mapping[str, Any]) -> str | None:
    found = tuple(getattr(score, name) for name in IDENTITY)
    if found != tuple(run[name] for name in IDENTITY):
        return f"it is the score of another run {found}"
    lacking = [name for name in _READ if name not in score.record]
    return f"its record has no {lacking[0]}" if lacking else None
