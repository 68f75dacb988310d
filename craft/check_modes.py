"""What must hold of ``released`` blocks, of the table of differences, of every run's options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from craft.declared import check_options, check_together, learner_options, unknown
from craft.design import Design
from craft.modes import DIFFERENCES
from craft.plain import shown


def check_released(values: Mapping[str, Any], where: str) -> Iterator[str]:
    """Problems of a ``released`` block: only what differs between the modes can be set there.

    A value that goes by shots is a mapping from shots to values.
    """
    base = learner_options("craft.learner.options:Options")
    known = {name: base[name] for names in DIFFERENCES.values() for name in names}
    for name, value in values.items():
        if not isinstance(value, Mapping):
            yield from check_options({name: value}, known, where)
            continue
        if not value:
            yield f"{where}.{name} = {{}}: accepted: a value, or one for each number of shots"
        for shots, entry in value.items():
            if not re.fullmatch("[1-9][0-9]*", shots):
                yield f"{where}.{name}: {shown(shots)}: accepted: a number of shots, in quotes"
            yield from check_options({name: entry}, known, where)


def check_differences(suite: Mapping[str, Any], where: str, spec: Mapping[str, Any]) -> list[str]:
    """Problems of the table of differences: its method, its rows."""
    try:
        known = learner_options(suite["methods"][spec["method"]].get("learner", ""))
    except LookupError:
        return []  # reported where the method is declared
    problems = []
    for row in spec.get("differences", ()):
        option, equals, _ = row.partition("=")
        if not equals and row not in DIFFERENCES:
            problems.append(f"{where}.differences: {unknown(row, DIFFERENCES)}")
        elif equals and option not in known:
            problems.append(f"{where}.differences: {row}: {unknown(option, sorted(known))}")
    return problems


def check_runs(suite: Mapping[str, Any]) -> list[str]:
    """Problems of the options of each run of a suite that is right otherwise, each told once."""
    design = Design(suite)
    problems: dict[str, None] = {}
    try:
        runs = dict.fromkeys((run.method, run.dataset, run.shots) for run in design.all_runs)
        for method, dataset, shots in runs:
            options = design.options(method, dataset, shots)
            known = learner_options(design.learner(method))
            found = check_options(options, known, f"methods.{method}")
            problems |= dict.fromkeys(found or check_together(options, known, f"methods.{method}"))
    except ValueError as error:
        problems[str(error)] = None
    return list(problems)
