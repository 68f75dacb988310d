"""Read dataclasses from files with a check of every field and its type."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import reprlib
from collections.abc import Sequence
from dataclasses import MISSING
from typing import Any, NotRequired, TypeVar, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from craft.files.atomic import RecordError

T = TypeVar("T")

#: ``__pydantic_config__`` of a dataclass inside one that is read from files.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=True)


def build(cls: type[T], value: Any, path: str | os.PathLike[str], what: str) -> T:
    """Return an instance of a dataclass from the content of ``path``; lists become tuples.

    Raises RecordError for missing or unknown fields, and for another type than declared; the error
    says that the file is not a ``what``.
    """
    fields: TypeAdapter[dict[str, Any]] = _fields(cls)  # type: ignore[arg-type]
    try:
        try:
            found = fields.validate_json(json.dumps(value))
        except TypeError:  # arrays, whose lists are tuples by then
            found = fields.validate_python(value)
    except ValidationError as error:
        raise RecordError(f"{path}: not a {what} ({_problem(error.errors()[0])})") from None
    return cls(**found)


@functools.cache
def _fields(cls: Any) -> TypeAdapter[dict[str, Any]]:
    """Return a check of the fields of a dataclass."""
    hints = get_type_hints(cls)
    declared = {
        field.name: hints[field.name]
        if field.default is MISSING and field.default_factory is MISSING
        else NotRequired[hints[field.name]]
        for field in dataclasses.fields(cls)
    }
    make: Any = TypedDict  # called at run time, of which a type checker knows nothing
    table = make(cls.__name__, declared)
    table.__pydantic_config__ = STRICT
    return TypeAdapter(table)


def _problem(error: Any) -> str:
    place = _place(error["loc"])
    if error["type"] == "missing":
        return f"lacks {place}"
    if error["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"unknown {place}"
    expected = error["msg"].replace("Input should be", "expected")
    return f"{place or 'its content'}: {expected}, got {reprlib.repr(error['input'])}"


def _place(location: Sequence[str | int]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")
