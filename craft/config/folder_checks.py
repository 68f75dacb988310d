"""Check that a suite's folders are in permitted places and writable."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from craft.config.problems import Problem
from craft.runtime.provenance import ROOT

#: Folders of the project that nothing is written into.
SOURCES = [".git", "benchmarks", "config", "craft", "docs", "envs", "profiles", "tests", "workflow"]


def check_folders(suite: Mapping[str, Any], root: Path) -> Iterator[Problem]:
    """Yield the problems of ``results`` and ``data``, relative to the working folder ``root``.

    Neither may lie in the sources of ``root`` or of the project. An existing folder of data may be
    read-only.
    """
    places = {key: Path(suite[key]) for key in ("results", "data")}
    for key, place in places.items():
        if wrong := _misplaced(place, root) or _misplaced(place, ROOT) or _unwritable(place):
            yield Problem(key, wrong, suite[key])
    if missing := list(_missing_below(places["data"], suite["facts"])):
        expected = f"a folder that can be written, or one that holds {', '.join(missing)}"
        yield Problem("data", expected, suite["data"])
    if os.path.realpath(suite["results"]) == os.path.realpath(suite["data"]):
        yield Problem("data", "another folder than results", suite["data"])


def _missing_below(data: Path, datasets: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield the data sets that are missing in an existing read-only folder."""
    if not data.is_dir() or os.access(data, os.W_OK | os.X_OK):
        return
    for name, description in datasets.items():
        if "root" not in description and not (data / description.get("folder", name)).is_dir():
            yield name


def _misplaced(place: Path, root: Path) -> str | None:
    place, root = place.resolve(), root.resolve()
    if place == root or place in root.parents:
        return "a folder that does not hold the project"
    for name in SOURCES:
        if (root / name) in (place, *place.parents):
            return f"a folder outside {name}/, which holds sources"
    return None


def _unwritable(place: Path) -> str | None:
    place = Path(os.path.abspath(place))
    # A link to nothing is no place for a folder.
    nearest = next(path for path in (place, *place.parents) if os.path.lexists(path))
    if not nearest.is_dir():
        return f"a folder that can be made ({nearest} is no folder)"
    if nearest != place and not os.access(nearest, os.W_OK | os.X_OK):
        return f"a folder that can be made ({nearest} takes nothing new from this user)"
    return None
