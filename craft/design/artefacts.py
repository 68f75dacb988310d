"""The registry of tables and figures: name, place in the paper, rows and columns, captions, and the
function that makes each.

To add a table, add an entry to ``paper_artefacts`` or ``own_artefacts`` and the function that it
names. Fields of the entry (rows, shots, data sets) decide which runs it needs; no other module
knows an artefact by name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any

from craft.design.artefact import Artefact
from craft.design.own_artefacts import OWN
from craft.design.paper_artefacts import PAPER

ARTEFACTS: dict[str, Artefact] = {}


def register(artefact: Artefact) -> None:
    """Add an artefact to the registry, whose order is the paper's.

    Raises ValueError for a name that is taken.
    """
    if artefact.name in ARTEFACTS:
        raise ValueError(f"artefact {artefact.name!r}: expected a name that is not taken")
    ARTEFACTS[artefact.name] = artefact


def tables() -> Iterator[Artefact]:
    """Yield the tables in the paper's order."""
    return (artefact for artefact in ARTEFACTS.values() if artefact.kind == "table")


def figures() -> Iterator[Artefact]:
    """Yield the figures in the paper's order."""
    return (artefact for artefact in ARTEFACTS.values() if artefact.kind == "figure")


def comparisons() -> tuple[str, ...]:
    """Return the names of artefacts whose rows are methods, which show all methods by default."""
    return tuple(name for name, artefact in ARTEFACTS.items() if artefact.rows == "methods")


def maker(artefact: Artefact) -> Callable[..., Any]:
    """Return the function that makes an artefact."""
    return getattr(importlib.import_module(artefact.module), artefact.make.partition(":")[2])


def required(name: str) -> set[str]:
    """Return the keys that a suite must give an artefact."""
    artefact = ARTEFACTS[name]
    keys = set() if artefact.shots == "none" else {"shots"}
    if artefact.rows == "values":
        keys |= {"datasets", "method", "option", "values"}
    return keys | ({"method"} if artefact.rows == "differences" else set())


# Tables before figures, the paper's before this project's.
for _artefact in sorted((*PAPER, *OWN), key=lambda each: each.kind != "table"):
    register(_artefact)
