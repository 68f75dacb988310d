"""A set of options: built from what is given, or refused by the one check that there is."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType, NoneType
from typing import Any, ClassVar, Self

from craft.learner.declaration import TYPES, OptionError, Problem, types_of


@dataclass(frozen=True)
class OptionSet:
    """What any set of options does: :meth:`resolve` builds it, :meth:`problems` judges values."""

    #: What mode released sets below all that is given.
    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @classmethod
    def problems(cls, values: Mapping[str, Any], *, whole: bool = True) -> list[Problem]:
        """Return the problems of given option values, in the order of the options.

        The one check of options: names, types, values, ranges, and where these are right, what
        holds between options. ``whole`` says that ``values`` are all that is given; a part of it
        may be right only beside the rest.
        """
        found = [problem for name in values for problem in cls._check(name, values[name])]
        if not found and whole:
            found += cls(**(cls._preset(values) | dict(values))).conflicts()
        return found

    @classmethod
    def resolve(cls, values: Mapping[str, Any]) -> Self:
        """Return the defaults, below what the mode sets, below ``values``.

        Raises OptionError with all problems.
        """
        if found := cls.problems(values):
            raise OptionError(found)
        types = cls.types()
        chosen = cls._preset(values) | dict(values)
        # 1 and 1.0 are one number: resolved options, and what is hashed of them, are alike.
        numbers = {
            name: float(value)
            for name, value in chosen.items()
            if isinstance(value, int) and not isinstance(value, bool) and int not in types[name]
        }
        return cls(**(chosen | numbers))

    @classmethod
    def types(cls) -> Mapping[str, tuple[type, ...]]:
        """Return the types that each option accepts; raises TypeError for an annotation of others.

        To Python a bool is an int; to a reader of a configuration it is not.
        """
        return types_of(cls)  # type: ignore[arg-type]  # a class is hashable

    @classmethod
    def _preset(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        return dict(cls.RELEASED) if values.get("mode") == "released" else {}

    @classmethod
    def _check(cls, name: str, value: Any) -> Iterator[Problem]:
        """Yield the problem of one option's value."""
        types = cls.types()
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else ", ".join(sorted(types))
            yield Problem(name, value, f"an option of the learner ({hint})")
            return
        known = cls.__dataclass_fields__[name]
        accepted, numbers = known.metadata["accepted"], known.metadata["range"]
        allowed = (*types[name], int) if float in types[name] else types[name]
        null = ", or null" if NoneType in types[name] else ""
        if type(value) not in allowed:
            yield Problem(name, value, " or ".join(TYPES[kind] for kind in types[name]))
        elif accepted and value not in accepted:
            yield Problem(name, value, f"one of {', '.join(map(str, accepted))}")
        elif numbers and value is not None and not numbers.accepts(value):
            yield Problem(name, value, f"{numbers}{null}")

    def conflicts(self) -> list[Problem]:
        """Return the problems of values that are right one by one and not beside each other."""
        return []

    def as_dict(self) -> dict[str, Any]:
        """Return every option and its value, sorted by name."""
        return dict(sorted(vars(self).items()))
