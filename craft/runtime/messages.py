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


def near(name: Any, known: Iterable[str]) -> str:
    """Return which of the known names may have been meant; nothing where none is alike."""
    alike = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"did you mean {alike[0]!r}?" if alike else ""
