"""Whether the folders of a suite can be: where they lie, and who may write there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from craft.runtime.provenance import ROOT

#: Folders of the project that nothing is written into.
SOURCES = (
    ".git",
    "benchmarks",
    "config",
    "craft",
    "docs",
    "envs",
    "profiles",
    "tests",
    "workflow",
)
#: Bytes of a name, as file systems have them, and of a folder's path, to which names are added.
_NAME, _PATH = 255, 1000


def check_places(suite: Mapping[str, Any], given: Mapping[str, Any], root: Path) -> Iterator[str]:
    """Problems of ``results`` and ``data``, which relate to the working folder ``root``; neither it
    nor the project's own is written into. A value that was refused is not looked at: the suite has
    the default then."""
    real = {
        key: Path(os.path.realpath(suite[key]))
        for key in ("results", "data")
        if given.get(key, suite[key]) == suite[key]
    }
    for key, place in real.items():
        problems = (
            _misplaced(place, root.resolve()),
            _misplaced(place, ROOT),
            _unwritable(Path(os.path.abspath(suite[key]))),
        )
        if any(problems):
            yield f"{key} = {suite[key]!r}: {next(filter(None, problems))}"
    if "data" in real and (missing := list(_missing_below(Path(suite["data"]), suite["facts"]))):
        yield (
            f"data = {suite['data']!r}: expected a folder that can be written, or one that holds "
            f"every data set; {', '.join(missing)} is missing"
        )
    if len(real) == 2 and real["results"] == real["data"]:
        yield f"data = {suite['data']!r}: accepted: another folder than results"


def _missing_below(data: Path, datasets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the trees that lack in a folder that is there and cannot be written."""
    if not data.is_dir() or os.access(data, os.W_OK | os.X_OK):
        return
    for name, facts in datasets.items():
        tree = facts.get("folder", name)
        if "root" not in facts and not (data / tree).is_dir():
            yield tree


def _misplaced(place: Path, root: Path) -> str | None:
    if place == root or place in root.parents:
        return "accepted: a folder that does not hold the project"
    for name in SOURCES:
        source = root / name
        if place == source or source in place.parents:
            return f"accepted: a folder outside {name}/, which holds sources"
    return None


def _unwritable(place: Path) -> str | None:
    """Why a folder cannot be, or cannot be made, there; one that is may be read-only.

    A link to nothing is no place for a folder.
    """
    if len(os.fsencode(place)) > _PATH or max(map(len, map(os.fsencode, place.parts))) > _NAME:
        return f"accepted: a path of {_PATH} bytes, names of {_NAME}"
    nearest = next(path for path in (place, *place.parents) if os.path.lexists(path))
    if not nearest.is_dir():
        return f"cannot be written: {nearest} is no folder"
    if nearest != place and not os.access(nearest, os.W_OK | os.X_OK):
        return f"cannot be written: {nearest} takes nothing new from this user"
    return None
