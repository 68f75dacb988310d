"""Tables 1 and 2: methods on several backbones, a column per test set."""

from __future__ import annotations

from collections.abc import Sequence

from craft.design import TABLES, ZERO_SHOT, Design
from craft.storage import RecordError
from craft.tables.layout import AVERAGE, BACKBONE, METHOD, Cell, Column, Row, Table
from craft.tables.published import Published
from craft.tables.scores import Sample, Scores, average

#: Rows as the paper orders them; a method that it does not have follows in the config's order.
ORDER = {
    "architectures": ("zero-shot", "bbt", "craft"),
    "robustness": ("zero-shot", "coop-4", "coop-16", "craft"),
    "ablation_components": ("zero-shot", "bbt", "refine", "alternate", "sequential", "craft"),
    "ablation_residual": ("no-residual", "linear", "craft"),
}


def ordered_methods(design: Design, artefact: str) -> tuple[str, ...]:
    """Method ids of a table's rows in the paper's order, further ones after those."""
    methods = design.methods(artefact)
    known = tuple(method for method in ORDER[artefact] if method in methods)
    return known + tuple(method for method in methods if method not in known)


def only_shots(design: Design, artefact: str) -> int:
    """The shot number of an artefact that has one; raises ValueError when it has several."""
    shots = tuple(design.config["artefacts"][artefact]["shots"])
    if len(shots) != 1:
        raise ValueError(f"{artefact} shows one shot number; the config gives {list(shots)}")
    return shots[0]


def dataset_label(design: Design, dataset: str) -> str:
    """Printed name of a data set."""
    return design.config["facts"][dataset].get("label") or dataset


def backbone_label(design: Design, backbone: str) -> str:
    """Printed name of a backbone."""
    return design.config["backbone_facts"][backbone].get("label") or backbone


def seeds_phrase(design: Design, artefact: str) -> str:
    """How a caption says what the numbers are."""
    number = len(design.seeds)
    but = " (one run for zero-shot)" if ZERO_SHOT in design.methods(artefact) else ""
    if number == 1:
        return "One seed."
    return f"Mean ± sample standard deviation over {number} seeds{but}."


def architectures(design: Design, scores: Scores, published: Published) -> Table:
    """Table 1: every method on every backbone; data sets and their average."""
    artefact = "architectures"
    shots = only_shots(design, artefact)
    datasets = design.datasets(artefact)
    columns = [Column(name, dataset_label(design, name)) for name in datasets]
    rows = []
    for backbone in design.backbones(artefact):
        for method in ordered_methods(design, artefact):
            samples = [scores.cell(method, backbone, dataset, shots) for dataset in datasets]
            cells = _cells(samples, average(samples), backbone, method, datasets, published)
            label = design.label(method)
            ids = {"backbone": backbone, "method": method, "label": label}
            rows.append(Row(ids, (backbone_label(design, backbone), label), cells))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"Accuracy (%) with different visual architectures, {shots} shots. "
        f"{seeds_phrase(design, artefact)}",
        stub=(BACKBONE, METHOD),
        columns=(*columns, Column(AVERAGE, AVERAGE)),
        rows=tuple(rows),
    )


def robustness(design: Design, scores: Scores, published: Published) -> Table:
    """Table 2: trained on the source, tested on it and on shifted targets, and their average."""
    artefact = "robustness"
    shots = only_shots(design, artefact)
    source, targets = design.config["shift"]["source"], tuple(design.config["shift"]["targets"])
    rows = []
    for backbone in design.backbones(artefact):
        for method in ordered_methods(design, artefact):
            runs = design.cell(method, backbone, source, shots)
            samples = [scores.sample(runs, test_set) for test_set in (source, *targets)]
            mean = average(samples[1:])
            cells = _cells(samples, mean, backbone, method, (source, *targets), published)
            black_box = _black_box(design, scores, method, backbone, source, shots)
            label = design.label(method)
            ids = {"backbone": backbone, "method": method, "label": label}
            ids["black_box"] = {True: "yes", False: "no", None: ""}[black_box]
            rows.append(Row(ids, (backbone_label(design, backbone), label, black_box), cells))
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption="Accuracy (%) under distribution shift: trained on "
        f"{dataset_label(design, source)} with {shots} shots, tested on it and on shifted test "
        f"sets; Avg. is the mean of the targets. {seeds_phrase(design, artefact)}",
        stub=(BACKBONE, METHOD, "Black-Box"),
        columns=(
            Column(source, dataset_label(design, source), "Source"),
            *(Column(name, shift_label(design, name), "Target") for name in targets),
            Column(AVERAGE, "Avg.", "Target"),
        ),
        rows=tuple(rows),
    )


def shift_label(design: Design, target: str) -> str:
    """Short name of a target: what it adds to the source's name ("-V2"), as the paper prints it."""
    source = dataset_label(design, design.config["shift"]["source"])
    label = dataset_label(design, target)
    rest = label.removeprefix(source).lstrip("- ")
    return f"-{rest}" if rest and rest != label else label


def _cells(
    samples: Sequence[Sample],
    mean: Sample,
    backbone: str,
    method: str,
    columns: Sequence[str],
    published: Published,
) -> tuple[Cell, ...]:
    return tuple(
        Cell.of(
            sample,
            published.value(backbone, method, column),
            published.notes(backbone, method, column),
        )
        for sample, column in zip((*samples, mean), (*columns, AVERAGE), strict=True)
    )


def _black_box(
    design: Design, scores: Scores, method: str, backbone: str, dataset: str, shots: int
) -> bool | None:
    """What the run records say of the method's access; None when no run is there to say it."""
    for run in design.cell(method, backbone, dataset, shots):
        try:
            return bool(scores.score(run).record["black_box"])
        except RecordError:
            continue
    return None
