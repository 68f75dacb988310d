"""What an artefact asks for: its cells and the runs in each, everything resolved, as JSON values.

A workflow makes it when it is planned. It is all that gathering knows of the configuration, and
reaches it as a file: of a large suite it is longer than a command line may be.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

from craft.design.artefacts import ARTEFACTS
from craft.design.option_layers import Variant, spelled
from craft.design.runs import Design, Run
from craft.runtime.provenance import code_hash, config_hash

#: Keys of a configuration that say where its files lie: the same suite elsewhere is the same.
PLACES = ("results", "data")


def request(design: Design, artefact: str) -> dict[str, Any]:
    """Return what a table or figure asks for; no order but that of lists matters.

    ``rows`` holds what is printed of each row, ``backbones`` and ``datasets`` of these, ``runs``
    what each run is and what its record must say, by its folder. ``cells`` lists (row, backbone,
    dataset, shots, test sets, folder), a line for each run of a cell of the table, in the order of
    print. A table of data sets asks for ``manifests`` in place of runs.
    """
    entry = ARTEFACTS[artefact]
    asked: dict[str, Any] = {
        "suite": design.config["suite"],
        "artefact": artefact,
        "curve": entry.curve,
    }
    if entry.rows == "data sets":
        return asked | {"manifests": manifests(design, artefact)}
    if entry.priced:
        asked["prices"] = design.config.get("prices")
    rows = dict(_rows(design, artefact))
    cells: list[tuple[Any, ...]] = []
    runs: dict[str, Run] = {}
    for row, values in rows.items():
        for backbone, dataset, shots in design.places(artefact, values["id"]):
            tests = design.test_sets(dataset) if entry.shifted else (dataset,)
            for run in design.cell(values["id"], backbone, dataset, shots):
                runs[run.folder] = run
                cells.append((row, backbone, dataset, shots, tests, run.folder))
    return asked | _described(design, rows, runs, cells)


def request_of_all(design: Design) -> dict[str, Any]:
    """Return what the suite asks for as a whole: every run of every artefact, each once."""
    runs = {run.folder: run for run in design.all_runs}
    rows = {run.method: _method(design, run.variant) for run in runs.values()}
    cells = [
        (run.method, run.backbone, run.dataset, run.shots, design.tests_of(run), folder)
        for folder, run in runs.items()
    ]
    asked = {
        "suite": design.config["suite"],
        "config_hash": config_hash({k: v for k, v in design.config.items() if k not in PLACES}),
        "seeds": list(design.seeds),
        "artefacts": {name: _artefact(design, name) for name in design.artefacts()},
    }
    return asked | _described(design, rows, runs, cells)


def _artefact(design: Design, name: str) -> dict[str, Any]:
    artefact = ARTEFACTS[name]
    heading = artefact.heading(design.config["suite"])
    return {"kind": artefact.kind, "heading": heading, "files": artefact.files}


def _described(
    design: Design,
    rows: dict[str, Any],
    runs: dict[str, Run],
    cells: list[tuple[Any, ...]],
) -> dict[str, Any]:
    config = design.config
    datasets = dict.fromkeys(name for cell in cells for name in (cell[2], *cell[4]))
    return {
        "rows": rows,
        "backbones": {
            name: {
                "label": config["backbone_facts"][name].get("label") or name,
                "parameters": config["backbone_facts"][name].get("parameters"),
            }
            for name in dict.fromkeys(cell[1] for cell in cells)
        },
        "datasets": {name: dataset_label(design, name) for name in datasets},
        "runs": {folder: run.identity | claims_of(design, run) for folder, run in runs.items()},
        "cells": cells,
    }


@functools.cache
def claims_of(design: Design, run: Run) -> dict[str, Any]:
    """Return what a run's record must say that it is of; ``inputs`` are paths below results."""
    learner = run.learner.partition(":")[0]
    return {
        "config_hash": config_hash(design.settings(run)),
        "code_hash": code_hash("craft.fit.__main__", learner),
        "inputs": design.inputs(run),
    }


def _rows(design: Design, artefact: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows in the order of print, each with what is printed of it."""
    entry, spec = ARTEFACTS[artefact], design.config["artefacts"][artefact]
    variants = design.variants(artefact)
    known = [row for row in entry.order if row in variants]
    for row in dict.fromkeys((*known, *variants)):
        variant = variants[row]
        shown = _method(design, variant)
        if entry.rows == "values":
            shown |= {"option": spec["option"], "value": dict(variant.changes)[spec["option"]]}
        elif entry.rows == "differences":
            shown |= _changes(design, artefact, variant, variants["paper"])
        if entry.rows != "methods":
            shown["label"] = design.label(Variant(variant.method))
        yield row, shown


def _method(design: Design, variant: Variant) -> dict[str, Any]:
    return {
        "id": variant.id,
        "method": variant.method,
        "label": design.label(variant),
        "components": design.config["methods"][variant.method].get("components"),
    }


def _changes(design: Design, artefact: str, variant: Variant, paper: Variant) -> dict[str, str]:
    """Return the options of a row, their values in paper mode and instead; empty for the modes."""
    options = (*dict(variant.changes), *variant.released)
    if not options:
        return {"options": "", "paper": "", "instead": ""}
    (shots,) = design.config["artefacts"][artefact]["shots"]
    here, there = (
        {
            dataset_label(design, dataset): ", ".join(
                _shown(getattr(design.options(each.id, dataset, shots), option))
                for option in options
            )
            for dataset in design.datasets(artefact)
        }
        for each in (paper, variant)
    )
    return {"options": " ".join(options), "paper": _joined(here), "instead": _joined(there)}


def _shown(value: Any) -> str:
    """Return an option's value for a reader: lambdas of 0.1 / classes have many digits."""
    return f"{value:.4g}" if isinstance(value, float) else spelled(value)


def _joined(texts: dict[str, str]) -> str:
    """Return the text of each data set, once where all have the same."""
    if len(set(texts.values())) == 1:
        return next(iter(texts.values()))
    return "; ".join(f"{name} {text}" for name, text in texts.items())


def manifests(design: Design, artefact: str) -> list[dict[str, Any]]:
    """Return what is printed and declared of each data set whose images a table counts."""
    facts = design.config["facts"]
    targets = (design.config.get("shift") or {}).get("targets", ())
    return [
        {
            "dataset": name,
            "label": dataset_label(design, name),
            "task": facts[name].get("task", ""),
            "declared": facts[name].get("counts", {}),
            "shifted": name in targets,
        }
        for name in design.counted(artefact)
    ]


def dataset_label(design: Design, name: str) -> str:
    """Return the printed name of a data set."""
    return design.config["facts"][name].get("label") or name
