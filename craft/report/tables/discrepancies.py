"""A table of this project: the paper's text against the released code, choice by choice."""

from __future__ import annotations

import pandas as pd

from craft.design.artefact import Artefact
from craft.report.published import Published
from craft.report.tables.labels import caption, datasets, labels, where, where_heading
from craft.report.tables.table import AVERAGE, Cell, Column, Row, Table
from craft.report.tidy_runs import Sample, samples

CHOICE = "Choice"
SAME = "same in both modes on this data set: the runs are those of paper mode"

#: Suffix of the id of a column of differences.
MINUS_PAPER = "minus-paper"

#: Row -> description of its change, if the option's name is not enough.
LABELS = {
    "paper": "paper mode",
    "released": "released mode",
    "budget": "search queries",
    "scale": "step size, scale of A",
    "bound": "bound of z",
    "search_view": "search on an augmented copy",
    "context_rule": "context of the refiner",
    "views": "refinement on augmented copies",
    "feature_norm": "norm of refinement features",
    "hidden": "hidden width",
    "optimizer": "optimiser",
    "batch_size": "batch size",
    "lambda1": "λ₁",
    "lambda2": "λ₂",
    "lambda2_share": "share of generations with λ₂",
}


def discrepancies(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return accuracies and paired differences: both modes, then each difference alone."""
    lines = _with_changes(lines)
    # A difference is missing if either of its two runs is.
    changed = lines.assign(problem=lines["problem"].where(lines["problem"] != "", lines["lacks"]))
    names = datasets(lines)
    heads = [*names.items(), *[(AVERAGE, AVERAGE)] * (len(names) > 1)]
    accuracies, changes = _with_average(lines, "accuracy"), _with_average(changed, "change")
    alike = lines.groupby(["row", "backbone", "dataset"])["same"].all()
    same = alike.to_dict() | {
        (*key, AVERAGE): value for key, value in alike.groupby(["row", "backbone"]).all().items()
    }
    printed = {column: labels(lines, "row", column) for column in ("options", "paper", "instead")}
    rows = []
    for backbone in lines["backbone"].unique():
        for choice in lines["row"].unique():
            keys = [(choice, backbone, name) for name, _ in heads]
            ours = [Cell.of(accuracies[key], None, [SAME] * same[key]) for key in keys]
            theirs = [
                Cell(None) if choice == "paper" or same[key] else Cell.of(changes[key])
                for key in keys
            ]
            label = LABELS.get(choice, choice)
            own = {column: printed[column][choice] for column in printed}
            ids = {"backbone": backbone, "choice": choice, "label": label} | own
            stub = (*where(lines, backbone), label, own["paper"], own["instead"])
            rows.append(Row(ids, stub, (*ours, *theirs)))
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines),
        stub=(*where_heading(lines, CHOICE), "Paper", "Instead"),
        columns=(
            *(Column(name, head, "Accuracy") for name, head in heads),
            *(Column(f"{name}:{MINUS_PAPER}", head, "Minus paper mode") for name, head in heads),
        ),
        rows=tuple(rows),
    )


def _with_average(lines: pd.DataFrame, value: str) -> dict[tuple[str, ...], Sample]:
    """Return the sample of each row, backbone and data set, and of their average."""
    means = samples(lines, ["row", "backbone"], value).items()
    each = samples(lines, ["row", "backbone", "dataset"], value)
    return each | {(*key, AVERAGE): sample for key, sample in means}


def _with_changes(lines: pd.DataFrame) -> pd.DataFrame:
    """Add each line's difference to paper mode, seed by seed, and whether it is the same run.

    Differences are paired: both runs have the same few-shot set and random numbers. A line whose
    run or counterpart is missing names it.
    """
    keys = ["backbone", "dataset", "seed"]
    paper = lines.loc[lines["row"] == "paper", [*keys, "accuracy", "run", "problem"]]
    joined = lines.merge(paper, on=keys, how="left", suffixes=("", "_paper"), validate="m:1")
    joined = joined.rename(columns={"problem_paper": "lacks"})
    joined["change"] = joined["accuracy"] - joined["accuracy_paper"]
    joined["same"] = (joined["row"] != "paper") & (joined["run"] == joined["run_paper"])
    return joined
