"""A table of this project: methods by access level, queries and price."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from craft.design.artefact import Artefact
from craft.report.published import Published
from craft.report.tables.comparisons import access
from craft.report.tables.labels import (
    Method,
    caption,
    compared,
    covers,
    datasets,
    labels,
    where,
    where_heading,
)
from craft.report.tables.table import AVERAGE, Cell, Column, Row, Table
from craft.report.tidy_runs import Sample, samples

#: Access level -> its name in print, from the least to the most that a method is given.
LEVELS = {
    "predictions": "Predictions",
    "visual-prompts": "Predictions, visual prompts",
    "uploads": "Predictions, uploads",
    "texts": "Scores of texts",
    "features": "Features",
    "weights": "Weights",
}
ACCESS = "Access"

#: Columns of a fit's requests to a service.
ASKED = (
    Column("fit_queries", "Queries", "Of a fit", digits=0, exact=True),
    Column("fit_images_scored", "Images scored", "Of a fit", digits=0, exact=True),
    Column("fit_images_encoded", "Images encoded", "Of a fit", digits=0, exact=True),
)
#: Columns of the quality of its answers.
MEASURED = (
    Column("accuracy", "Accuracy (%)", "Answers"),
    Column("balanced_accuracy", "Balanced accuracy (%)", "Answers"),
    Column("expected_calibration_error", "Calibration error (%)", "Answers"),
    Column("negative_log_likelihood", "NLL (nats)", "Answers", digits=3),
)
SHIFT = "Accuracy under shift"


def access_table(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return a row for each backbone and method, by access level; means over the data sets.

    The numbers under shift belong to learners that were trained on its source. The accuracy has the
    published mean over data sets beside it. Methods with access to weights ask no service.
    """
    (shots,) = lines["shots"].unique()
    home = lines[lines["test_set"] == lines["dataset"]]
    columns = [*ASKED, *_price(lines), *MEASURED]
    found = {column.id: samples(home, ["row", "backbone"], column.id) for column in columns}
    for column, part in _shifted(lines, home).items():
        columns.append(column)
        found[column.id] = samples(part, ["row", "backbone"])
    rows = []
    for backbone in lines["backbone"].unique():
        for level, method in _by_access(artefact, lines, published, backbone):
            own = lines[(lines["row"] == method.id) & (lines["backbone"] == backbone)]
            # A mean over some of the data sets stands beside no mean over all.
            whole = covers(own, lines)
            cells = tuple(
                _cell(column, level, sample, printed)
                for column in columns
                for sample in [
                    found[column.id].get((method.id, backbone))
                    if whole or column.group == SHIFT
                    else None
                ]
                for printed in [_printed(column, published, backbone, method.id, f"{shots:.0f}")]
            )
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            ids |= {"access": level or ""}
            stub = (*where(lines, backbone), method.heading, LEVELS.get(level or "", ""))
            rows.append(Row(ids, stub, cells))
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines),
        stub=(*where_heading(lines), ACCESS),
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _price(lines: pd.DataFrame) -> list[Column]:
    """Return the column of prices; none if the suite has no prices or no run is priced."""
    currencies = [text for text in lines["currency"].unique() if text]
    return [Column("price", f"Price ({text})", "Of a fit", exact=True) for text in currencies]


def _shifted(lines: pd.DataFrame, home: pd.DataFrame) -> Mapping[Column, pd.DataFrame]:
    """Return the columns of the shift, its source's and that of its targets, with their lines."""
    away = lines[lines["test_set"] != lines["dataset"]]
    if away.empty:
        return {}
    ((source, name),) = datasets(away).items()
    targets = labels(away, "test_set", "test_label")
    only = next(iter(targets.values()))
    return {
        Column("shift:source", name, SHIFT): home[home["dataset"] == source],
        Column("shift:targets", AVERAGE if len(targets) > 1 else only, SHIFT): away,
    }


def _by_access(
    artefact: Artefact, lines: pd.DataFrame, published: Published, backbone: str
) -> list[tuple[str | None, Method]]:
    """Return access level and method of each row, those of the least access first."""
    found = []
    for method in compared(artefact, lines, published, backbone):
        own = lines[(lines["row"] == method.id) & (lines["backbone"] == backbone)]
        level = access(own) if method.run else published.value(backbone, method.id, "access")
        found.append((level if isinstance(level, str) else None, method))
    order = [*LEVELS, None]
    return sorted(found, key=lambda each: order.index(each[0]))


def _printed(
    column: Column, published: Published, backbone: str, method: str, shots: str
) -> tuple[float | str | None, tuple[str, ...]]:
    """Return the printed number of a cell and the notes on it."""
    if column.id != "accuracy":
        return None, ()
    key = (backbone, method, f"mean@{shots}")
    return published.value(*key), published.notes(*key)


def _cell(
    column: Column,
    level: str | None,
    sample: Sample | None,
    printed: tuple[float | str | None, tuple[str, ...]],
) -> Cell:
    if level == "weights" and sample is not None and column.group == ASKED[0].group:
        return Cell(None)
    return Cell.of(sample, *printed)
