"""Tables 1, 2 and 9: methods on backbones, a column per test set."""

from __future__ import annotations

from collections.abc import Sequence

from craft.design.runs import TABLES, Design, Run
from craft.evaluation.scores import Sample, Scores, with_average
from craft.files.atomic import RecordError
from craft.report.published import Published
from craft.report.tables.labels import (
    backbone_label,
    compared_methods,
    dataset_label,
    only_backbone,
    only_shots,
    seeds_phrase,
    shift_label,
    where,
    where_heading,
)
from craft.report.tables.model import (
    AVERAGE,
    BACKBONE,
    BLACK_BOX,
    METHOD,
    YES_NO,
    Cell,
    Column,
    Row,
    Table,
)


def architectures(design: Design, scores: Scores, published: Published) -> Table:
    """Table 1: every method on every backbone; data sets and their average."""
    return _by_dataset(
        design, scores, published, "architectures", "with different visual architectures"
    )


def blackbox_methods(design: Design, scores: Scores, published: Published) -> Table:
    """Table 9: black-box methods on one backbone; data sets and their average."""
    return _by_dataset(design, scores, published, "blackbox_methods", "of black-box methods")


def _by_dataset(
    design: Design, scores: Scores, published: Published, artefact: str, what: str
) -> Table:
    shots, datasets = only_shots(design, artefact), design.datasets(artefact)
    columns = [Column(name, dataset_label(design, name)) for name in datasets]
    if len(datasets) > 1:
        columns.append(Column(AVERAGE, AVERAGE))
    names = [column.id for column in columns]
    rows = []
    for backbone in design.backbones(artefact):
        for method in compared_methods(design, artefact, published, backbone):
            samples = None
            if method.run:
                samples = with_average(
                    [scores.cell(method.id, backbone, name, shots) for name in datasets]
                )
            cells = _cells(samples, backbone, method.id, names, published)
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            rows.append(Row(ids, (*where(design, artefact, backbone), method.heading), cells))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"Accuracy (%) {what}, {only_backbone(design, artefact)}{shots} shots. "
        f"{seeds_phrase(design, artefact)}",
        stub=(*where_heading(design, artefact), METHOD),
        columns=tuple(columns),
        rows=tuple(rows),
    )


def robustness(design: Design, scores: Scores, published: Published) -> Table:
    """Table 2: trained on the source, tested on it and on shifted targets, and their average."""
    artefact = "robustness"
    shots = only_shots(design, artefact)
    source, targets = design.config["shift"]["source"], tuple(design.config["shift"]["targets"])
    columns = [Column(source, dataset_label(design, source), "Source")]
    columns += [Column(name, shift_label(design, name), "Target") for name in targets]
    if len(targets) > 1:
        columns.append(Column(AVERAGE, "Avg.", "Target"))
    names = [column.id for column in columns]
    rows = []
    for backbone in design.backbones(artefact):
        for method in compared_methods(design, artefact, published, backbone):
            samples, seen = None, None
            if method.run:
                runs = design.cell(method.id, backbone, source, shots)
                shifted = [scores.sample(runs, target) for target in targets]
                samples = [scores.sample(runs, source), *with_average(shifted)]
                seen = black_box(scores, runs)
            cells = _cells(samples, backbone, method.id, names, published)
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            ids["black_box"] = YES_NO[seen]
            rows.append(Row(ids, (backbone_label(design, backbone), method.heading, seen), cells))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption="Accuracy (%) under distribution shift: trained on "
        f"{dataset_label(design, source)} with {shots} shots, tested on it and on shifted test "
        f"sets{'; Avg. is the mean of the targets' if len(targets) > 1 else ''}. "
        f"{seeds_phrase(design, artefact)}",
        stub=(BACKBONE, METHOD, BLACK_BOX),
        columns=tuple(columns),
        rows=tuple(rows),
    )


def _cells(
    samples: Sequence[Sample] | None,
    backbone: str,
    method: str,
    columns: Sequence[str],
    published: Published,
) -> tuple[Cell, ...]:
    """A cell for each column; without samples, those of a method that is not run."""
    return tuple(
        published.cell(sample, backbone, method, column)
        for sample, column in zip(samples or [None] * len(columns), columns, strict=True)
    )


def black_box(scores: Scores, runs: Sequence[Run]) -> bool | None:
    """What the run records say of a method's access; None when no run is there to say it."""
    for run in runs:
        try:
            return bool(scores.score(run).record["black_box"])
        except RecordError:
            continue
    return None
