"""Tables whose cells are accuracies: methods by data set, test set or shots, and swept values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from craft.design.artefact import Artefact
from craft.report.published import Published
from craft.report.tables.labels import (
    caption,
    compared,
    covers,
    datasets,
    labels,
    shift_label,
    where,
    where_heading,
)
from craft.report.tables.spent import span, whole
from craft.report.tables.table import AVERAGE, YES_NO, Column, Row, Stub, Table
from craft.report.tidy_runs import samples

#: Column of the runs that a table's columns are values of.
KEYS = {"data sets": "dataset", "test sets": "test_set", "shots": "shots"}
SYMBOLS = {"lambda1": "λ₁", "lambda2": "λ₂"}
HEADS = {"mlp": "MLP", "linear": "Linear"}
#: Decimals of a swept value above which its heading is spelled with an exponent.
LONGEST_FRACTION = 7


def comparison(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Tables 1, 2, 3, 7 and 9: a row per backbone and method, means over seeds.

    Columns are data sets (Tables 1 and 9) or test sets (Table 2), with the average of several at
    the end, or numbers of shots (Tables 3 and 7), with the average over data sets in each.
    """
    key = KEYS[artefact.columns]
    columns, averaged = _columns(artefact, lines)
    found = samples(lines, ["row", "backbone", key])
    means = samples(averaged, ["row", "backbone"]) if columns[-1].id == AVERAGE else {}
    values = [int(c.id) if key == "shots" else c.id for c in columns if c.id != AVERAGE]
    rows = []
    for backbone in lines["backbone"].unique():
        there = lines[lines["backbone"] == backbone]
        for method in compared(artefact, there, published, backbone):
            own = there[there["row"] == method.id]
            ours = [found.get((method.id, backbone, value)) for value in values]
            if means:
                ours.append(means.get((method.id, backbone)))
            # An average over only some of the data sets is not comparable to the others.
            if not covers(own, lines):
                averages = [key == "shots" or column.id == AVERAGE for column in columns]
                ours = [None if one else sample for one, sample in zip(averages, ours, strict=True)]
            cells = tuple(
                published.cell(sample, backbone, method.id, column.id)
                for sample, column in zip(ours, columns, strict=True)
            )
            marks = {name: MARKS[name](own) for name in artefact.marks}
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            ids |= mark_ids(marks)
            stub = (*where(lines, backbone), method.heading, *marks.values())
            rows.append(Row(ids, stub, cells))
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines),
        stub=(*where_heading(lines), *artefact.marks),
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _columns(artefact: Artefact, lines: pd.DataFrame) -> tuple[list[Column], pd.DataFrame]:
    """Return the columns, and the lines that an average is over."""
    if artefact.columns == "shots":
        numbers = [f"{shots:.0f}" for shots in lines["shots"].unique()]
        return [Column(number, number, "Shots") for number in numbers], lines
    if artefact.columns == "data sets":
        columns = [Column(name, label) for name, label in datasets(lines).items()]
        return columns + [Column(AVERAGE, AVERAGE)] * (len(columns) > 1), lines
    ((source, name),) = datasets(lines).items()
    targets = lines[lines["test_set"] != source]
    shifted = [
        Column(target, shift_label(name, label), "Target")
        for target, label in labels(targets, "test_set", "test_label").items()
    ]
    if len(shifted) > 1:
        shifted.append(Column(AVERAGE, "Avg.", "Target"))
    return [Column(source, name, "Source"), *shifted], targets


# --- further columns of a row ---


def black_box(lines: pd.DataFrame) -> bool | None:
    """Return whether a method's runs needed no weights; None if there are no runs."""
    given = access(lines)
    return None if given is None else given != "weights"


def access(lines: pd.DataFrame) -> str | None:
    """Return the access level in the run records; None if there are no runs."""
    said = lines.loc[lines["access"] != "", "access"]
    return said.iloc[0] if len(said) else None


def _component(name: str) -> Callable[[pd.DataFrame], bool | None]:
    def has(lines: pd.DataFrame) -> bool | None:
        """Return whether a method has a component; None if the suite lists no components of it."""
        named = lines["components"].iloc[0] if len(lines) else ""
        return name in named.split() if named else None

    return has


def _option(name: str, shown: Callable[[str], Stub]) -> Callable[[pd.DataFrame], Stub]:
    def resolved(lines: pd.DataFrame) -> Stub:
        """Return an option of a row's refiners; both values if its runs differ."""
        if not _component("PR")(lines) or f"option:{name}" not in lines:
            return None
        values = [value for value in lines[f"option:{name}"].unique() if value]
        marks = list(dict.fromkeys(shown(value) for value in values))
        if len(marks) > 1:
            return " / ".join(YES_NO.get(mark, mark) for mark in marks)
        return marks[0] if marks else None

    return resolved


def _counted(column: str) -> Callable[[pd.DataFrame], Stub]:
    def spent(lines: pd.DataFrame) -> Stub:
        """Return a count of the runs of a row; None if a run is missing."""
        return (span(lines[column]) or None) if whole(lines) else None

    return spent


#: Heading -> what is printed below it, from the lines of a row.
MARKS: dict[str, Callable[[pd.DataFrame], Stub]] = {
    "Black-Box": black_box,
    "PG": _component("PG"),
    "PR": _component("PR"),
    "Co": _component("Co"),
    "Residual": _option("residual", lambda value: value == "True"),
    "Search queries": _counted("queries_search"),
    "Image encodings": _counted("images_encoded"),
    "Arch.": _option("head", lambda value: HEADS.get(value, value)),
}


#: Characters of a heading that an id cannot have.
PLAIN = str.maketrans("- ", "__")


def mark_ids(marks: dict[str, Stub]) -> dict[str, str]:
    """Return the marks of a row for the tidy file, under names that fit it."""
    return {
        name.rstrip(".").lower().translate(PLAIN): mark if isinstance(mark, str) else YES_NO[mark]
        for name, mark in marks.items()
    }


# --- sweeps ---


def sweep(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Tables 5 and 6: a column per value of an option, averages over the data sets."""
    found = samples(lines, ["row", "backbone"])
    swept = labels(lines, "row", "value")
    option = lines["option"].iloc[0]
    headings = sweep_headings(list(swept.values()))
    method, label = lines["method"].iloc[0], lines["label"].iloc[0]
    rows = []
    for backbone in lines["backbone"].unique():
        cells = tuple(
            published.cell(found[value, backbone], backbone, method, value) for value in swept
        )
        ids = {"backbone": backbone, "method": method, "label": label}
        rows.append(Row(ids, (*where(lines, backbone), label), cells))
    symbol = SYMBOLS.get(option, option)
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines),
        stub=where_heading(lines),
        columns=tuple(
            Column(value, heading, symbol) for value, heading in zip(swept, headings, strict=True)
        ),
        rows=tuple(rows),
    )


def sweep_headings(values: Sequence[float]) -> list[str]:
    """Return each swept value in full: two decimals or more, as many for all where that is short.

    Values that decimals would spell at length, as 1e-12, have an exponent.
    """
    plain = [np.format_float_positional(value, trim="-") for value in values]
    digits = max(2, *(len(text.partition(".")[2]) for text in plain))
    if digits > LONGEST_FRACTION:
        return [f"{value:g}" if float(f"{value:g}") == value else repr(value) for value in values]
    return [f"{value:.{digits}f}" for value in values]
