"""Tables 4 and 10: what runs cost. Times and memory belong to the machine and differ each time.

They are read from the run records alone. Snakemake's benchmark files stay beside them: such a file
is of a job, which may hold several runs, counts the start of Python and the reading of inputs, and
after a kill has the last attempt only; a record is of one run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from craft.design.runs import TABLES, Design, Run
from craft.evaluation.scores import Sample, Scores, average, final_accuracy, total
from craft.files.atomic import RecordError
from craft.files.records import Score
from craft.report.published import Published
from craft.report.published_files import TOTAL
from craft.report.tables.comparisons import black_box
from craft.report.tables.labels import (
    compared_methods,
    dataset_label,
    only_backbone,
    only_shots,
    seeds_phrase,
    where,
    where_heading,
)
from craft.report.tables.model import BLACK_BOX, METHOD, YES_NO, Column, Row, Table

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


def efficiency(design: Design, scores: Scores, published: Published) -> Table:
    """Table 4: accuracy, access, cost of training and of deployment."""
    artefact = "efficiency"
    shots, datasets = only_shots(design, artefact), design.datasets(artefact)
    rows = []
    for backbone in design.backbones(artefact):
        methods = compared_methods(design, artefact, published, backbone)
        access, measured = _measured(design, scores, backbone, [m.id for m in methods if m.run])
        for method in methods:
            samples = measured.get(method.id)
            keys = [(backbone, method.id, column.id) for column in EFFICIENCY]
            cells = tuple(
                published.cell(samples[key[-1]] if samples else None, *key) for key in keys
            )
            seen = access.get(method.id)
            runs = [run for d in datasets for run in design.cell(method.id, backbone, d, shots)]
            ids = {"backbone": backbone, "method": method.id, "label": method.label}
            ids |= {"black_box": YES_NO[seen], "measured_on": machines(scores, runs)}
            rows.append(Row(ids, (*where(design, artefact, backbone), method.heading, seen), cells))
    names = ", ".join(dataset_label(design, name) for name in datasets)
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"Efficiency, {only_backbone(design, artefact)}{names}, {shots} shots. Deployment: "
        "what a user of the method holds, its own parameters and, with white-box access, the model "
        "too (fp32). Peak memory: of the whole process in training, with the black box and the "
        "libraries in it; of its tensors on the GPU. Prediction: from cached image features. "
        f"{seeds_phrase(design, artefact)} {measured_phrase(design, scores, artefact)}",
        stub=(*where_heading(design, artefact), METHOD, BLACK_BOX),
        columns=EFFICIENCY,
        rows=tuple(rows),
    )


def _measured(
    design: Design, scores: Scores, backbone: str, methods: Sequence[str]
) -> tuple[dict[str, bool | None], dict[str, dict[str, Sample]]]:
    """Whether each method is black-box, and its numbers by column."""
    shots, datasets = only_shots(design, "efficiency"), design.datasets("efficiency")
    access, measured = {}, {}
    for method in methods:
        cells = [design.cell(method, backbone, dataset, shots) for dataset in datasets]
        access[method] = black_box(scores, [run for runs in cells for run in runs])
        measured[method] = {
            name: average([scores.collect(runs, read) for runs in cells])
            for name, read in _readers(design).items()
        }
    reference = next((method for method in methods if access[method] is False), None)
    for samples in measured.values():
        samples[SHARE] = _share(samples["deployed_mb"], measured, reference)
    return access, measured


def _readers(design: Design) -> dict[str, Callable[[Score], float]]:
    """Column -> how it is read from a score; the share of the white-box method comes later."""

    def deployed(score: Score) -> float:
        size = recorded(score, "learner_bytes")
        if not recorded(score, "black_box"):
            parameters = design.config["backbone_facts"][score.backbone].get("parameters")
            if parameters is None:
                raise RecordError(f"config/backbones/{score.backbone}.yaml gives no parameters")
            size += PARAMETER_BYTES * parameters
        return size / MB

    def prediction(score: Score) -> float:
        images = len(score.queries) * sum(score.test_images.values())
        return 1e6 * recorded(score, "predict_seconds") / images

    def queries(purpose: str) -> Callable[[Score], float]:
        return lambda score: recorded(score, "queries").get(purpose, 0)

    return {
        "accuracy": lambda score: final_accuracy(score, score.dataset),
        "training_seconds": lambda score: recorded(score, "fit_seconds"),
        "peak_memory_mb": lambda score: recorded(score, "peak_memory_mb"),
        "peak_device_memory_mb": lambda score: recorded(score, "peak_device_memory_mb"),
        "parameters": lambda score: recorded(score, "learner_parameters"),
        "deployed_mb": deployed,
        "prediction_us": prediction,
        **{f"queries_{purpose}": queries(purpose) for purpose in ("search", "refine", "evaluate")},
    }


def recorded(score: Score, key: str) -> Any:
    """An entry of the record that was scored; raises RecordError where it has none."""
    try:
        return score.record[key]
    except KeyError as error:
        raise RecordError(f"its record has no {key}") from error


def _share(own: Sample, measured: dict[str, dict[str, Sample]], reference: str | None) -> Sample:
    """Memory in per cent of what the white-box method of the table deploys."""
    whole = measured[reference]["deployed_mb"] if reference else None
    if whole is None or whole.mean is None:
        why = whole.missing if whole else ("no run of a white-box method to compare with",)
        return Sample((None,) * own.expected, tuple(dict.fromkeys((*own.missing, *why))))
    values = tuple(None if value is None else 100 * value / whole.mean for value in own.values)
    return Sample(values, own.missing)


def training_time(design: Design, scores: Scores, published: Published) -> Table:
    """Table 10: wall time of the fits by method; a row per data set and their sum."""
    artefact = "training_time"
    shots, datasets = only_shots(design, artefact), design.datasets(artefact)
    backbones = design.backbones(artefact)
    compared = {name: compared_methods(design, artefact, published, name) for name in backbones}
    methods = max(compared.values(), key=len)
    several = len(datasets) > 1
    rows = []
    for backbone in backbones:
        columns: list[list[Sample | None]] = []
        for method in methods:
            samples: list[Sample | None] = [None] * (len(datasets) + several)
            if method.run:
                cells = [design.cell(method.id, backbone, name, shots) for name in datasets]
                samples = [scores.collect(runs, _fit_seconds) for runs in cells]
                if several:
                    samples.append(total(samples))
            columns.append(samples)
        run = [method.id for method in methods if method.run]
        for index, dataset in enumerate((*datasets, TOTAL) if several else datasets):
            label = TOTAL if dataset == TOTAL else dataset_label(design, dataset)
            cells = tuple(
                published.cell(samples[index], backbone, method.id, dataset)
                for method, samples in zip(methods, columns, strict=True)
            )
            names = datasets if dataset == TOTAL else (dataset,)
            runs = [r for m in run for name in names for r in design.cell(m, backbone, name, shots)]
            ids = {"backbone": backbone, "dataset": dataset, "label": label}
            ids["measured_on"] = machines(scores, runs)
            rows.append(Row(ids, (*where(design, artefact, backbone), label), cells))
    # Days are what the paper prints, and what its suite takes; seconds what a small one takes.
    unit, scale = "seconds", 1.0
    if any(map(published.methods, backbones)):
        unit, scale = "hours; the CSV has seconds", 3600.0
    return Table(
        artefact=artefact,
        place=TABLES[artefact],
        suite=design.config["suite"],
        caption=f"Training time ({unit}), {only_backbone(design, artefact)}"
        f"{shots} shots: wall time of the fit alone. Images are encoded before, once for all "
        f"methods. {seeds_phrase(design, artefact)} {measured_phrase(design, scores, artefact)}",
        stub=(*where_heading(design, artefact), "Dataset"),
        columns=tuple(Column(m.id, m.heading, scale=scale) for m in methods),
        rows=tuple(rows),
    )


def _fit_seconds(score: Score) -> float:
    return recorded(score, "fit_seconds")


def measured_phrase(design: Design, scores: Scores, artefact: str) -> str:
    """How a caption says that its numbers are of this machine and this execution."""
    named = machines(scores, design.runs(artefact))
    return (
        f"Times and memory were measured on: {named or 'no run yet'}. They differ from one "
        "execution to the next."
    )


def machines(scores: Scores, runs: Sequence[Run] | Iterable[Run]) -> str:
    """The machines that runs were measured on, each once; empty where no run says it."""
    named = {}
    for run in runs:
        try:
            machine = recorded(scores.score(run), "machine")
            threads = "1 thread" if machine["threads"] == "1" else f"{machine['threads']} threads"
            named[f"{machine['processor']}, {machine['device']}, {threads}"] = None
        except (RecordError, KeyError):
            continue
    return "; ".join(named)
