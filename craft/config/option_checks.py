"""What must hold of blocks of options, of the table of differences, of every run's options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from craft.design.learner_options import (
    Option,
    check_options,
    check_together,
    learner_options,
    unknown,
)
from craft.design.option_layers import DIFFERENCES
from craft.design.runs import Design
from craft.files.strict_yaml import shown


def differing(known: Mapping[str, Option]) -> dict[str, Option]:
    """Return the options that differ between the modes, which is all that ``released`` may set."""
    return {name: known[name] for names in DIFFERENCES.values() for name in names}


def check_block(
    block: Mapping[str, Any],
    known: Mapping[str, Option],
    where: str,
    released: Mapping[str, Option] | None = None,
) -> Iterator[str]:
    """Yield the problems of a block of options: ``known`` ones, and in its key ``released`` those.

    A value that goes by shots is a mapping from shots to values.
    """
    for name, value in block.items():
        if name == "released" and released is not None:
            if isinstance(value, Mapping):
                yield from check_block(value, released, f"{where}.released")
            else:
                yield f"{where}.released = {shown(value)}: expected options and their values"
            continue
        if not isinstance(value, Mapping):
            yield from check_options({name: value}, known, where)
            continue
        if name == "mode":
            yield f"{where}.mode = {shown(value)}: expected one mode for all numbers of shots"
            continue
        if not value:
            yield f"{where}.{name} = {{}}: accepted: a value, or one for each number of shots"
        for shots, entry in value.items():
            if not re.fullmatch("[1-9][0-9]*", shots):
                yield f"{where}.{name}: {shown(shots)}: accepted: a number of shots, in quotes"
            yield from check_options({name: entry}, known, where)


def check_learner_options(blocks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of a data set's file's ``learner_options``: a block for each learner.

    A file cannot choose the mode, which is the suite's.
    """
    for learner, block in blocks.items():
        where = f"learner_options.{learner}"
        try:
            known = learner_options(learner)
        except LookupError as error:
            yield f"{where}: {error}"
            continue
        known = {name: option for name, option in known.items() if name != "mode"}
        yield from check_block(block, known, where, known)


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
    """Return the problems of the options of each run of a suite that is right otherwise.

    Each problem is named once, with the methods that have it.
    """
    design = Design(suite)
    problems: dict[str, None] = {}
    together: dict[str, dict[str, None]] = {}
    try:
        runs = dict.fromkeys((run.method, run.dataset, run.shots) for run in design.all_runs)
        for method, dataset, shots in runs:
            options = design.options(method, dataset, shots)
            known = learner_options(design.learner(method))
            problems |= dict.fromkeys(check_options(options, known, f"methods.{method}"))
            for problem in check_together(options, known):
                together.setdefault(problem, {})[method] = None
    except ValueError as error:
        problems[str(error)] = None
    return [*problems, *(f"methods.{', '.join(m)}: {text}" for text, m in together.items())]
