"""Table 11: classes, training and test images of the data sets, counted in their manifests."""

from __future__ import annotations

from pathlib import Path

from craft.design.runs import TABLES, Design
from craft.files.atomic import RecordError
from craft.files.records import Manifest
from craft.report.published import Published
from craft.report.tables.labels import dataset_label
from craft.report.tables.model import COUNTS, Cell, Column, Row, Table

COLUMNS = {"classes": "# Classes", "train": "# Training", "test": "# Test"}


def dataset_statistics(design: Design, published: Published) -> Table:
    """Table 11 of a design: few-shot data sets, then the shifted test sets."""
    artefact = "dataset_statistics"
    targets = tuple((design.config.get("shift") or {}).get("targets", ()))
    rows, tasks = [], []
    for dataset in dict.fromkeys((*design.datasets(artefact), *targets)):
        facts = design.config["facts"][dataset]
        counts, problem = _counts(design, dataset)
        if dataset in targets:
            counts["train"] = None  # a shifted test set has nothing to train on
        cells = []
        for column in COLUMNS:
            notes = list(published.notes("", dataset, column))
            declared = facts["counts"].get(column)
            counted = counts.get(column)
            if counted is not None and declared is not None and counted != declared:
                notes.append(f"{dataset} declares {declared:,} ({column})")
            applies = not (column == "train" and dataset in targets)
            cells.append(
                Cell(
                    value=counted,
                    published=published.value("", dataset, column),
                    notes=tuple(notes),
                    missing=problem if applies else (),
                )
            )
        label = dataset_label(design, dataset)
        rows.append(Row({"dataset": dataset, "label": label}, (label,), tuple(cells)))
        tasks.append(facts.get("task", ""))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption="Statistics of the data sets, counted in their manifests.",
        stub=("Dataset",),
        columns=tuple(Column(name, heading, digits=0) for name, heading in COLUMNS.items()),
        rows=tuple(rows),
        kind=COUNTS,
        after={"Task": tuple(tasks)},
    )


def _counts(design: Design, dataset: str) -> tuple[dict[str, int | None], tuple[str, ...]]:
    """Column -> number, and what is missing when there is no manifest to count in."""
    path = Path(design.config["results"]) / "manifests" / f"{dataset}.csv"
    try:
        manifest = Manifest.read(path)
    except RecordError:
        return dict.fromkeys(COLUMNS), (f"manifests/{dataset}.csv: missing or unreadable",)
    return {
        "classes": len(manifest.class_names()),
        "train": len(manifest.part("train")),
        "test": len(manifest.part("test")),
    }, ()
