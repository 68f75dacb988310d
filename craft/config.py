"""The configuration of a suite: read, merged with its data sets' and backbones' facts, validated.

Runs at parse time of the workflow: no table library, no torch.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from craft import plain
from craft.check_modes import check_runs
from craft.checks import check_facts, check_suite, survey_own_images, unknown
from craft.plain import PlainError, shown

SCHEMAS = Path(__file__).resolve().parent.parent / "workflow" / "schemas"


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
    below ``root``/config. ``source`` names a mapping's origin in messages. Raises ConfigError
    with all problems at once.
    """
    root = Path(root)
    problems: list[str] = []
    if isinstance(config, Mapping):
        source = source or "config"
        if problems := [f"{source}: {problem}" for problem in plain.check(config)]:
            raise ConfigError(problems)
        given = copy.deepcopy(dict(config))
    else:
        source = source or os.fspath(config)
        given = _read(config)
    suite = _validated(given, "config", source, problems)
    names = {
        "datasets": [*suite.get("datasets", ()), *(suite["shift"] or {}).get("targets", ())],
        "backbones": list(suite.get("backbones", ())),
    }
    facts: dict[str, dict[str, Any]] = {}
    for folder, schema in (("datasets", "dataset"), ("backbones", "backbone")):
        facts[folder] = {}
        known = sorted(path.stem for path in (root / "config" / folder).glob("*.yaml"))
        for name in dict.fromkeys(names[folder]):
            path = Path("config") / folder / f"{name}.yaml"
            if name not in known:
                problems.append(f"{source}: {folder}: {unknown(name, known)}")
                continue
            try:
                fact = _validated(_read(root / path), schema, str(path), problems)
            except ConfigError as error:
                problems += error.problems
                continue
            problems += check_facts(fact, path)
            facts[folder][name] = fact
    merged = {**suite, "facts": facts["datasets"], "backbone_facts": facts["backbones"]}
    problems += [f"{source}: {problem}" for problem in check_suite(merged, root)]
    counts, found = survey_own_images(merged, root)
    problems += found
    for name in counts:
        facts["datasets"][name].setdefault("counts", counts[name])
    problems = problems or [f"{source}: {problem}" for problem in check_runs(merged)]
    if problems:
        raise ConfigError(problems)
    return merged


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
        read = plain.parse(value)
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
            _read(path)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)


def _read(path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        return plain.read(path)
    except PlainError as error:
        raise ConfigError(error.problems) from error


def _is_whole(checker: Any, value: Any) -> bool:
    """JSON Schema's integer, less 1.0: as a part of a path that is another number than 1."""
    return isinstance(value, int) and not isinstance(value, bool)


@functools.cache
def _validator(schema_name: str) -> Any:
    schema = plain.read(SCHEMAS / f"{schema_name}.schema.yaml")
    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", _is_whole)
    return jsonschema.validators.extend(base, type_checker=checker)(schema)


def _validated(
    given: dict[str, Any], schema_name: str, source: str, problems: list[str]
) -> dict[str, Any]:
    """What of ``given`` the schema accepts, with defaults; the rest goes to ``problems``."""
    validator = _validator(schema_name)
    errors = sorted(validator.iter_errors(given), key=lambda error: list(map(str, error.path)))
    accepted = copy.deepcopy(given)
    for error in errors:
        problems += [f"{source}: {text}" for text in _describe(error)]
    # Deepest first, and from a list's end, so that what is left can be checked further.
    for error in sorted(errors, key=_depth, reverse=True):
        _remove(accepted, list(error.path), _unknown_keys(error))
    for key, declared in validator.schema["properties"].items():
        if "default" in declared:
            accepted.setdefault(key, copy.deepcopy(declared["default"]))
    return accepted


def _depth(error: jsonschema.ValidationError) -> tuple[int, list[tuple[int, str]]]:
    steps = [(step, "") if isinstance(step, int) else (0, step) for step in error.path]
    return len(steps), steps


def _unknown_keys(error: jsonschema.ValidationError) -> list[str]:
    if error.validator != "additionalProperties" or error.validator_value is not False:
        return []
    return [key for key in error.instance if key not in error.schema.get("properties", {})]


def _remove(value: Any, path: list[Any], keys: list[str]) -> None:
    """Drop ``keys`` of what is at ``path``; without keys, what is at ``path`` itself."""
    path = [*path, None] if keys else path
    for step in path[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return  # already dropped
    for key in keys or path[-1:]:
        if isinstance(value, dict):
            value.pop(key, None)
        elif isinstance(value, list) and key < len(value):
            del value[key]


def _describe(error: jsonschema.ValidationError) -> Iterator[str]:
    key = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.path).lstrip(".")
    where = f"{key}: " if key else ""
    if keys := _unknown_keys(error):
        known = error.schema.get("properties", {})
        for name in keys:
            yield f"{where}{name} = {shown(error.instance[name])}: {unknown(str(name), known)}"
    elif error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        name = next(name for name in missing if repr(name) in error.message)
        about = error.schema.get("properties", {}).get(name, {}).get("description", "")
        yield f"{where}{name} is missing. {about}".rstrip()
    elif error.validator == "not":
        kind = error.instance.get("kind") if isinstance(error.instance, dict) else None
        yield f"{where}has keys that do not belong to kind {kind!r}"
    else:
        about = error.schema.get("description", "")
        given = f"{key or 'the file'} = {shown(error.instance)}"
        yield f"{given}: accepted: {_accepted(error)}. {about}"


def _accepted(error: jsonschema.ValidationError) -> str:
    """The rule that a value broke, in words."""
    rule = error.validator_value
    if error.validator == "type":
        return " or ".join([rule] if isinstance(rule, str) else rule)
    if error.validator == "enum":
        return ", ".join(map(str, rule))
    words = {
        "minimum": "at least {}",
        "maximum": "at most {}",
        "pattern": "text that matches {}",
        "minItems": "{} or more entries",
        "maxItems": "at most {} entries",
        "minLength": "{} or more characters",
        "minProperties": "{} or more entries",
        "uniqueItems": "entries that differ",
    }
    return words.get(error.validator, error.message).format(rule)
