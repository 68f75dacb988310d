"""What a configuration's schema cannot say: names that must exist, numbers that must fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from craft.config.option_checks import (
    DIFFERING,
    check_block,
    check_differences,
    check_learner_options,
    check_sweep,
)
from craft.config.references import Names
from craft.design.learner_options import options_of
from craft.design.runs import COMPARISONS, DISCREPANCIES, FIGURES, SWEEPS, TABLES, VARIED
from craft.learner.lookup import LearnerError
from craft.learner.options import Options
from craft.runtime.messages import shown, unknown


def check_facts(fact: Mapping[str, Any], path: Path) -> Iterator[str]:
    """Problems of one data set's or backbone's file."""
    if fact.get("name") != path.stem:
        yield f"{path}: name = {shown(fact.get('name'))}: accepted: {path.stem}, the file's name"
    scale = fact.get("crop_scale", [0, 1])
    if scale[0] > scale[-1]:
        yield f"{path}: crop_scale = {shown(scale)}: accepted: the smaller share first"
    shares = fact.get("shares", {})
    total = sum(share for part, share in shares.items() if part != "seed")
    if shares and abs(total - 1) > 1e-6:
        yield f"{path}: shares = {shown(shares)}: accepted: parts that add up to 1, not {total:g}"
    for text in (
        *check_block(fact.get("released", {}), Options, "released", names=DIFFERING),
        *check_learner_options(fact.get("learner_options", {})),
    ):
        yield f"{path}: {text}"


def check_suite(
    suite: Mapping[str, Any],
    given: Mapping[str, Any],
    files: Mapping[str, Sequence[str]],
) -> Iterator[str]:
    """Problems of a suite whose keys have the right types; missing keys are not repeated.

    ``given`` is the suite before what the schema refuses was dropped: what follows from that alone
    is no problem of its own. ``files`` are names of the data sets and backbones that there are.
    """
    names = Names.of(given, files)
    yield from _check_data(suite, names)
    yield from _check_methods(suite, names)
    for name, spec in suite.get("artefacts", {}).items():
        if name in {**TABLES, **FIGURES}:
            yield from _check_keys(name, spec, given)
            yield from _check_artefact(suite, name, spec, names)
        else:
            yield f"artefacts: {unknown(name, {**TABLES, **FIGURES})}"
    drawn = [name for name, fact in suite["facts"].items() if fact.get("encode") == "drawn"]
    if suite["encode_together"] and drawn:
        yield f"encode_together = True: accepted: false, as {drawn[0]} says encode: drawn"
    if suite["published"] and not Path(suite["published"]).is_dir():
        yield f"published = {shown(suite['published'])}: accepted: a folder that exists, or null"


def _check_data(suite: Mapping[str, Any], names: Names) -> Iterator[str]:
    facts, few_shot = suite["facts"], suite.get("datasets", [])
    for name in few_shot:
        if name in facts and "source" in facts[name]:
            yield f"datasets: {name} is a shifted test set of {facts[name]['source']}, not few-shot"
    for name in suite["dataset_options"]:
        yield from names.refuse("datasets", name, "dataset_options")
    shift = suite["shift"]
    if not shift or "source" not in shift:
        return
    if wrong := list(names.refuse("datasets", shift["source"], "shift.source")):
        yield from wrong
        return
    for name in shift.get("targets", ()):
        origin = facts.get(name, {}).get("source", shift["source"])
        if origin != shift["source"] or (name in facts and "source" not in facts[name]):
            yield (
                f"shift.targets: {name} is no shifted test set of {shift['source']} "
                f"(config/datasets/{name}.yaml says source: {shown(facts[name].get('source'))})"
            )


def _check_methods(suite: Mapping[str, Any], names: Names) -> Iterator[str]:
    yield from check_block(suite["options"], Options, "options", released=DIFFERING)
    for name, block in suite["dataset_options"].items():
        yield from check_block(block, Options, f"dataset_options.{name}", released=DIFFERING)
    for name, method in suite.get("methods", {}).items():
        where = f"methods.{name}"
        for artefact in method.get("artefacts", ()):
            if artefact not in COMPARISONS:
                yield f"{where}.artefacts: {unknown(artefact, COMPARISONS)}"
        per_dataset = method.get("dataset_options", {})
        for dataset in per_dataset:
            yield from names.refuse("datasets", dataset, f"{where}.dataset_options")
        if "learner" not in method:
            continue
        try:
            options = options_of(method["learner"])
        except LearnerError as error:
            yield f"{where}.learner: {error}"
            continue
        own = [name for name in options.types() if name != "mode"]
        yield from check_block(method.get("options", {}), options, f"{where}.options", released=own)
        for dataset, block in per_dataset.items():
            yield from check_block(
                block, options, f"{where}.dataset_options.{dataset}", released=own
            )


def _check_keys(name: str, spec: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    """Keys that an artefact lacks, and those that are not its own."""
    where = f"artefacts.{name}"
    allowed = _required(name) | {"backbones", "datasets"}
    allowed |= {"differences"} if name == DISCREPANCIES else set()
    for key in sorted(_required(name) - set(given["artefacts"][name])):
        yield f"{where}.{key} is missing"
    for key in sorted(set(spec) - allowed):
        accepted = f"accepted in {name}: {', '.join(sorted(allowed))}"
        yield f"{where}.{key} = {shown(spec[key])}: {accepted}"
    if name == "robustness" and not given.get("shift"):
        yield f"{where} needs shift: source and targets"


def _required(name: str) -> set[str]:
    if name in SWEEPS:
        return {"shots", "datasets", "method", "option", "values"}
    if name == DISCREPANCIES:
        return {"shots", "method"}
    return {"shots"} if name in COMPARISONS else set()


def _check_artefact(
    suite: Mapping[str, Any], name: str, spec: Mapping[str, Any], names: Names
) -> Iterator[str]:
    where = f"artefacts.{name}"
    for key in ("backbones", "datasets"):
        for value in spec.get(key, ()):
            yield from names.refuse(key, value, f"{where}.{key}")
    yield from _check_shots(suite, name, spec)
    if name in VARIED and "method" in spec:
        yield from names.refuse("methods", spec["method"], f"{where}.method")
        # What is wrong with a method is told where it is declared.
        if spec["method"] in suite.get("methods", {}) and _required(name) <= set(spec):
            check = check_sweep if name in SWEEPS else check_differences
            yield from check(suite, where, spec)


def _check_shots(suite: Mapping[str, Any], name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    source_only = [(suite["shift"] or {}).get("source")] if name == "robustness" else None
    for dataset in source_only or spec.get("datasets", suite.get("datasets", ())):
        fact = suite["facts"].get(dataset, {})
        counts = fact.get("counts", {})
        if fact.get("repeat"):
            continue  # a class that is too small is drawn with replacement
        if "smallest" in counts:
            most, why = counts["smallest"], "its smallest class has no more training images"
        elif {"train", "classes"} <= set(counts):
            # No class can have more than the mean has, so beyond it some class has too few.
            most = counts["train"] // counts["classes"]
            why = f"it has {counts['train']} training images of {counts['classes']} classes"
        else:
            continue
        for shots in spec.get("shots", ()):
            if shots > most:
                yield (
                    f"artefacts.{name}.shots: {shots}: accepted for {dataset}: at most {most}, "
                    f"as {why}"
                )
