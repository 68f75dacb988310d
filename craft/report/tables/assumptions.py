"""Table 8: what each method assumes of the model that it is given."""

from __future__ import annotations

from collections.abc import Sequence

from craft.design.runs import TABLES, Design, Run
from craft.evaluation.scores import Scores
from craft.files.records import Score
from craft.report.published import Published
from craft.report.tables.comparisons import black_box
from craft.report.tables.costs import recorded
from craft.report.tables.labels import Method, backbone_label, compared_methods
from craft.report.tables.model import METHOD, WORDS, Cell, Column, Row, Table

ARTEFACT = "blackbox_assumptions"

COLUMNS = (
    Column("vlm_requirements", "VLM requirements", "Black-box assumption"),
    Column("network_requirements", "Network requirements", "Black-box assumption"),
    Column("access", "Access permission", "Black-box assumption"),
    Column("queries", "Queries of a run", "Measured here"),
    Column("ran_on", "Ran on", "Measured here"),
)

#: What follows from the box that a run was given, as its record says (a test holds the two
#: together). Black box: craft.protocol.BlackBox, contexts in and predictions out, with no word of
#: towers or layers. White box: craft.whitebox.box.WhiteBox, a text tower apart from image features.
GIVEN = {
    True: {
        "vlm_requirements": "No requirements",
        "network_requirements": "No requirements",
        "access": "Predictions",
    },
    False: {
        "vlm_requirements": "Dual-towered",
        "network_requirements": "No requirements",
        "access": "Weights and features",
    },
}


def blackbox_assumptions(design: Design, scores: Scores, published: Published) -> Table:
    """Table 8: for methods of the suite from their runs, for others what the paper says of them."""
    rows = []
    methods = compared_methods(design, ARTEFACT, published, "")
    for method in methods:
        found, missing = _found(design, scores, method) if method.run else ({}, ())
        cells = tuple(
            Cell(
                value=found.get(column.id),
                published=published.value("", method.id, column.id),
                notes=published.notes("", method.id, column.id),
                missing=() if column.id in found else missing,
                run=method.run,
            )
            for column in COLUMNS
        )
        rows.append(Row({"method": method.id, "label": method.label}, (method.heading,), cells))
    return Table(
        artefact=ARTEFACT,
        place=TABLES[ARTEFACT],
        suite=design.config["suite"],
        caption="What a method assumes of the model, by what its runs were given and record"
        + ("" if all(method.run for method in methods) else "; of others, what the paper states")
        + ". Queries are contexts scored on a set of images; the paper counts those of the search.",
        stub=(METHOD,),
        columns=COLUMNS,
        rows=tuple(rows),
        kind=WORDS,
    )


def _found(
    design: Design, scores: Scores, method: Method
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Column -> what the runs of a method say, and which of them are missing."""
    shots = design.config["artefacts"][ARTEFACT]["shots"]
    backbones = design.backbones(ARTEFACT)
    runs = [
        run
        for backbone in backbones
        for dataset in design.datasets(ARTEFACT)
        for number in shots
        for run in design.cell(method.id, backbone, dataset, number)
    ]
    missing = scores.collect(runs, lambda score: sum(recorded(score, "queries").values())).missing
    seen = black_box(scores, runs)
    found = {} if seen is None else dict(GIVEN[seen])
    if not missing:
        found["queries"] = _queries(scores, runs) if seen else "none counted"
        found["ran_on"] = ", ".join(backbone_label(design, name) for name in backbones)
    return found, missing


def _queries(scores: Scores, runs: Sequence[Run]) -> str:
    """Queries by purpose; the least and the most where runs differ."""
    counted = [_counts(scores.score(run)) for run in runs]
    texts = []
    for purpose in counted[0]:
        numbers = [counts.get(purpose, 0) for counts in counted]
        least, most = min(numbers), max(numbers)
        span = f"{most:,}" if least == most else f"{least:,} to {most:,}"
        texts.append(f"{span} {purpose}")
    return ", ".join(texts)


def _counts(score: Score) -> dict[str, int]:
    return recorded(score, "queries")
