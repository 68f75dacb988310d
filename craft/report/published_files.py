"""Readers of the paper's printed numbers, one per file format, under this project's ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd

from craft.report.tables.table import AVERAGE

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
    "CoOp": "coop-16",
    "BlackVIP": "blackvip",
    "Yu et al. (2023)": "bpt-vlm",
    "CraFT+vp": "craft-vp",
    "CraFT + vp": "craft-vp",
    "LFA": "lfa",
    "CBBT": "cbbt",
    "GDA": "gda",
    "CLAP": "clap",
    "ZIP": "zip",
    "SharpZO": "sharpzo",
}
#: Method id -> its printed name (the last above), for methods that a suite may not run.
NAMES = {method: name for name, method in METHODS.items()}
#: (PG, PR, Co) -> methods; the row without collaboration has two readings in this project.
COMPONENTS = {
    ("yes", "no", "no"): ("bbt",),
    ("no", "yes", "no"): ("refine",),
    ("yes", "yes", "no"): ("alternate", "sequential"),
    ("yes", "yes", "yes"): ("craft",),
}
#: (residual, architecture of the refiner) -> method
REFINERS = {("no", "MLP"): "no-residual", ("yes", "Linear"): "linear", ("yes", "MLP"): "craft"}

#: Data sets of the paper's averages; averages over others have no printed counterpart.
DATASETS = frozenset(
    {"OxfordPets", "Flowers102", "FGVCAircraft", "DTD", "EuroSAT", "StanfordCars"}
    | {"Food101", "SUN397", "Caltech101", "UCF101", "ImageNet"}
)
TARGETS = frozenset({"ImageNetV2", "ImageNet-Sketch", "ImageNet-A", "ImageNet-R"})

#: The data set of the paper's sweeps; its caption is lost, 75.30 at the default identifies it.
SWEPT_DATASET = "EuroSAT"
#: Shots of every printed number that has no column for them.
SHOTS = {16}

#: Field of table4.csv -> column.
EFFICIENCY = {
    "test_accuracy_percent": "accuracy",
    "parameters": "parameters",
    "deployed_memory_percent_of_CoOp": "deployed_percent",
}
#: Units of table10.csv; a month has 30 days here.
SECONDS = {"day": 86_400, "week": 7 * 86_400, "month": 30 * 86_400}
#: Row of Table 10: the time of all data sets together.
TOTAL = "Total"

Rows = list[dict[str, str]]
Values = Iterator[tuple[Key, float | str]]


def _comparison(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Tables 1, 2 and 9: a number per backbone, method and data set, and the average."""
    if not _same_shots(lines):
        return
    targets = {*lines["test_set"]} - {*lines["dataset"]}
    comparable = targets == TARGETS if targets else _same_datasets(lines)
    for row in rows:
        column = row["dataset"]
        if column.startswith(AVERAGE):
            if not comparable:
                continue
            column = AVERAGE
        key = (BACKBONES[row["backbone"]], METHODS[row["method"]], column)
        yield key, float(row["accuracy"])


def _same_shots(lines: pd.DataFrame) -> bool:
    return {*lines["shots"]} == SHOTS


def _same_datasets(lines: pd.DataFrame) -> bool:
    return {*lines["dataset"]} == DATASETS


def _averages(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Tables 3 and 7: averages over the eleven data sets, one column per number of shots."""
    if not _same_datasets(lines):
        return
    for row in rows:
        if "PG" in row:
            methods = COMPONENTS[row["PG"], row["PR"], row["Co"]]
        else:
            methods = (REFINERS[row["residual"], row["arch"]],)
        for method in methods:
            yield (row["backbone"], method, row["shots"]), float(row["avg_accuracy_11"])


def _sweep(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Tables 5 and 6: one row, with a column per value."""
    if {*lines["dataset"]} != {SWEPT_DATASET} or not _same_shots(lines):
        return
    for row in rows:
        yield ("RN50", "craft", f"{float(row['value']):g}"), float(row["accuracy"])


def _efficiency(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Table 4: only the numbers that the paper repeats elsewhere are known."""
    if {*lines["dataset"]} != {"ImageNet"} or not _same_shots(lines):
        return
    for row in rows:
        if row["field"] in EFFICIENCY:
            yield ("RN50", METHODS[row["method"]], EFFICIENCY[row["field"]]), float(row["value"])


def _assumptions(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Table 8: words, for any backbone."""
    for row in rows:
        for column in ("vlm_requirements", "network_requirements", "access"):
            yield ("", METHODS[row["method"]], column), row[column]


def _times(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Table 10: durations in words ("2 days"), as seconds, for all data sets together."""
    if not _same_datasets(lines) or not _same_shots(lines):
        return
    for row in rows:
        amount, unit = row["training_time"].split()
        seconds = int(amount) * SECONDS[unit.removesuffix("s")]
        yield ("ViT-B-16", METHODS[row["method"]], TOTAL), float(seconds)


def _statistics(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Table 11: ImageNet's images are printed in millions, inapplicable entries as "-"."""
    for row in rows:
        for column in ("classes", "train", "test"):
            text = row[column]
            if text == "-":
                continue
            number = float(text[:-1]) * 1e6 if text.endswith("M") else float(text)
            yield ("", row["dataset"], column), number


def _curves(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Figure 2: column "data set@shots"; its average was computed, not printed."""
    for row in rows:
        dataset = row["dataset"]
        if dataset.startswith(AVERAGE):
            if not _same_datasets(lines):
                continue
            dataset = AVERAGE
        column = f"{dataset}@{row['shots']}"
        yield ("RN50", METHODS[row["method"]], column), float(row["accuracy"])


def _queries(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read Figure 3: column "queries"; a bound in the text (">58.18") is not a number."""
    if {*lines["dataset"]} != {"ImageNet"} or not _same_shots(lines):
        return
    for row in rows:
        if not row["accuracy_imagenet"].startswith(">"):
            yield ("RN50", "craft", row["queries"]), float(row["accuracy_imagenet"])


def _means(rows: Rows, lines: pd.DataFrame) -> Values:
    """Read means over the eleven data sets by the methods' authors: "mean@shots", and access.

    Zero-shot has no shots; its mean is repeated for all.
    """
    if not _same_datasets(lines):
        return
    for row in rows:
        backbone, method = BACKBONES[row["backbone"]], METHODS[row["method"]]
        yield (backbone, method, "access"), row["access"]
        for shots in lines["shots"].unique() if row["shots"] == "0" else [float(row["shots"])]:
            yield (backbone, method, f"mean@{shots:.0f}"), float(row["accuracy"])


#: Stem of a file of printed numbers -> its reader.
READERS: dict[str, Callable[[Rows, pd.DataFrame], Values]] = {
    "table1": _comparison,
    "table2": _comparison,
    "table3": _averages,
    "table4": _efficiency,
    "table5": _sweep,
    "table6": _sweep,
    "table7": _averages,
    "table8": _assumptions,
    "table9": _comparison,
    "table10": _times,
    "table11": _statistics,
    "figure2": _curves,
    "figure3": _queries,
    "means": _means,
}
