"""The paper's printed numbers, with notes on known errors."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pandas as pd

from craft.design.artefact import Artefact
from craft.files.atomic import RecordError
from craft.report.published_files import READERS, Key
from craft.report.tables.table import Cell
from craft.report.tidy_runs import Sample


class Published:
    """Printed numbers (or words) of one artefact, and notes on them."""

    def __init__(
        self, values: Mapping[Key, float | str], notes: Iterable[tuple[str, str, str]]
    ) -> None:
        self._values = {_folded(key): value for key, value in values.items()}
        self._notes = tuple(notes)

    @classmethod
    def none(cls) -> Published:
        """Return an empty set of printed numbers, for suites other than the paper's."""
        return cls({}, ())

    @classmethod
    def read(
        cls, folder: str | os.PathLike[str] | None, artefact: Artefact, lines: pd.DataFrame
    ) -> Published:
        """Read the paper's printed numbers of an artefact; none for another suite than the paper's.

        A note on an entry of docs/published-errors.md ends with its number. An average is left out
        if the runs use other data sets than the paper's. Raises RecordError for a missing or
        foreign file.
        """
        if folder is None or {*lines["suite"]} != {"paper"} or artefact.printed not in READERS:
            return cls.none()
        path = Path(folder) / f"{artefact.printed}.csv"
        try:
            values = dict(READERS[artefact.printed](list(_rows(path)), lines))
        except (KeyError, ValueError) as error:
            raise RecordError(f"{path}: not a table of published numbers ({error!r})") from error
        notes = [
            (row["row"], row["column"], _cited(row["note"], row["error"]))
            for row in _rows(Path(folder) / "notes.csv")
            if row["table"] == artefact.name
        ]
        return cls(values, notes)

    def value(self, backbone: str, method: str, column: str) -> float | str | None:
        """Return the printed number, or None."""
        return self._values.get(_folded((backbone, method, column)))

    def cell(self, sample: Sample | None, backbone: str, method: str, column: str) -> Cell:
        """Return the cell of a sample of runs (None: not run) with the printed number and notes."""
        key = (backbone, method, column)
        return Cell.of(sample, self.value(*key), self.notes(*key))

    def methods(self, backbone: str) -> tuple[str, ...]:
        """Return the methods with printed numbers on a backbone, in the paper's order."""
        return tuple(dict.fromkeys(key[1] for key in self._values if key[0] == backbone))

    def notes(self, backbone: str, method: str, column: str) -> tuple[str, ...]:
        """Return notes on a printed number; their ``row`` and ``column`` are shell patterns."""
        if self.value(backbone, method, column) is None:
            return ()  # what is said of a printed number needs one
        row = f"{backbone}/{method}"
        return tuple(
            note
            for row_pattern, column_pattern, note in self._notes
            if fnmatchcase(row, row_pattern) and fnmatchcase(column, column_pattern)
        )


def _cited(note: str, error: str) -> str:
    return f"{note} (error {error} of docs/published-errors.md)" if error else note


def _folded(key: Key) -> Key:
    """Column and data-set names are printed in several spellings (SUN397, Sun397)."""
    backbone, method, column = key
    return backbone, method.casefold(), column.casefold()


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: not readable ({error})") from error
