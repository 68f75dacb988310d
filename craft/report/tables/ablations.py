"""Tables 3, 5, 6 and 7: parts of the method taken away or varied."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from craft.design.option_layers import spelled
from craft.design.runs import TABLES, Design, Run
from craft.evaluation.scores import Scores
from craft.files.atomic import RecordError
from craft.report.published import Published
from craft.report.tables.costs import recorded
from craft.report.tables.labels import (
    dataset_label,
    only_backbone,
    only_shots,
    ordered_methods,
    seeds_phrase,
    where,
    where_heading,
)
from craft.report.tables.model import METHOD, YES_NO, Column, Row, Stub, Table

COMPONENTS = ("PG", "PR", "Co")
SYMBOLS = {"lambda1": "λ₁", "lambda2": "λ₂"}
HEADS = {"mlp": "MLP", "linear": "Linear"}
#: Decimals of a swept value above which its heading is spelled with an exponent.
LONGEST_FRACTION = 7


def components(design: Design, scores: Scores, published: Published) -> Table:
    """Table 3: prompt generation, prediction refinement, collaboration; averages over data sets."""
    return _shots_table(
        design,
        scores,
        published,
        "ablation_components",
        COMPONENTS,
        "Effectiveness of the components (PG: prompt generation, PR: prediction refinement, "
        "Co: collaborative training)",
    )


def residual(design: Design, scores: Scores, published: Published) -> Table:
    """Table 7: shortcut and architecture of the refinement network; averages over data sets."""
    return _shots_table(
        design,
        scores,
        published,
        "ablation_residual",
        ("Residual", "Arch."),
        "Ablation of the refinement network",
    )


def _shots_table(
    design: Design,
    scores: Scores,
    published: Published,
    artefact: str,
    marks: tuple[str, ...],
    caption: str,
) -> Table:
    datasets, backbones = design.datasets(artefact), design.backbones(artefact)
    columns = tuple(str(shots) for shots in design.config["artefacts"][artefact]["shots"])
    rows = []
    for backbone in backbones:
        for method in ordered_methods(design, artefact):
            cells = tuple(
                published.cell(
                    scores.mean_over_datasets(method, backbone, datasets, int(column)),
                    *(backbone, method, column),
                )
                for column in columns
            )
            marked = component_marks(design, method)
            if artefact == "ablation_residual":
                runs = [
                    run
                    for dataset in datasets
                    for column in columns
                    for run in design.cell(method, backbone, dataset, int(column))
                ]
                marked = refiner_marks(design, method, runs, scores)
            label = design.label(method)
            ids = {"backbone": backbone, "method": method, "label": label}
            ids |= {
                name.rstrip(".").lower(): mark if isinstance(mark, str) else YES_NO[mark]
                for name, mark in zip(marks, marked, strict=True)
            }
            rows.append(Row(ids, (*where(design, artefact, backbone), label, *marked), cells))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"{caption}: {only_backbone(design, artefact)}{_averaged(design, datasets)} "
        f"by shots. {seeds_phrase(design, artefact)}",
        stub=(*where_heading(design, artefact), METHOD, *marks),
        columns=tuple(Column(column, column, "Shots") for column in columns),
        rows=tuple(rows),
    )


def _averaged(design: Design, datasets: Sequence[str]) -> str:
    """How a caption says what its accuracies are of."""
    if len(datasets) > 1:
        return f"average accuracy (%) over {len(datasets)} data sets"
    return f"accuracy (%) on {dataset_label(design, datasets[0])}"


def component_marks(design: Design, method: str) -> tuple[bool | None, ...]:
    """(PG, PR, Co) of a method: its ``components`` in the config; dashes where it names none."""
    named = design.config["methods"][method].get("components")
    if named is None:
        return (None,) * len(COMPONENTS)
    return tuple(component in named for component in COMPONENTS)


def refiner_marks(
    design: Design, method: str, runs: Sequence[Run], scores: Scores
) -> tuple[Stub, Stub]:
    """Return (residual, architecture) of a row's refiners, as its runs record their options.

    Options come from the suite, the data set and the method, so that runs of one row may differ:
    both values are shown then. Dashes where the method's components lack a refiner, or no run says.
    """
    if "PR" not in design.config["methods"][method].get("components", ()):
        return (None, None)
    found: dict[tuple[bool, str], None] = {}
    for run in runs:
        try:
            options = recorded(scores.score(run), "options")
        except RecordError:
            continue
        found[bool(options["residual"]), HEADS.get(options["head"], options["head"])] = None
    if len(found) > 1:
        shortcuts, heads = (dict.fromkeys(values) for values in zip(*found, strict=True))
        return " / ".join(YES_NO[value] for value in shortcuts), " / ".join(heads)
    return next(iter(found), (None, None))


def lambda1(design: Design, scores: Scores, published: Published) -> Table:
    """Table 5: weight of the consistency term in prompt generation."""
    return _sweep(design, scores, published, "ablation_lambda1", "prompt generation")


def lambda2(design: Design, scores: Scores, published: Published) -> Table:
    """Table 6: weight of the consistency term in prediction refinement."""
    return _sweep(design, scores, published, "ablation_lambda2", "prediction refinement")


def _sweep(design: Design, scores: Scores, published: Published, artefact: str, role: str) -> Table:
    spec = design.config["artefacts"][artefact]
    shots, option, base = only_shots(design, artefact), spec["option"], spec["method"]
    datasets, backbones = design.datasets(artefact), design.backbones(artefact)
    symbol = SYMBOLS.get(option, option)
    swept = {value: variant.id for value, variant in design.variants(artefact).items()}
    headings = sweep_headings(spec["values"])
    rows = []
    for backbone in backbones:
        cells = tuple(
            published.cell(
                scores.mean_over_datasets(method, backbone, datasets, shots),
                *(backbone, base, column),
            )
            for column, method in swept.items()
        )
        ids = {"backbone": backbone, "method": base, "label": design.label(base)}
        rows.append(Row(ids, (*where(design, artefact, backbone), design.label(base)), cells))
    names = ", ".join(dataset_label(design, name) for name in datasets)
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"Sensitivity to {symbol}, the weight of the consistency term in {role}: "
        f"{only_backbone(design, artefact)}{names}, {shots} shots, accuracy (%). "
        f"{seeds_phrase(design, artefact)}",
        stub=(*where_heading(design, artefact), METHOD),
        columns=tuple(
            Column(column, heading, symbol) for column, heading in zip(swept, headings, strict=True)
        ),
        rows=tuple(rows),
    )


def sweep_headings(values: Sequence[float]) -> list[str]:
    """Return each swept value in full: two decimals or more, as many for all where that is short.

    Values that decimals would spell at length, as 1e-12, stand as the configuration has them.
    """
    plain = [np.format_float_positional(value, trim="-") for value in values]
    digits = max(2, *(len(text.partition(".")[2]) for text in plain))
    if digits > LONGEST_FRACTION:
        return [spelled(value) for value in values]
    return [f"{value:.{digits}f}" for value in values]
