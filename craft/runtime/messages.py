"""Parts of messages: a value on one line, and suggestions for an unknown name."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist, _REPR.maxtuple = 3, 8, 20, 20
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = 120


def shown(value: Any) -> str:
    """Return a value on one line of a message, truncated if it is long."""
    try:
        return _REPR.repr(value)
    except ValueError:
        return f"a {type(value).__name__} of thousands of digits"


def near(name: Any, known: Iterable[str]) -> str:
    """Return a suggestion among the known names; empty if none is similar."""
    alike = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f"did you mean {alike[0]!r}?" if alike else ""
