"""First step of validation: check values against a JSON schema."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema

from craft.config.problems import NOTHING, Problem, Words
from craft.files.descriptions import schema
from craft.runtime.messages import near

#: JSON Schema's type -> its name in errors and pages.
TYPES = {
    "array": "a list",
    "object": "a mapping",
    "string": "text",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "null": "null",
}
_RULES = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "pattern": "text that matches {}",
    "minItems": "{} or more entries",
    "maxItems": "at most {} entries",
    "minLength": "{} or more characters",
    "minProperties": "{} or more entries",
    "uniqueItems": "entries that differ",
}


def _is_whole(checker: Any, value: Any) -> bool:
    """JSON Schema's integer, less 1.0: as a part of a path that is another number than 1."""
    return isinstance(value, int) and not isinstance(value, bool)


@functools.cache
def _validator(kind: str) -> Any:
    base = jsonschema.Draft202012Validator
    checker = base.TYPE_CHECKER.redefine("integer", _is_whole)
    return jsonschema.validators.extend(base, type_checker=checker)(schema(kind))


def schema_problems(value: Mapping[str, Any], kind: str) -> Iterator[Problem]:
    """Yield the problems of a ``config``, ``dataset`` or ``backbone``, in the order of keys."""
    found = _validator(kind).iter_errors(value)
    errors = sorted(found, key=lambda error: list(map(str, error.path)))
    # For a value of the wrong type, further problems are not reported.
    alien = {tuple(error.path) for error in errors if error.validator == "type"}
    for error in errors:
        if error.validator == "type" or tuple(error.path) not in alien:
            yield from _described(error, schema(kind)["properties"])


def _described(error: jsonschema.ValidationError, top: Mapping[str, Any]) -> Iterator[Problem]:
    path, rule, value = _joined(error.path), error.validator_value, error.instance
    known = error.schema.get("properties", {}) if error.path else top
    if error.validator == "additionalProperties":
        for key in (key for key in value if key not in known):
            hint = near(key, known) or f"known: {', '.join(known)}"
            yield Problem(_joined([*error.path, key]), "a known key", value[key], hint)
    elif error.validator == "required":
        name = next(key for key in rule if key not in value and repr(key) in error.message)
        kind = _type(known.get(name, {}).get("type")) or "a value"
        hint = known.get(name, {}).get("description", "")
        yield Problem(_joined([*error.path, name]), kind, NOTHING, hint)
    elif error.validator == "not":
        rules = rule.get("anyOf", [rule])
        foreign = [key for entry in rules for key in entry["required"] if key in value]
        expected = f"keys of kind {value.get('kind')!r}"
        yield Problem(path, expected, Words(", ".join(foreign)))
    else:
        name = value if "propertyNames" in error.schema_path else None
        where = path if name is None else _joined([*error.path, name])
        yield Problem(where, _accepted(error), value, error.schema.get("description", ""))


def _joined(steps: Any) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return text.removeprefix(".")


def _type(names: str | list[str] | None) -> str:
    return " or ".join(TYPES[name] for name in ([names] if isinstance(names, str) else names or ()))


def _accepted(error: jsonschema.ValidationError) -> str:
    """Return the violated rule in words."""
    rule = error.validator_value
    if error.validator == "type":
        return _type(rule)
    if error.validator == "enum":
        return f"one of {', '.join(map(str, rule))}"
    return _RULES[error.validator].format(rule)
