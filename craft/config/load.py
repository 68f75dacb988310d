"""The configuration of a suite: read from its files, validated in two steps, completed.

Runs at parse time of the workflow: no table library, no torch. ``python -m craft.config FILE ...``
does the same without Snakemake.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from craft.config.folder_checks import check_folders
from craft.config.option_checks import check_runs
from craft.config.problems import ConfigError, Problem, Words, of_file, unreadable
from craft.config.schema import schema_problems
from craft.config.suite_checks import check_description, check_suite
from craft.data.surveys import notices, survey_own_images
from craft.files import shipped, yaml12
from craft.files.descriptions import complete
from craft.files.yaml12 import YamlError

#: Kind of a description -> its folder.
_FOLDERS = {"dataset": shipped.DATASETS, "backbone": shipped.BACKBONES}


def merged(
    paths: Sequence[str | os.PathLike[str]], overrides: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the merged content of files; later files override earlier ones, key by key.

    ``overrides`` are values of ``--config``, which override all files. Merges mappings as Snakemake
    does. Raises ConfigError naming every unreadable file.
    """
    contents, problems = [], []
    for path in paths:
        try:
            contents.append(yaml12.read(path))
        except YamlError as error:
            problems.append(unreadable(error))
    if problems:
        raise ConfigError(problems)
    return functools.reduce(_over, [*contents, typed(overrides or {})])


def _over(below: Any, above: Any) -> Any:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    common = {key: _over(below[key], above[key]) for key in above if key in below}
    return {**below, **above, **common}


def typed(value: Any) -> Any:
    """Return a value of ``--config`` with the type that it would have in a YAML file.

    Snakemake leaves null and nested values as text.
    """
    if isinstance(value, Mapping):
        return {key: typed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [typed(entry) for entry in value]
    try:
        read = yaml12.parse(value) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value
    return value if isinstance(read, (str, list, dict)) else read


def load(
    config: str | os.PathLike[str] | Mapping[str, Any],
    root: str | os.PathLike[str] = ".",
    source: str | None = None,
) -> dict[str, Any]:
    """Return the configuration with defaults filled in and the descriptions that it names.

    Adds ``facts`` (data set -> its description) and ``backbone_facts`` (backbone -> its own), read
    below ``config`` of ``root``, the working folder, or else of the project, and ``notices``, what
    a user should know though nothing is wrong. ``source`` names a mapping's origin in messages.
    Raises ConfigError with all problems of the schemas, or else with all others.
    """
    root = Path(root)
    if not isinstance(config, Mapping):
        source, config = source or os.fspath(config), merged([config])
    source = source or "config"
    problems = of_file(source, schema_problems(config, "config"))
    descriptions: dict[str, dict[str, Any]] = {"dataset": {}, "backbone": {}}
    for kind, name in _named(config):
        if name not in shipped.names(_FOLDERS[kind], root):
            continue
        path = f"{_FOLDERS[kind]}/{name}.yaml"
        try:
            description = yaml12.read(shipped.find(path, root))
        except YamlError as error:
            problems.append(unreadable(error)._replace(source=path))
            continue
        problems += of_file(path, schema_problems(description, kind))
        descriptions[kind][name] = complete(description, kind)
    if problems:
        raise ConfigError(problems)

    suite = complete(config, "config")
    suite |= {"facts": descriptions["dataset"], "backbone_facts": descriptions["backbone"]}
    if suite["published"]:
        suite["published"] = os.fspath(shipped.find(suite["published"], root))
    for description in suite["backbone_facts"].values():
        if description["weights"]:
            description["weights"] = os.fspath(shipped.find(description["weights"], root))
    for kind in descriptions:
        for name, description in descriptions[kind].items():
            path = f"{_FOLDERS[kind]}/{name}.yaml"
            problems += of_file(path, check_description(description, name))
    surveys = survey_own_images(suite, root)
    for name, survey in surveys.items():
        if not survey.problems:
            suite["facts"][name].setdefault("counts", survey.counts)
        expected = "images as in docs/your-own-data.md"
        wrong = (Problem("root", expected, Words(text)) for text in survey.problems)
        problems += of_file(f"config/datasets/{name}.yaml", wrong)
    files = {f"{kind}s": shipped.names(folder, root) for kind, folder in _FOLDERS.items()}
    problems += of_file(source, check_suite(suite, files))
    problems += of_file(source, check_folders(suite, root))
    problems = problems or of_file(source, check_runs(suite))
    if problems:
        raise ConfigError(problems)
    return in_key_order(suite) | {
        "methods": {name: in_key_order(spec) for name, spec in suite["methods"].items()},
        "notices": list(notices(suite, surveys, root)),
    }


def _named(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of each description that a suite names, of any types."""
    shift = config.get("shift")
    targets = shift.get("targets") if isinstance(shift, Mapping) else None
    lists = (("dataset", config.get("datasets")), ("dataset", targets))
    backbones = (("backbone", config.get(key)) for key in ("backbones", "encoders"))
    for kind, names in (*lists, *backbones):
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                yield kind, name


def in_key_order(value: Any) -> Any:
    """Return a value with the keys of all its mappings sorted.

    Another order of keys is the same configuration and must run nothing again. The order of methods
    is that of rows, and the order of lists that of columns.
    """
    if isinstance(value, Mapping):
        return {key: in_key_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_key_order(entry) for entry in value]
    return value
