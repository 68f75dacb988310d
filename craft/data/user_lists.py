"""CSV files of a user: lists of images, names of classes. Problems are collected, not raised."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from craft.data.spelling import composed, normal, on_disk
from craft.files.datasets import PARTS

#: Entries named in one problem.
NAMED = 5


def about(entries: Sequence[str], what: str, hint: str = "") -> list[str]:
    """Return one problem that names the first of ``entries``; none where there are none."""
    more = f" and {len(entries) - NAMED} more" if len(entries) > NAMED else ""
    return [f"{what}: {', '.join(entries[:NAMED])}{more}{hint}"] if entries else []


def _repeated(values: Sequence[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def _table(path: Path, found: list[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Return columns and rows of a CSV, both empty where it cannot be read.

    Headings count without capitals, blanks in them as underscores; cells are stripped.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream)
            columns = ["_".join(text.split()).lower() for text in next(reader, ())]
            rows = [list(map(str.strip, row)) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found.append(f"{path}: not a readable CSV ({error})")
        return [], []
    if not any(columns):
        found.append(f"{path.name}: an empty file; expected a line of headings, then rows")
        return [], []
    found += about(_repeated([c for c in columns if c]), f"{path.name}: columns given twice")
    empty = dict.fromkeys(filter(None, columns), "")
    return list(empty), [empty | dict(zip(columns, row, strict=False)) for row in rows]


def class_names(path: Path, found: list[str]) -> dict[str, str]:
    """Return class -> its name in prompts, in the order of the file, which is that of labels."""
    columns, rows = _table(path, found)
    if missing := [key for key in ("class", "name") if columns and key not in columns]:
        found.append(
            f"{path.name}: lacks columns {', '.join(missing)}; it has {', '.join(columns)}"
        )
        return {}
    pairs = [(composed(row["class"]), composed(row["name"])) for row in rows]
    for column, values in (("class", [p[0] for p in pairs]), ("name", [p[1] for p in pairs])):
        found += about(_repeated(values), f"{path.name}: {column} given more than once")
    empty = [str(line) for line, pair in enumerate(pairs, 2) if not all(pair)]
    found += about(empty, f"{path.name}: lines without a class or a name")
    return dict(pairs)


def from_list(
    root: Path, facts: Mapping[str, Any], names: dict[str, str], found: list[str]
) -> list[tuple[str, str, str]]:
    """Return (path, class, part) of each line of the list; it may name classes."""
    file = facts["list"]
    columns, rows = _table(root / file, found)
    if not columns:
        return []
    key = "label" if "label" in columns else "class_name"
    if missing := [name for name in ("path", key, "split") if name not in columns]:
        wanted = ", ".join(missing).replace("class_name", "class_name (or label)")
        found.append(f"{file}: lacks columns {wanted}; it has {', '.join(columns)}")
        return []
    if not rows:
        found.append(f"{file}: lists no image")
    foreign = dict.fromkeys(row["split"] for row in rows if row["split"] not in PARTS)
    found += about(
        list(map(repr, foreign)), f"{file}: split: expected one of {', '.join(PARTS)}, got"
    )
    found += about([row["path"] for row in rows if not row[key]], f"{file}: no {key} of")
    paths = {row["path"]: normal(row["path"]) for row in rows}
    absolute = [path for path in paths if PurePosixPath(path).is_absolute()]
    found += about(
        absolute, f"{file}: absolute paths", f"; expected paths below root ({root}), as a/1.jpg"
    )
    outside = [path for path in paths if path not in absolute and ".." in path.split("/")]
    found += about(outside, f"{file}: not below {root}")
    places = {
        path: None if path in absolute or path in outside else on_disk(root, place)
        for path, place in paths.items()
    }
    absent = [p for p, place in places.items() if not place and p not in absolute + outside]
    found += about(absent, f"{file}: not in {root}")
    listed = [places[row["path"]] or paths[row["path"]] for row in rows]
    found += about(_repeated(listed), f"{file}: listed more than once")
    if key == "label" and "class_name" in columns and not facts.get("classes"):
        _name(rows, names, file, found)
    return [
        (path, composed(row[key]), row["split"])
        for path, row in zip(listed, rows, strict=True)
        if row["split"] in PARTS
    ]


def _name(rows: list[dict[str, str]], names: dict[str, str], file: str, found: list[str]) -> None:
    """Take the names of the labels from the list that has both."""
    pairs = list(dict.fromkeys((row["label"], composed(row["class_name"])) for row in rows))
    for column, values in (("label", [p[0] for p in pairs]), ("class_name", [p[1] for p in pairs])):
        found += about(_repeated(values), f"{file}: label and class_name disagree about {column}")
    names.update(pairs)
