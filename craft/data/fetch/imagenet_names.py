"""ImageNet's class names: one table of the project, and the file of a tree in CoOp's layout."""

from __future__ import annotations

import csv
from pathlib import Path

from craft.data.layouts import ManifestError, wnids_and_names
from craft.files.atomic import write_text


def read_table(path: Path) -> dict[str, str]:
    """WordNet id -> class name from a CSV with columns wnid and name; raises ManifestError."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            rows = [(row["wnid"], row["name"]) for row in csv.DictReader(stream)]
    except (OSError, KeyError) as error:
        raise ManifestError(f"{path}: not a table of wnid and name ({error!r})") from error
    names = dict(rows)
    if not names or len(names) != len(rows):
        raise ManifestError(f"{path}: {len(rows)} rows for {len(names)} WordNet ids")
    return names


def write_class_names(path: Path, table: Path) -> None:
    """Write the names of ``table`` as 'wnid name' lines."""
    names = read_table(table)
    write_text(path, "".join(f"{wnid} {name}\n" for wnid, name in sorted(names.items())))


def check_class_names(path: Path, table: Path) -> None:
    """Raise ManifestError unless a file of 'wnid name' lines says what ``table`` says.

    Names are the prompts, and an older list circulates under the same file name.
    """
    names, found = read_table(table), dict(wnids_and_names(path))
    for wnid in sorted({**names, **found}):
        if names.get(wnid) != found.get(wnid):
            raise ManifestError(
                f"{path}: {wnid} is {found.get(wnid)!r}, but {names.get(wnid)!r} in {table.name}; "
                "move the file away"
            )
