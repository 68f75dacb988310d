"""What must hold of blocks of options, of the table of differences, of every run's options."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from craft.design.learner_options import options_of
from craft.design.option_layers import DIFFERENCES
from craft.design.runs import Design
from craft.learner.lookup import LearnerError
from craft.learner.options import OptionError, Options
from craft.runtime.messages import shown, unknown

#: What a block ``released`` for all methods may set: options that differ between the modes.
DIFFERING = tuple(name for names in DIFFERENCES.values() for name in names)


def check_block(
    block: Mapping[str, Any],
    options: type[Options],
    where: str,
    *,
    names: Collection[str] | None = None,
    released: Collection[str] | None = None,
) -> Iterator[str]:
    """Yield the problems of a block of a learner's options.

    It may set ``names`` (all by default) and, in its key ``released``, the names in ``released``;
    without these it has no such key. A value that goes by shots is a mapping from shots to values.
    """
    names = options.types() if names is None else names
    for name, value in block.items():
        if name == "released" and released is not None:
            if isinstance(value, Mapping):
                yield from check_block(value, options, f"{where}.released", names=released)
            else:
                yield f"{where}.released: expected options and values, got {shown(value)}"
        elif name in options.types() and name not in names:
            yield f"{where}.{name}: expected one of {', '.join(names)}, got {shown(value)}"
        elif not isinstance(value, Mapping):
            yield from _problems(options, {name: value}, where)
        elif name == "mode" or not value:
            several = "" if name == "mode" else ", or one for each number of shots"
            yield f"{where}.{name}: expected a value{several}, got {shown(value)}"
        else:
            for shots, entry in value.items():
                if not re.fullmatch("[1-9][0-9]*", shots):
                    wrong = f"expected a number of shots in quotes, got {shown(shots)}"
                    yield f"{where}.{name}: {wrong}"
                yield from _problems(options, {name: entry}, where)


def _problems(options: type[Options], values: Mapping[str, Any], where: str) -> Iterator[str]:
    for problem in options.problems(values, whole=False):
        yield f"{where}.{problem.option}: expected {problem.expected}, got {shown(problem.value)}"


def check_learner_options(blocks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of a data set's file's ``learner_options``: a block for each learner.

    A file cannot choose the mode, which is the suite's.
    """
    for learner, block in blocks.items():
        where = f"learner_options.{learner}"
        try:
            options = options_of(learner)
        except LearnerError as error:
            yield f"{where}: {error}"
            continue
        names = [name for name in options.types() if name != "mode"]
        yield from check_block(block, options, where, names=names, released=names)


def check_sweep(suite: Mapping[str, Any], where: str, spec: Mapping[str, Any]) -> Iterator[str]:
    """Yield the problems of a sweep: its option, its values."""
    try:
        options = options_of(suite["methods"][spec["method"]].get("learner", ""))
    except LearnerError:
        return  # reported where the method is declared
    if spec["option"] not in options.types():
        yield f"{where}.option: {unknown(spec['option'], sorted(options.types()))}"
        return
    for value in spec["values"]:
        yield from _problems(options, {spec["option"]: value}, f"{where}.values")


def check_differences(
    suite: Mapping[str, Any], where: str, spec: Mapping[str, Any]
) -> Iterator[str]:
    """Yield the problems of the table of differences: its method, its rows."""
    try:
        options = options_of(suite["methods"][spec["method"]].get("learner", ""))
    except LearnerError:
        return  # reported where the method is declared
    for row in spec.get("differences", ()):
        if isinstance(row, Mapping):
            yield from _problems(options, row, f"{where}.differences")
        elif row not in DIFFERENCES:
            yield f"{where}.differences: {unknown(row, DIFFERENCES)}"


def check_runs(suite: Mapping[str, Any]) -> list[str]:
    """Return the problems of the options of each run of a suite that is right otherwise.

    Each problem is named once, with the methods that have it.
    """
    design = Design(suite)
    found: dict[str, dict[str, None]] = {}
    for method, dataset, shots in design.cells():
        try:
            design.options(method, dataset, shots)
        except OptionError as error:
            for problem in error.problems:
                found.setdefault(str(problem), {})[method] = None
        except ValueError as error:
            found.setdefault(str(error), {})
    return [
        f"options of {', '.join(methods)}: {text}" if methods else text
        for text, methods in found.items()
    ]
