"""Decide whether files belong to this configuration, code and inputs, without Snakemake.

Snakemake's metadata lie outside the results and are lost when these are moved, copied or restored.
It also ignores missing files behind an existing target. The files therefore record what they were
made from (records, scores, receipts), and this module compares that with the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from craft.design.request import claims_of
from craft.design.runs import Design, Run
from craft.files.atomic import RecordError
from craft.files.receipts import Index
from craft.files.records import RUN_FILES, RunRecord, Score
from craft.runtime.provenance import code_hash


@dataclass(frozen=True)
class Expected:
    """The values that a run's record must have for its numbers to be shown."""

    config_hash: str
    code_hash: str
    inputs: Mapping[str, str | None]  # role -> SHA-256 of the file that is there now; None: no file

    @property
    def said(self) -> list[Any]:
        """All of it, as JSON values."""
        return [self.config_hash, self.code_hash, dict(self.inputs)]

    def difference(self, record: Mapping[str, Any]) -> str | None:
        """Return how a record differs, None if it does not; it may have read further test sets."""
        if record.get("config_hash") != self.config_hash:
            return "its options or its learner are not those of the configuration"
        if record.get("code_hash") != self.code_hash:
            return "the code of its learner has changed"
        recorded = record.get("inputs") or {}
        for role, expected in self.inputs.items():
            if expected is None or recorded.get(role) != expected:
                return f"it was not fitted on today's {role}"
        return None


def expected(claims: Mapping[str, Any], results: str, index: Index) -> Expected:
    """Return the values that a run's record must have, by its claims and the current files."""
    found = {role: index.sha256(f"{results}/{path}") for role, path in claims["inputs"].items()}
    return Expected(claims["config_hash"], claims["code_hash"], found)


def expected_of(design: Design, run: Run, index: Index) -> Expected:
    """Return what the record of a run of a design must say."""
    return expected(claims_of(design, run), design.config["results"], index)


def record_problem(path: str, expected: Expected, index: Index) -> str | None:
    """Return what is wrong with the run that a record is of, its published files included."""
    folder = Path(path).parent

    def check() -> str | None:
        try:
            record = RunRecord.read(path)
        except RecordError as error:
            return str(error)
        if difference := expected.difference(vars(record)):
            return difference
        for name in RUN_FILES:
            if index.sha256(folder / name) != record.files.get(name):
                return f"{name} is missing or not the one that was recorded"
        return None

    files = [path, *(folder / name for name in RUN_FILES)]
    return index.passes(files, expected.said, check)


def score_difference(score: Score, expected: Expected) -> str | None:
    """How a score and the record in it differ, None where they do not."""
    if difference := expected.difference(score.record):
        return difference
    if score.code_hash != code_hash("craft.evaluation.score"):
        return "the code that scores has changed"
    for name, manifest in score.manifests.items():
        if expected.inputs.get(f"manifest/{name}", manifest) != manifest:
            return f"it was not scored by today's manifest of {name}"
    return None


def score_problem(path: str, record: str, expected: Expected, index: Index) -> str | None:
    """Return what is wrong with the score of the run that a record is of."""

    def check() -> str | None:
        try:
            score = Score.read(path)
            if score.record != vars(RunRecord.read(record)):
                return "it is the score of another record"
        except RecordError as error:
            return str(error)
        return score_difference(score, expected)

    compared = [*expected.said, code_hash("craft.evaluation.score")]
    return index.passes([path, record], compared, check)


class Graph:
    """Files, what each is made from, and the check of each."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._inputs: dict[str, tuple[str, ...]] = {}
        self._checks: dict[str, Callable[[], str | None]] = {}
        self._present: dict[str, tuple[str, ...]] = {}
        self._looked: set[str] = set()
        self._found: dict[str, str] = {}

    def add(
        self,
        path: str,
        inputs: Iterable[str],
        check: Callable[[], str | None],
        present: Iterable[str] = (),
    ) -> None:
        """Add a file; ``check`` says what is wrong with it where it and its inputs exist.

        ``present`` are files behind it of which nothing is asked but that they are there.
        """
        self._inputs[path], self._checks[path] = tuple(inputs), check
        self._present[path] = tuple(present)

    def stale(self, target: str) -> dict[str, str]:
        """``target`` and files behind it that must be made again, with the reason, each named once.

        Those that exist and fail their check, and those that are missing behind one that exists:
        these Snakemake would leave missing. Others that are missing it makes unasked, as it does
        what is made from any of these.
        """
        before = set(self._found)
        todo = [target] if target in self._inputs else []
        while todo:
            path = todo.pop()
            if path in self._looked:
                continue
            self._looked.add(path)
            exists, inputs = bool(self._index.state(path)), self._inputs[path]
            if exists and all(map(self._index.state, inputs)) and (why := self._checks[path]()):
                self._found[path] = why
            for each in (*inputs, *self._present[path]):
                if each in self._inputs:
                    if exists and not self._index.state(each):
                        self._found[each] = "it is missing"
                    todo.append(each)
        return {path: why for path, why in self._found.items() if path not in before}

    def derived(self, path: str) -> bool:
        """Return whether a file that was found is made from another one that was found."""
        return any(each in self._found for each in self._inputs[path])
