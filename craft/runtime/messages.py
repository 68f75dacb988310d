"""Words that messages share: a value in one line, and the names near an unknown one."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist, _REPR.maxtuple = 3, 8, 20, 20
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 120


def shown(value: Any) -> str:
    """Return a value in one line of a message, cut where it is long."""
    try:
        return _REPR.repr(value)
    except ValueError:
        return f"a {type(value).__name__} of thousands of digits"


def unknown(name: str, known: Iterable[str]) -> str:
    """Return what to say of a name that is none of ``known``, the nearest one first."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"unknown name {shown(name)}; {hint}Known: {', '.join(known)}"
