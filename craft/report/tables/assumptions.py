"""Table 8: the assumptions of each method about the model."""

from __future__ import annotations

import pandas as pd

from craft.design.artefact import Artefact
from craft.report.published import Published
from craft.report.tables.comparisons import access
from craft.report.tables.labels import backbones, caption, compared
from craft.report.tables.spent import queries, span, whole
from craft.report.tables.table import METHOD, WORDS, Cell, Column, Row, Table

COLUMNS = (
    Column("vlm_requirements", "VLM requirements", "Black-box assumption"),
    Column("network_requirements", "Network requirements", "Black-box assumption"),
    Column("access", "Access permission", "Black-box assumption"),
    Column("queries", "Queries of a run", "Measured here"),
    Column("images", "Image encodings", "Measured here"),
    Column("ran_on", "Ran on", "Measured here"),
)

#: What follows from the access level that a run was given, as its record says (a test holds the
#: two together): predictions ask nothing of towers or layers, features need those of images and of
#: texts apart, visual prompts need a transformer to take them.
GIVEN = {
    "predictions": {
        "vlm_requirements": "No requirements",
        "network_requirements": "No requirements",
        "access": "Predictions",
    },
    "weights": {
        "vlm_requirements": "Dual-towered",
        "network_requirements": "No requirements",
        "access": "Weights and features",
    },
    "features": {
        "vlm_requirements": "Dual-towered",
        "network_requirements": "No requirements",
        "access": "Features",
    },
    "texts": {
        "vlm_requirements": "No requirements",
        "network_requirements": "No requirements",
        "access": "Scores of texts",
    },
    "visual-prompts": {
        "vlm_requirements": "No requirements",
        "network_requirements": "Vision Transformer",
        "access": "Predictions",
    },
    "uploads": {
        "vlm_requirements": "No requirements",
        "network_requirements": "No requirements",
        "access": "Predictions",
    },
}


def blackbox_assumptions(artefact: Artefact, lines: pd.DataFrame, published: Published) -> Table:
    """Return Table 8: of methods of the suite from their runs, of others what the paper says."""
    rows = []
    methods = compared(artefact, lines, published, "")
    for method in methods:
        own = lines[lines["row"] == method.id]
        found = _found(own)
        missing = tuple(dict.fromkeys(own.loc[own["problem"] != "", "problem"]))
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
    quoted = "" if all(method.run for method in methods) else "; other rows quote the paper"
    return Table(
        artefact=artefact,
        suite=lines["suite"].iloc[0],
        caption=caption(artefact, lines, quoted=quoted),
        stub=(METHOD,),
        columns=COLUMNS,
        rows=tuple(rows),
        kind=WORDS,
    )


def _found(lines: pd.DataFrame) -> dict[str, str]:
    """Return what the runs of a method say by column; counts need all of them."""
    given = access(lines)
    found = {} if given is None else dict(GIVEN[given])
    if whole(lines):
        found["queries"] = "none counted" if given == "weights" else queries(lines)
        found["images"] = span(lines["images_encoded"])
        found["ran_on"] = ", ".join(backbones(lines).values())
    return found
