"""Tables 4 and 10: the costs of runs. Times and memory depend on the machine and vary.

They come only from the run records, which hold one run each. Snakemake's benchmark files are not
used: such a file covers a job, which may hold several runs, includes the start of Python and the
reading of inputs, and after a kill holds only the last attempt.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from craft.design.artefact import Artefact
from craft.learner.options import ENCODING
from craft.report.published import Published
from craft.report.published_files import TOTAL
from craft.report.tables.comparisons import black_box, mark_ids
from craft.report.tables.labels import (
    caption,
    compared,
    covers,
    datasets,
    labels,
    machines,
    where,
    where_heading,
)
from craft.report.tables.spent import span, whole
from craft.report.tables.table import Cell, Column, Row, Table
from craft.report.tidy_runs import samples

MB = 2**20
#: A white-box method deploys the model in fp32, as it was run.
PARAMETER_BYTES = 4
SHARE = "deployed_percent"

#: Columns of Table 4. The id names the unit.
EFFICIENCY = (
    Column("accuracy", "Accuracy (%)"),
    Column("training_seconds", "Time (s)", "Training"),
    Column("peak_memory_mb", "Peak memory (MB)", "Training", digits=0),
    Column("peak_device_memory_mb", "Peak GPU memory (MB)", "Training", digits=0, exact=True),
    Column("parameters", "Own parameters", "Deployment", digits=0, exact=True),
    Column("deployed_mb", "Memory (MB)", "Deployment", digits=3, exact=True),
    Column(SHARE, "% of white-box", "Deployment", exact=True),
    Column("prediction_us", "Prediction (µs/image)", "Deployment", digits=1),
    Column("queries_search", "search", "Queries", digits=0, exact=True),
    Column("queries_refine", "refine", "Queries", digits=0, exact=True),
    Column("queries_evaluate", "evaluate", "Queries", digits=0, exact=True),
)


def efficiency(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Table 4: accuracy, access, cost of training and of deployment."""
    rows = []
    for backbone, there in lines.groupby("backbone", sort=False):
        methods = compared(artefact, there, published, backbone)
        measured = _measured(there, [method.id for method in methods])
        by_column = {
            column.id: samples(measured[column.id], ["row", "backbone"], column.id)
            for column in EFFICIENCY
        }
        for method in methods:
            own = there[there["row"] == method.id]
            cells = tuple(
                published.cell(
                    by_column[name].get((method.id, backbone)), backbone, method.id, name
                )
                for name in by_column
            )
            seen = black_box(own)
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            ids |= mark_ids({"Black-Box": seen}) | {"measured_on": machines(own)}
            rows.append(Row(ids, (*where(lines, backbone), method.heading, seen), cells))
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines),
        stub=(*where_heading(lines), *artefact.marks),
        columns=EFFICIENCY,
        rows=tuple(rows),
    )


def _measured(lines: pd.DataFrame, methods: list[str]) -> dict[str, pd.DataFrame]:
    """Return the lines of one backbone with each column of the table, and why one is missing."""
    made = lines.assign(
        training_seconds=lines["fit_seconds"],
        parameters=lines["learner_parameters"],
        deployed_mb=lines["learner_bytes"] / MB,
        prediction_us=1e6 * lines["predict_seconds"] / lines["predictions"],
    )
    there = made["problem"] == ""
    for purpose in ("search", "refine", "evaluate"):
        name = f"queries_{purpose}"
        made[name] = lines[name].mask(there & lines[name].isna(), 0.0)
    frames = dict.fromkeys((column.id for column in EFFICIENCY), made)
    white = made["access"] == "weights"
    deployed = made.copy()
    deployed.loc[white, "deployed_mb"] += PARAMETER_BYTES * made["model_parameters"] / MB
    unknown = there & deployed["deployed_mb"].isna()
    deployed.loc[unknown, "problem"] = (
        "config/backbones/" + made["backbone"] + ".yaml gives no parameters"
    )
    frames["deployed_mb"] = deployed
    frames[SHARE] = _share(
        deployed, next((m for m in methods if (made["row"] == m)[white].any()), None)
    )
    return frames


def _share(deployed: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """Return memory in per cent of what the white-box method of the table deploys."""
    whole = samples(deployed[deployed["row"] == reference], ["row", "backbone"], "deployed_mb")
    (sample,) = whole.values() or (None,)
    if sample is None or sample.mean is None:
        why = (
            "; ".join(sample.missing) if sample else "no run of a white-box method to compare with"
        )
        problem = deployed["problem"].mask(deployed["problem"] == "", why)
        return deployed.assign(**{SHARE: np.nan, "problem": problem})
    return deployed.assign(**{SHARE: 100 * deployed["deployed_mb"] / sample.mean})


def training_time(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Table 10: wall time of fits by method; rows are data sets and their sum."""
    names = list(lines["backbone"].unique())
    methods = max((compared(artefact, lines, published, name) for name in names), key=len)
    each = samples(lines, ["row", "backbone", "dataset"], "fit_seconds")
    total = samples(lines, ["row", "backbone"], "fit_seconds", total=True)
    shown = datasets(lines)
    rows = []
    for backbone in names:
        for dataset, label in [*shown.items(), *[(TOTAL, TOTAL)] * (len(shown) > 1)]:
            cells: list[Cell] = []
            for method in methods:
                key = (method.id, backbone)
                sample = each.get((*key, dataset))
                if dataset == TOTAL:
                    sample = total.get(key) if covers(_of(lines, *key), lines) else None
                cells.append(published.cell(sample, backbone, method.id, dataset))
            own = lines[
                (lines["backbone"] == backbone)
                & lines["dataset"].isin([dataset, *shown] if dataset == TOTAL else [dataset])
            ]
            ids = {"backbone": backbone, "dataset": dataset, "label": label}
            ids["measured_on"] = machines(own)
            rows.append(Row(ids, (*where(lines, backbone), label), tuple(cells)))
    # Days are what the paper prints, and what its suite takes; seconds what a small one takes.
    unit, scale = "seconds", 1.0
    if any(map(published.methods, names)):
        unit, scale = "hours; the CSV has seconds", 3600.0
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines, unit=unit, encoding=_encoding(lines), work=_work(lines)),
        stub=where_heading(lines, "Dataset"),
        columns=tuple(Column(m.id, m.heading, scale=scale) for m in methods),
        rows=tuple(rows),
    )


def _of(lines: pd.DataFrame, method: str, backbone: str) -> pd.DataFrame:
    """Return the lines of a method on a backbone."""
    return lines[(lines["row"] == method) & (lines["backbone"] == backbone)]


def _encoding(lines: pd.DataFrame) -> str:
    """Return which methods' times include the encoding of images."""
    during = labels(lines[lines["access"].isin(ENCODING)], "row", "label").values()
    if not during:
        return "Images were encoded once, before all fits."
    return (
        f"Times of {', '.join(during)} include the encoding of images; for the others, images were "
        "encoded once, before all fits."
    )


def _work(lines: pd.DataFrame) -> str:
    """Return what the runs of each method asked of the service."""
    found = {
        own["label"].iloc[0]: f"{span(own['queries_search'])} search queries and "
        f"{span(own['images_encoded'])} image encodings"
        for _, own in lines.groupby("row", sort=False)
        if whole(own)
    }
    return "; ".join(f"{label} {count}" for label, count in found.items()) or "no run yet"
