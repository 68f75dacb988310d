"""The paper's printed numbers under this project's ids, with what is known to be wrong in them."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from craft.design import Design
from craft.storage import RecordError
from craft.tables.layout import AVERAGE

#: (backbone id, method id, column id) of a printed number; for data sets' facts ("", data set, id).
Key = tuple[str, str, str]

BACKBONES = {
    "ResNet-50": "RN50",
    "ResNet-101": "RN101",
    "ViT-B/32": "ViT-B-32",
    "ViT-B/16": "ViT-B-16",
}
METHODS = {
    "ZS-CLIP": "zero-shot",
    "BBT": "bbt",
    "CraFT": "craft",
    "CoOp(L=4)": "coop-4",
    "CoOp(L=16)": "coop-16",
}
#: (PG, PR, Co) -> methods; the row without collaboration has two readings in this project.
COMPONENTS = {
    ("yes", "no", "no"): ("bbt",),
    ("no", "yes", "no"): ("refine",),
    ("yes", "yes", "no"): ("alternate", "sequential"),
    ("yes", "yes", "yes"): ("craft",),
}
#: (residual, architecture of the refiner) -> method
REFINERS = {("no", "MLP"): "no-residual", ("yes", "Linear"): "linear", ("yes", "MLP"): "craft"}

#: What the paper averages over; an average over anything else has no published counterpart.
DATASETS = frozenset(
    {"OxfordPets", "Flowers102", "FGVCAircraft", "DTD", "EuroSAT", "StanfordCars"}
    | {"Food101", "SUN397", "Caltech101", "UCF101", "ImageNet"}
)
TARGETS = frozenset({"ImageNetV2", "ImageNet-Sketch", "ImageNet-A", "ImageNet-R"})

#: The data set of the paper's sweeps; its caption is lost, 75.30 at the default identifies it.
SWEPT_DATASET = "EuroSAT"
#: Shots of every printed number that has no column for them.
SHOTS = (16,)


class Published:
    """Printed numbers of one artefact, and notes on them."""

    def __init__(self, values: Mapping[Key, float], notes: Iterable[tuple[str, str, str]]) -> None:
        self._values = {_folded(key): value for key, value in values.items()}
        self._notes = tuple(notes)

    @classmethod
    def none(cls) -> Published:
        """No printed number: any suite but the paper's."""
        return cls({}, ())

    @classmethod
    def read(
        cls, folder: str | os.PathLike[str] | None, design: Design, artefact: str
    ) -> Published:
        """Read what the paper prints of an artefact; nothing for a suite other than the paper's.

        An average is left out where the design averages over other data sets than the paper.
        Raises RecordError for a missing or foreign file.
        """
        if folder is None or design.config["suite"] != "paper":
            return cls.none()
        name, parse = _READERS[artefact]
        path = Path(folder) / f"{name}.csv"
        try:
            values = dict(parse(list(_rows(path)), design, artefact))
        except (KeyError, ValueError) as error:
            raise RecordError(f"{path}: not a table of published numbers ({error!r})") from error
        notes = [
            (row["row"], row["column"], row["note"])
            for row in _rows(Path(folder) / "notes.csv")
            if row["table"] == artefact
        ]
        return cls(values, notes)

    def value(self, backbone: str, method: str, column: str) -> float | None:
        """The printed number, or None."""
        return self._values.get(_folded((backbone, method, column)))

    def notes(self, backbone: str, method: str, column: str) -> tuple[str, ...]:
        """Notes on a printed number; ``row`` and ``column`` of a note are shell-style patterns."""
        row = f"{backbone}/{method}"
        return tuple(
            note
            for row_pattern, column_pattern, note in self._notes
            if fnmatchcase(row, row_pattern) and fnmatchcase(column, column_pattern)
        )


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


# --- one reader per shape of printed table -------------------------------------------------------

Rows = list[dict[str, str]]
Values = Iterator[tuple[Key, float]]


def _comparison(rows: Rows, design: Design, artefact: str) -> Values:
    """Tables 1 and 2: one number per backbone, method and data set, and the printed average."""
    if not _same_shots(design, artefact):
        return
    if artefact == "robustness":
        comparable = set(design.config["shift"]["targets"]) == TARGETS
    else:
        comparable = set(design.datasets(artefact)) == DATASETS
    for row in rows:
        column = row["dataset"]
        if column.startswith(AVERAGE):
            if not comparable:
                continue
            column = AVERAGE
        key = (BACKBONES[row["backbone"]], METHODS[row["method"]], column)
        yield key, float(row["accuracy"])


def _same_shots(design: Design, artefact: str) -> bool:
    return tuple(design.config["artefacts"][artefact]["shots"]) == SHOTS


def _averages(rows: Rows, design: Design, artefact: str) -> Values:
    """Tables 3 and 7: averages over the paper's eleven data sets, one column per shot number."""
    if set(design.datasets(artefact)) != DATASETS:
        return
    for row in rows:
        if "PG" in row:
            methods = COMPONENTS[row["PG"], row["PR"], row["Co"]]
        else:
            methods = (REFINERS[row["residual"], row["arch"]],)
        for method in methods:
            yield (row["backbone"], method, row["shots"]), float(row["avg_accuracy_11"])


def _sweep(rows: Rows, design: Design, artefact: str) -> Values:
    """Tables 5 and 6: one row, a column per value."""
    if design.datasets(artefact) != (SWEPT_DATASET,) or not _same_shots(design, artefact):
        return
    for row in rows:
        yield ("RN50", "craft", f"{float(row['value']):g}"), float(row["accuracy"])


def _statistics(rows: Rows, design: Design, artefact: str) -> Values:
    """Table 11; the images of ImageNet are printed in millions, what does not apply as "-"."""
    for row in rows:
        for column in ("classes", "train", "test"):
            text = row[column]
            if text == "-":
                continue
            number = float(text[:-1]) * 1e6 if text.endswith("M") else float(text)
            yield ("", row["dataset"], column), number


def _curves(rows: Rows, design: Design, artefact: str) -> Values:
    """Figure 2: column "data set@shots"; its average was computed, not printed."""
    for row in rows:
        dataset = row["dataset"]
        if dataset.startswith(AVERAGE):
            if set(design.datasets(artefact)) != DATASETS:
                continue
            dataset = AVERAGE
        column = f"{dataset}@{row['shots']}"
        yield ("RN50", METHODS[row["method"]], column), float(row["accuracy"])


def _queries(rows: Rows, design: Design, artefact: str) -> Values:
    """Figure 3: column "queries"; a bound that the text states (">58.18") is no number."""
    if design.datasets(artefact) != ("ImageNet",) or not _same_shots(design, artefact):
        return
    for row in rows:
        if not row["accuracy_imagenet"].startswith(">"):
            yield ("RN50", "craft", row["queries"]), float(row["accuracy_imagenet"])


_READERS: dict[str, tuple[str, Callable[[Rows, Design, str], Values]]] = {
    "architectures": ("table1", _comparison),
    "robustness": ("table2", _comparison),
    "ablation_components": ("table3", _averages),
    "ablation_lambda1": ("table5", _sweep),
    "ablation_lambda2": ("table6", _sweep),
    "ablation_residual": ("table7", _averages),
    "dataset_statistics": ("table11", _statistics),
    "few_shot_curves": ("figure2", _curves),
    "query_efficiency": ("figure3", _queries),
}
