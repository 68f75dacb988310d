"""A table that the paper does not have: its text against the released code, choice by choice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from craft.design.option_layers import Variant, spelled
from craft.design.runs import DISCREPANCIES, TABLES, Design
from craft.evaluation.scores import Sample, Scores, minus, with_average
from craft.report.tables.labels import backbone_label, dataset_label, only_shots, seeds_phrase
from craft.report.tables.model import AVERAGE, BACKBONE, Cell, Column, Row, Table

CHOICE = "Choice"
SAME = "no difference on this data set: the runs are those of paper mode"

#: What a column of differences adds to the id of its data set.
MINUS_PAPER = "minus-paper"

#: Row -> what it changes, where the option's name alone does not say it.
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


def discrepancies(design: Design, scores: Scores) -> Table:
    """Paper mode, released mode, then each difference alone; accuracies and paired differences."""
    shots, datasets = only_shots(design, DISCREPANCIES), design.datasets(DISCREPANCIES)
    backbones, variants = design.backbones(DISCREPANCIES), design.variants(DISCREPANCIES)
    paper_id = variants["paper"].id
    several = len(backbones) > 1
    rows = []
    for backbone in backbones:
        paper = _samples(scores, paper_id, backbone, datasets, shots)
        for name, variant in variants.items():
            samples = _samples(scores, variant.id, backbone, datasets, shots)
            same = [
                name != "paper"
                and design.cell(variant.id, backbone, dataset, shots)
                == design.cell(paper_id, backbone, dataset, shots)
                for dataset in datasets
            ]
            if len(datasets) > 1:
                same.append(all(same))
            columns = list(zip(samples, paper, same, strict=True))
            accuracies = [Cell.of(ours, None, [SAME] * alike) for ours, _, alike in columns]
            changes = [
                Cell(None) if name == "paper" or alike else Cell.of(minus(ours, theirs), None, ())
                for ours, theirs, alike in columns
            ]
            options, before, after = values(design, variant, paper_id, datasets, shots)
            label = LABELS.get(name, name)
            row = {"backbone": backbone, "choice": name, "label": label}
            row |= {"options": options, "paper": before, "instead": after}
            where = (backbone_label(design, backbone),) if several else ()
            rows.append(Row(row, (*where, label, before, after), (*accuracies, *changes)))
    where = "" if several else f"{backbone_label(design, backbones[0])}, "
    heads = [(name, dataset_label(design, name)) for name in datasets]
    if len(datasets) > 1:
        heads.append((AVERAGE, AVERAGE))
    return Table(
        artefact=DISCREPANCIES,
        place=TABLES[DISCREPANCIES],
        suite=design.config["suite"],
        caption=f"What the choices are worth in which the paper and its released code differ: "
        f"{design.label(design.config['artefacts'][DISCREPANCIES]['method'])} in both modes, then "
        f"in paper mode with one difference at a time as the released code has it. {where}{shots} "
        f"shots, accuracy (%) and its difference to paper mode, seed by seed. "
        f"{seeds_phrase(design, DISCREPANCIES)}",
        stub=(*((BACKBONE,) if several else ()), CHOICE, "Paper", "Instead"),
        columns=(
            *(Column(name, head, "Accuracy") for name, head in heads),
            *(Column(f"{name}:{MINUS_PAPER}", head, "Minus paper mode") for name, head in heads),
        ),
        rows=tuple(rows),
    )


def _samples(
    scores: Scores, method: str, backbone: str, datasets: Iterable[str], shots: int
) -> list[Sample]:
    """A sample per data set, and the average of several."""
    return with_average([scores.cell(method, backbone, dataset, shots) for dataset in datasets])


def values(
    design: Design, variant: Variant, paper: str, datasets: Iterable[str], shots: int
) -> tuple[str, str, str]:
    """(options, values in paper mode, values instead) of a row, as text; empty for both modes."""
    options = (*dict(variant.changes), *variant.released)
    if not options:
        return "", "", ""
    here, there = (
        {
            dataset_label(design, dataset): [
                _shown(getattr(design.options(method, dataset, shots), option))
                for option in options
            ]
            for dataset in datasets
        }
        for method in (paper, variant.id)
    )
    return " ".join(options), _by_dataset(here), _by_dataset(there)


def _shown(value: Any) -> str:
    """An option's value for a reader: lambdas of 0.1 / classes have many digits."""
    return f"{value:.4g}" if isinstance(value, float) else spelled(value)


def _by_dataset(values: dict[str, list[Any]]) -> str:
    """Values of each data set, once where all have the same."""
    texts = {name: ", ".join(entries) for name, entries in values.items()}
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name} {text}" for name, text in texts.items())
