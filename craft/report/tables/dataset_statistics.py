"""Table 11: classes, training and test images of the data sets, counted in their manifests."""

from __future__ import annotations

import pandas as pd

from craft.design.artefact import Artefact
from craft.report.published import Published
from craft.report.tables.table import COUNTS, Cell, Column, Row, Table

COLUMNS = {"classes": "# Classes", "train": "# Training", "test": "# Test"}


def dataset_statistics(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Table 11: few-shot data sets, then the shifted test sets."""
    rows = []
    for line in lines.to_dict("records"):
        dataset, label = line["dataset"], line["label"]
        cells = []
        for column in COLUMNS:
            counted = _whole(line[column])
            declared = _whole(line[f"declared_{column}"])
            notes = list(published.notes("", dataset, column))
            if counted is not None and declared is not None and counted != declared:
                notes.append(f"{dataset} declares {declared:,} ({column})")
            # A shifted test set has no training images.
            applies = not (column == "train" and line["shifted"] == "True")
            cells.append(
                Cell(
                    value=counted,
                    published=published.value("", dataset, column),
                    notes=tuple(notes),
                    missing=(line["status"],) if line["problem"] and applies else (),
                )
            )
        rows.append(Row({"dataset": dataset, "label": label}, (label,), tuple(cells)))
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=artefact.caption,
        stub=("Dataset",),
        columns=tuple(Column(name, heading, digits=0) for name, heading in COLUMNS.items()),
        rows=tuple(rows),
        kind=COUNTS,
        after={"Task": tuple(lines["task"])},
    )


def _whole(value: float) -> int | None:
    return None if pd.isna(value) else int(value)
