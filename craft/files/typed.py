"""What a file holds against what a dataclass declares: every field there, and of its type."""

from __future__ import annotations

import functools
import math
import os
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

from craft.files.atomic import RecordError

T = TypeVar("T")

_WORDS = {
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    dict: "names and their values",
    list: "a list",
    tuple: "a list",
    np.ndarray: "an array",
}


class _Wrong(Exception):
    """What is wrong with a value, and at which place."""


def build(cls: type[T], value: Any, path: str | os.PathLike[str], what: str) -> T:
    """An instance of a dataclass from what the file ``path`` holds; lists become its tuples.

    Raises RecordError, which calls the file no ``what``: fields that lack, are unknown, or hold
    what the declared type is not.
    """
    try:
        return _instance(cls, value, "")
    except _Wrong as wrong:
        raise RecordError(f"{path}: not a {what} ({wrong})") from None


def _instance(cls: type[T], value: Any, place: str) -> T:
    """An instance of a dataclass from a mapping; raises _Wrong."""
    if not isinstance(value, Mapping):
        raise _wrong(value, dict, place)
    required, hints = _declared(cls)
    if missing := [name for name in required if name not in value]:
        raise _Wrong(f"lacks {place}{missing[0]!r}")
    if unknown := [name for name in value if name not in hints]:
        raise _Wrong(f"unknown {place}{reprlib.repr(unknown[0])}")
    return cls(**{name: _typed(entry, hints[name], place + name) for name, entry in value.items()})


def _wrong(value: Any, kind: type, place: str) -> _Wrong:
    accepted = _WORDS.get(kind, kind.__name__)
    return _Wrong(f"{place or 'its content'} = {reprlib.repr(value)}: accepted: {accepted}")


@functools.cache
def _declared(cls: type) -> tuple[list[str], dict[str, Any]]:
    """Names of the fields without a default, and the types of all."""
    hints, own = typing.get_type_hints(cls), fields(cls)
    required = [f.name for f in own if f.default is MISSING and f.default_factory is MISSING]
    return required, {f.name: hints[f.name] for f in own}


def _typed(value: Any, hint: Any, place: str) -> Any:
    """The value, if it is what ``hint`` says; raises _Wrong naming its ``place`` otherwise."""
    if hint is Any:
        return value
    kind, inner = typing.get_origin(hint) or hint, typing.get_args(hint)
    if kind is types.UnionType:  # X | None
        try:
            return None if value is None else _typed(value, inner[0], place)
        except _Wrong as wrong:
            raise _Wrong(f"{wrong} or null") from None
    if is_dataclass(kind):
        return _instance(kind, value, f"{place}.")
    if kind is dict and isinstance(value, dict):
        return {key: _typed(each, inner[1], f"{place}.{key}") for key, each in value.items()}
    if kind in (list, tuple) and isinstance(value, list | tuple):
        return kind(_typed(each, inner[0], f"{place}[{n}]") for n, each in enumerate(value))
    number = kind is float and isinstance(value, int)
    finite = not isinstance(value, float) or math.isfinite(value)
    right = kind not in (dict, list, tuple) and (isinstance(value, kind) or number)
    if not (right and finite) or (isinstance(value, bool) and kind is not bool):
        raise _wrong(value, kind, place)
    return value
