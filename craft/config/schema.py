"""Values held against a schema: what is wrong in words, and what is left once that is dropped."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema

from craft.files import strict_yaml
from craft.runtime.messages import shown, unknown

SCHEMAS = Path(__file__).resolve().parents[2] / "workflow" / "schemas"


def _is_whole(checker: Any, value: Any) -> bool:
    """JSON Schema's integer, less 1.0: as a part of a path that is another number than 1."""
    return isinstance(value, int) and not isinstance(value, bool)


@functools.cache
def _validator(schema_name: str) -> Any:
    schema = strict_yaml.read(SCHEMAS / f"{schema_name}.schema.yaml")
    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", _is_whole)
    return jsonschema.validators.extend(base, type_checker=checker)(schema)


def validated(
    given: dict[str, Any], schema_name: str, source: str, problems: list[str]
) -> dict[str, Any]:
    """What of ``given`` the schema accepts, with defaults; the rest goes to ``problems``."""
    validator = _validator(schema_name)
    errors = sorted(validator.iter_errors(given), key=lambda error: list(map(str, error.path)))
    # Of a value of another type nothing more is worth saying.
    alien = {tuple(error.path) for error in errors if error.validator == "type"}
    errors = [e for e in errors if e.validator == "type" or tuple(e.path) not in alien]
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
        "maxProperties": "at most {} entries",
        "uniqueItems": "entries that differ",
    }
    # The library's own message may hold braces.
    word = words.get(error.validator)
    return error.message if word is None else word.format(rule)
