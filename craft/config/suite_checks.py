"""Second step of validation, after the schema: names that must exist, numbers that must fit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from craft.config.option_checks import (
    DIFFERING,
    check_block,
    check_learner_options,
    check_varied,
    learner_problem,
)
from craft.config.problems import NOTHING, Problem, check_name
from craft.design.artefacts import ARTEFACTS, comparisons, required
from craft.design.learner_options import options_of
from craft.learner.lookup import LearnerError
from craft.learner.options import Options

#: Kind of name, as the keys of a suite -> names.
_Names = Mapping[str, Collection[str]]


def check_description(description: Mapping[str, Any], name: str) -> Iterator[Problem]:
    """Yield the problems of a description of a data set or a backbone."""
    if description["name"] != name:
        yield Problem("name", f"{name}, the file's name", description["name"])
    scale = description.get("crop_scale", [0, 1])
    if scale[0] > scale[1]:
        yield Problem("crop_scale", "the smaller share first", scale)
    shares = description.get("shares", {})
    total = sum(share for part, share in shares.items() if part != "seed")
    if shares and abs(total - 1) > 1e-6:
        yield Problem("shares", f"parts that add up to 1, not {total:g}", shares)
    yield from check_block(description.get("released", {}), Options, "released", names=DIFFERING)
    yield from check_learner_options(description.get("learner_options", {}))


def check_suite(
    suite: Mapping[str, Any], files: Mapping[str, Collection[str]]
) -> Iterator[Problem]:
    """Yield the problems of a suite; ``files`` are the existing data sets and backbones."""
    names = {"methods": list(suite["methods"])}
    for key in ("datasets", "backbones"):
        for name in suite[key]:
            yield from check_name(key, name, files[key])
        # References to a name whose declaration is misspelled are not reported too.
        misspelled = not set(suite[key]) <= set(files[key])
        names[key] = list(dict.fromkeys([*suite[key], *(files[key] if misspelled else ())]))
    yield from _check_backbones(suite, files)
    yield from _check_data(suite, files, names)
    yield from _check_methods(suite, names)
    for name, spec in suite["artefacts"].items():
        if wrong := list(check_name("artefacts", name, ARTEFACTS)):
            yield from wrong
        else:
            yield from _check_artefact(suite, name, spec, names)
    drawn = [name for name, fact in suite["facts"].items() if fact["encode"] == "drawn"]
    if suite["encode_together"] and drawn:
        yield Problem("encode_together", f"false, as {drawn[0]} says encode: drawn", True)
    if suite["published"] and not Path(suite["published"]).is_dir():
        yield Problem("published", "a folder that exists, or null", suite["published"])


def _check_backbones(suite: Mapping[str, Any], files: _Names) -> Iterator[Problem]:
    for name in suite["encoders"]:
        yield from check_name("encoders", name, files["backbones"])
        if name in suite["backbones"]:
            yield Problem("encoders", "backbones that are not in backbones already", name)
    for name in suite["backbones"]:
        if suite["backbone_facts"].get(name, {}).get("kind") == "mae":
            hint = "it has no text side; name it in encoders"
            yield Problem("backbones", "models of images and texts", name, hint)


def _check_data(suite: Mapping[str, Any], files: _Names, names: _Names) -> Iterator[Problem]:
    facts, shift = suite["facts"], suite["shift"]
    for name in suite["datasets"]:
        if source := facts.get(name, {}).get("source"):
            yield Problem(
                "datasets", f"few-shot data sets, not a shifted test set of {source}", name
            )
    for name in suite["dataset_options"]:
        yield from check_name("dataset_options", name, names["datasets"])
    if not shift:
        return
    if wrong := list(check_name("shift.source", shift["source"], names["datasets"])):
        yield from wrong
        return
    for name in shift["targets"]:
        yield from check_name("shift.targets", name, files["datasets"])
        if name in facts and facts[name].get("source") != shift["source"]:
            expected = f"shifted test sets of {shift['source']}"
            hint = f"config/datasets/{name}.yaml says source: {facts[name].get('source')}"
            yield Problem("shift.targets", expected, name, hint)


def _check_methods(suite: Mapping[str, Any], names: _Names) -> Iterator[Problem]:
    yield from check_block(suite["options"], Options, "options", released=DIFFERING)
    for name, block in suite["dataset_options"].items():
        yield from check_block(block, Options, f"dataset_options.{name}", released=DIFFERING)
    for name, method in suite["methods"].items():
        where, per_dataset = f"methods.{name}", method.get("dataset_options", {})
        for artefact in method.get("artefacts", ()):
            yield from check_name(f"{where}.artefacts", artefact, comparisons())
        for dataset in per_dataset:
            yield from check_name(f"{where}.dataset_options", dataset, names["datasets"])
        for key in ("backbones", "datasets"):
            for value in method.get(key, ()):
                yield from check_name(f"{where}.{key}", value, names[key])
        try:
            options = options_of(method["learner"])
        except LearnerError as error:
            yield learner_problem(f"{where}.learner", method["learner"], error)
            continue
        own = [name for name in options.types() if name != "mode"]
        blocks = {"options": method.get("options", {})}
        blocks |= {f"dataset_options.{dataset}": block for dataset, block in per_dataset.items()}
        for key, block in blocks.items():
            yield from check_block(block, options, f"{where}.{key}", released=own)


def _check_artefact(
    suite: Mapping[str, Any], name: str, spec: Mapping[str, Any], names: _Names
) -> Iterator[Problem]:
    where, artefact, needed = f"artefacts.{name}", ARTEFACTS[name], required(name)
    allowed = needed | {"backbones", "datasets"}
    allowed |= {"differences"} if artefact.rows == "differences" else set()
    for key in sorted(needed - set(spec)):
        yield Problem(f"{where}.{key}", "a value", NOTHING)
    for key in sorted(set(spec) - allowed):
        expected = f"a key of this artefact ({', '.join(sorted(allowed))})"
        yield Problem(f"{where}.{key}", expected, spec[key])
    if artefact.shots == "one" and len(spec.get("shots", ())) > 1:
        yield Problem(f"{where}.shots", "one number of shots", spec["shots"])
    if artefact.of_source and not suite["shift"]:
        yield Problem("shift", f"source and targets, for {where}", suite["shift"])
    for key in ("backbones", "datasets"):
        for value in spec.get(key, ()):
            yield from check_name(f"{where}.{key}", value, names[key])
    yield from _check_shots(suite, name, spec)
    if artefact.rows in ("values", "differences") and needed <= set(spec):
        if wrong := list(check_name(f"{where}.method", spec["method"], names["methods"])):
            yield from wrong
        else:
            yield from check_varied(suite, where, spec)


def _check_shots(suite: Mapping[str, Any], name: str, spec: Mapping[str, Any]) -> Iterator[Problem]:
    source_only = [(suite["shift"] or {}).get("source")] if ARTEFACTS[name].of_source else None
    for dataset in source_only or spec.get("datasets", suite["datasets"]):
        fact = suite["facts"].get(dataset, {})
        counts = fact.get("counts", {})
        if fact.get("repeat") or "source" in fact or not counts:
            continue  # drawn with replacement, refused elsewhere, or not counted
        if "smallest" in counts:
            most, why = counts["smallest"], "its smallest class has no more training images"
        else:
            # No class can have more than the mean has, so beyond it some class has too few.
            most = counts["train"] // counts["classes"] if counts["classes"] else 0
            why = f"it has {counts['train']} training images of {counts['classes']} classes"
        for shots in spec.get("shots", ()):
            if shots > most:
                yield Problem(
                    f"artefacts.{name}.shots", f"at most {most} for {dataset}", shots, why
                )
