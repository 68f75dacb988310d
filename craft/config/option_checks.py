"""Checks of blocks of options, of the table of differences, and of every run's options."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from craft.config.problems import Problem, check_name
from craft.design.learner_options import options_of
from craft.design.option_layers import DIFFERENCES
from craft.design.runs import Design
from craft.learner.declaration import OptionError
from craft.learner.declaration import Problem as Unfit
from craft.learner.lookup import LearnerError
from craft.learner.options import Options

#: Options that a block ``released`` for all methods may set: those that differ between the modes.
DIFFERING = tuple(name for names in DIFFERENCES.values() for name in names)


def check_block(
    block: Mapping[str, Any],
    options: type[Options],
    where: str,
    *,
    names: Collection[str] | None = None,
    released: Collection[str] | None = None,
) -> Iterator[Problem]:
    """Yield the problems of a block of a learner's options.

    It may set ``names`` (all by default) and, in its key ``released``, the names in ``released``;
    without any, it has no such key. A value that depends on the shots is a mapping from shots.
    """
    names = options.types() if names is None else names
    for name, value in block.items():
        if name == "released" and released is not None:
            if isinstance(value, Mapping):
                yield from check_block(value, options, f"{where}.released", names=released)
            else:
                yield Problem(f"{where}.released", "options and values", value)
        elif name in options.types() and name not in names:
            yield Problem(f"{where}.{name}", f"one of {', '.join(names)}", value)
        elif not isinstance(value, Mapping):
            yield from _problems(options, {name: value}, where)
        elif name == "mode" or not value:
            several = "" if name == "mode" else ", or one for each number of shots"
            yield Problem(f"{where}.{name}", f"a value{several}", value)
        else:
            for shots, entry in value.items():
                if not re.fullmatch("[1-9][0-9]*", shots):
                    yield Problem(f"{where}.{name}", "a number of shots in quotes", shots)
                yield from _problems(options, {name: entry}, where)


def _problems(options: type[Options], values: Mapping[str, Any], where: str) -> Iterator[Problem]:
    for problem in options.problems(values, whole=False):
        yield Problem(f"{where}.{problem.option}", problem.expected, problem.value)


def learner_problem(where: str, learner: str, error: LearnerError) -> Problem:
    """Return the problem of a name that does not lead to a learner."""
    return Problem(where, "module:Class of a learner", learner, error.why)


def check_learner_options(blocks: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield the problems of a data set's file's ``learner_options``: a block for each learner.

    A file cannot choose the mode, which is the suite's.
    """
    for learner, block in blocks.items():
        where = f"learner_options.{learner}"
        try:
            options = options_of(learner)
        except LearnerError as error:
            yield learner_problem(where, learner, error)
            continue
        names = [name for name in options.types() if name != "mode"]
        yield from check_block(block, options, where, names=names, released=names)


def check_varied(
    suite: Mapping[str, Any], where: str, spec: Mapping[str, Any]
) -> Iterator[Problem]:
    """Yield the problems of the options that a sweep or the table of differences varies."""
    try:
        options = options_of(suite["methods"][spec["method"]]["learner"])
    except LearnerError:
        return  # reported where the method is declared
    if "option" in spec:
        wrong = list(check_name(f"{where}.option", spec["option"], sorted(options.types())))
        yield from wrong
        for value in () if wrong else spec["values"]:
            yield from _problems(options, {spec["option"]: value}, f"{where}.values")
    for row in spec.get("differences", ()):
        if isinstance(row, Mapping):
            yield from _problems(options, row, f"{where}.differences")
        else:
            yield from check_name(f"{where}.differences", row, DIFFERENCES)


def _check_own_codes(suite: Mapping[str, Any], options: Options) -> tuple[Unfit, ...]:
    """Return the problem of codes by a backbone that the suite does not list."""
    known = [*suite["backbones"], *suite["encoders"]]
    if not options.own_codes or options.own_codes in known:
        return ()
    expected = f"a backbone that the suite names in backbones or encoders ({', '.join(known)})"
    return (Unfit("encoder", options.own_codes, expected),)


def check_runs(suite: Mapping[str, Any]) -> list[Problem]:
    """Return the problems of the options of each run of an otherwise valid suite.

    Each problem is reported once, with all its methods.
    """
    design = Design(suite)
    found: dict[str, tuple[Any, dict[str, None]]] = {}
    for method, dataset, shots in design.cells():
        try:
            problems = _check_own_codes(suite, design.options(method, dataset, shots))
        except OptionError as error:
            problems = error.problems
        for problem in problems:
            found.setdefault(str(problem), (problem, {}))[1][method] = None
    return [
        Problem(f"options of {', '.join(methods)}: {wrong.option}", wrong.expected, wrong.value)
        for wrong, methods in found.values()
    ] or list(dict.fromkeys([*_check_images(design), *_check_access(design)]))


def _check_access(design: Design) -> Iterator[Problem]:
    """Yield the problems of runs that need access that no job or no key of a service gives."""
    for run in design.all_runs:
        fact = design.config["backbone_facts"][run.backbone]
        where, file = f"methods.{run.variant.method}", f"config/backbones/{run.backbone}.yaml"
        access = run.options.access
        if access == "texts":
            accepted = "a learner that needs no access to texts"
            hint = "from Python it runs on a text box (docs/hosted-services.md)"
            learner = design.config["methods"][run.variant.method]["learner"]
            yield Problem(f"{where}.learner", accepted, learner, hint)
            continue
        if fact["kind"] != "http":
            continue
        granted = fact.get("access", ["predictions"])
        if access not in granted:
            yield Problem(
                f"{where}.backbones",
                f"backbones that give {access}",
                run.backbone,
                f"{file} grants {', '.join(granted)}; list other backbones to leave its rows out",
            )
        elif run.options.context_tokens:
            expected = f"0 on {run.backbone}, as a service's context is words"
            yield Problem(f"{where}: context_tokens", expected, run.options.context_tokens)


def _check_images(design: Design) -> Iterator[Problem]:
    """Yield the problems of runs that encode images: unsuitable backbones, too many folds.

    What a service grants is another check's. Raises no OptionError: the options of every run are
    right.
    """
    facts = design.config["backbone_facts"].items()
    towers = {name: fact["image_tower"] for name, fact in facts if fact["kind"] != "http"}
    able = [name for name, tower in towers.items() if tower == "vit"]
    for run in design.all_runs:
        encodes = run.options.encodes_images and run.backbone in towers
        if encodes and run.backbone not in able:
            yield Problem(
                f"methods.{run.variant.method}.backbones",
                f"backbones with image_tower: vit ({', '.join(able) or 'none of the suite'})",
                run.backbone,
                f"it has images encoded during a fit; config/backbones/{run.backbone}.yaml says "
                f"image_tower: {towers[run.backbone]}",
            )
        if run.shots and run.options.search_folds > run.shots:
            expected = f"at most {run.shots}, the shots of a class"
            yield Problem(
                f"options of {run.variant.method}: search_folds", expected, run.options.search_folds
            )
