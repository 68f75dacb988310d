"""The configuration of a suite: read, merged with its data sets' and backbones' facts, validated.

Runs at parse time of the workflow: no table library, no torch. ``python -m craft.config FILE ...``
says what is wrong with files that Snakemake merges, also where its own reader says less.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from craft.config.folder_checks import check_places
from craft.config.option_checks import check_runs
from craft.config.schema import validated
from craft.config.suite_checks import check_facts, check_suite
from craft.data.surveys import notices, survey_own_images
from craft.files import shipped, strict_yaml
from craft.files.strict_yaml import PlainError
from craft.runtime.messages import unknown


class ConfigError(ValueError):
    """Everything that is wrong with a configuration, one line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        super().__init__(f"{count} in the configuration\n" + "\n".join(f"- {p}" for p in problems))


def load(
    config: str | os.PathLike[str] | Mapping[str, Any],
    root: str | os.PathLike[str] = ".",
    source: str | None = None,
) -> dict[str, Any]:
    """The configuration with defaults filled in and the facts that it names merged.

    Adds ``facts`` (data set -> its YAML) and ``backbone_facts`` (backbone -> its YAML), both read
    below ``config`` of ``root``, the working folder, or else of the project, and ``notices``, what
    a user should know though nothing is wrong. ``source`` names a mapping's origin in messages.
    Raises ConfigError with all problems at once.
    """
    root = Path(root)
    problems: list[str] = []
    if isinstance(config, Mapping):
        source = source or "config"
        if problems := [f"{source}: {problem}" for problem in strict_yaml.check(config)]:
            raise ConfigError(problems)
        given = copy.deepcopy(dict(config))
    else:
        source = source or os.fspath(config)
        given = read(config)
    suite = validated(given, "config", source, problems)
    files = {
        "datasets": shipped.names(shipped.DATASETS, root),
        "backbones": shipped.names(shipped.BACKBONES, root),
    }
    facts: dict[str, dict[str, Any]] = {folder: {} for folder in files}
    for key, schema, names in (
        ("datasets", "dataset", suite.get("datasets", ())),
        ("shift.targets", "dataset", (suite["shift"] or {}).get("targets", ())),
        ("backbones", "backbone", suite.get("backbones", ())),
    ):
        folder = f"{schema}s"
        for name in names:
            path = Path("config") / folder / f"{name}.yaml"
            if name not in files[folder]:
                problems.append(f"{source}: {key}: {unknown(name, files[folder])}")
                continue
            fact, found = described(path, root, schema)
            problems += found
            if fact is not None:
                facts[folder][name] = fact
                if fact.get("weights"):
                    fact["weights"] = os.fspath(shipped.find(fact["weights"], root))
    if suite["published"]:
        suite["published"] = os.fspath(shipped.find(suite["published"], root))
    merged = {**suite, "facts": facts["datasets"], "backbone_facts": facts["backbones"]}
    problems += [f"{source}: {problem}" for problem in check_suite(merged, given, files)]
    problems += [f"{source}: {problem}" for problem in check_places(merged, given, root)]
    surveys, found = survey_own_images(merged, root)
    problems += found
    for name, own in surveys.items():
        facts["datasets"][name].setdefault("counts", own.counts)
    problems = problems or [f"{source}: {problem}" for problem in check_runs(merged)]
    if problems:
        raise ConfigError(list(dict.fromkeys(problems)))
    return in_key_order(merged) | {
        "methods": {name: in_key_order(spec) for name, spec in merged["methods"].items()},
        "notices": list(notices(merged, surveys, root)),
    }


def in_key_order(value: Any) -> Any:
    """Return a value with the keys of all its mappings sorted.

    Keys written in another order are the same configuration, which must re-run nothing. The order
    of methods is that of rows, and of lists that of columns.
    """
    if isinstance(value, Mapping):
        return {key: in_key_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_key_order(entry) for entry in value]
    return value


def described(path: Path, root: Path, schema: str) -> tuple[dict[str, Any] | None, list[str]]:
    """What the file of a data set or a backbone says, with defaults, and what is wrong with it."""
    problems: list[str] = []
    try:
        fact = validated(read(shipped.find(path, root)), schema, str(path), problems)
    except ConfigError as error:
        return None, list(error.problems)
    return fact, [*problems, *check_facts(fact, path)]


def typed(value: Any) -> Any:
    """A value of ``--config`` as a YAML file would have it.

    Snakemake leaves null and whatever is nested in a value as text; what a file may not hold stays.
    """
    if isinstance(value, Mapping):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    if not isinstance(value, str):
        return value
    try:
        read = strict_yaml.parse(value)
    except (ValueError, yaml.YAMLError):
        return value
    return read if read is None or isinstance(read, (bool, int, float)) else value


def check_files(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Refuse files of which another reader may have made something else, all at once.

    For those that Snakemake has read already: it takes the last of two equal keys, and tags.
    Raises ConfigError.
    """
    problems: list[str] = []
    for path in paths:
        try:
            read(path)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the content of a configuration file; raises ConfigError."""
    try:
        return strict_yaml.read(path)
    except PlainError as error:
        raise ConfigError(error.problems) from error
