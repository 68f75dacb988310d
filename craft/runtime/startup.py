"""Find problems of this machine that would stop a suite's jobs, before the first job starts."""

from __future__ import annotations

import os
import pwd
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

#: Folders below a suite's results.
FOLDERS = (
    "backbones",
    "benchmarks",
    "cache",
    "features",
    "figures",
    "logs",
    "manifests",
    "prompts",
    "runs",
    "splits",
)


def start_problems(project: Path, results: Path, data: Path, kept: Path) -> Iterator[str]:
    """Yield a line for each problem that would stop a suite's jobs.

    ``project`` is the folder of the workflow, ``results`` and ``data`` are those of the suite, and
    ``kept`` is the folder of Snakemake's metadata. Snakemake itself checks only existing outputs of
    planned jobs, not folders and logs, and names neither their owner nor a remedy.
    """
    if set("{}") & set(str(project)):
        yield (
            f"project's folder: expected a path without braces, got '{project}'; Snakemake reads "
            "braces in the path of an environment's file as wildcards"
        )
    if os.pathsep in str(project):
        yield (
            f"project's folder: expected a path without {os.pathsep!r}, got '{project}'; jobs find "
            "the code by PYTHONPATH, in which it separates folders"
        )
    if sys.flags.optimize > 1:
        yield (
            f"PYTHONOPTIMIZE: expected 0 or 1, got {sys.flags.optimize}; the package cma reads its "
            "own docstrings, which 2 removes"
        )
    for path in (results / name for name in FOLDERS):
        if path.exists() and not path.is_dir():
            yield f"{path}: expected a folder, got a file; move it elsewhere"
    for folder in (results, kept):
        if denied := list(_denied(folder, os.path.abspath(data))):
            owners = Counter(map(_owner, denied)).most_common(3)
            shown = ", ".join(f"{count} of {owner}" for owner, count in owners)
            yield (
                f"{folder}: expected files that {_user(os.geteuid())} can write, got "
                f"{len(denied)} others ({shown}), {denied[0]} first; change their owner or mode, "
                "or work in another folder"
            )


def _denied(place: Path, data: str) -> Iterator[str]:
    """Yield files and folders below ``place`` that this user cannot write, links left out.

    The images below ``data``, which may lie there, are read only.
    """
    for folder, folders, files in os.walk(place):
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            yield folder
        folders[:] = sorted(f for f in folders if os.path.abspath(os.path.join(folder, f)) != data)
        for path in (os.path.join(folder, name) for name in sorted(files)):
            if not os.access(path, os.W_OK) and not os.path.islink(path):
                yield path


def _owner(path: str) -> str:
    return _user(os.lstat(path).st_uid)


def _user(number: int) -> str:
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:  # containers run as users that no file names
        return f"user {number}"
