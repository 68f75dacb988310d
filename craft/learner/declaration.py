"""Declarations of options, and the problems of invalid values."""

from __future__ import annotations

import functools
import math
import typing
from collections.abc import Mapping
from dataclasses import field, fields
from types import MappingProxyType, NoneType, UnionType
from typing import Any, NamedTuple


class Range(NamedTuple):
    """Numbers that an option accepts: at least ``least`` or above ``above``, at most ``most``."""

    least: float = -math.inf
    above: float = -math.inf
    most: float = math.inf

    def accepts(self, value: float) -> bool:
        """Return whether a number lies within the range."""
        return value >= self.least and value > self.above and value <= self.most

    def __str__(self) -> str:
        words = (("at least", self.least), ("above", self.above), ("at most", self.most))
        return " and ".join(f"{word} {end:,}" for word, end in words if math.isfinite(end))


class Problem(NamedTuple):
    """An invalid value of an option: what was expected, and what was given."""

    option: str
    value: Any
    expected: str

    def __str__(self) -> str:
        return f"{self.option}: expected {self.expected}, got {self.value!r}"


class OptionError(ValueError):
    """All problems of a learner's options."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"option {problem}" for problem in problems))


def option(
    default: Any,
    doc: str,
    *,
    accepted: tuple[Any, ...] | None = None,
    compare: bool = True,
    **ends: float,
) -> Any:
    """Declare an option of a learner: its default, one line of documentation, accepted values.

    An option accepts the values ``accepted``, or numbers within the ``ends`` of a :class:`Range`,
    and null if its type includes None. With ``compare`` false, another value makes the same run.
    """
    metadata = {"doc": doc, "accepted": accepted, "range": Range(**ends) if ends else None}
    return field(default=default, compare=compare, metadata=metadata)


#: Type in the annotation of an option -> how a message names it.
TYPES: dict[type, str] = {int: "int", float: "float", str: "str", bool: "bool", NoneType: "null"}


@functools.cache
def types_of(cls: type) -> Mapping[str, tuple[type, ...]]:
    """Return the types that each option of a class accepts.

    Raises TypeError for a class that is not a frozen dataclass, and for other annotations.
    """
    if "__dataclass_fields__" not in vars(cls):
        raise TypeError(f"{cls.__qualname__}: expected a class under @dataclass(frozen=True)")
    hints = typing.get_type_hints(cls)
    found = {}
    for known in fields(cls):
        hint = hints[known.name]
        kinds = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
        if unknown := [kind for kind in kinds if kind not in TYPES]:
            raise TypeError(
                f"{cls.__qualname__}.{known.name}: expected an annotation of int, float, str, bool "
                f"or None, got {unknown[0]}"
            )
        found[known.name] = kinds
    return MappingProxyType(found)
