"""A user's own images: a folder per class, or a list of files. All that is wrong is said at once.

Class names are those of the folders (or of the list), or what a CSV of ``class,name`` calls them.
"""

from __future__ import annotations

import csv
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from craft.data.layouts import ManifestError
from craft.records import PARTS, Image, Manifest
from craft.storage import RecordError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
#: What file managers leave in folders of images.
_LITTER = ("thumbs.db", "desktop.ini")
#: Entries of a list named in one problem.
_NAMED = 5


def image_folder(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    """A folder per class, below train/, val/ and test/ or divided by ``shares``."""
    return _listed(root, facts)


def image_list(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    """A CSV of paths below ``root``, their classes and parts; a manifest is one."""
    return _listed(root, facts)


#: ``kind`` of a data-set YAML -> the layout that reads it.
OWN = {"image_folder": image_folder, "image_list": image_list}


def survey(
    root: Path, facts: Mapping[str, Any], manifest: Path, shots: int = 0
) -> tuple[dict[str, int], list[str]]:
    """Classes and images by part, and everything wrong, few-shot sets of ``shots`` included.

    A manifest is believed, whatever became of the folders since.
    """
    if manifest.is_file():
        try:
            images = Manifest.read(manifest).images
            return _counted(images), [] if "source" in facts else _too_few(images, shots)
        except RecordError as error:
            return _counted(()), [f"{error}; delete it to have the folders looked at again"]
    images, found = _read(root, facts)
    if not found and "source" not in facts:
        found = _too_few(images, shots)
    return _counted(images), found


def _counted(images: Sequence[Image]) -> dict[str, int]:
    parts = Counter(image.split for image in images)
    return {"classes": len({i.label for i in images})} | {part: parts[part] for part in PARTS}


def _too_few(images: Sequence[Image], shots: int) -> list[str]:
    found = []
    train = Counter(image.class_name for image in images if image.split == "train")
    names = dict.fromkeys(image.class_name for image in images)
    few = [f"{name} ({train[name]})" for name in names if train[name] < max(shots, 1)]
    if few:
        found.append(f"classes with fewer training images than {shots} shots: {', '.join(few)}")
    if "test" not in {image.split for image in images}:
        found.append("no test image")
    return found


def _listed(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    images, found = _read(root, facts)
    if found:
        raise ManifestError("\n- ".join([f"{facts['name']}: {len(found)} problems", *found]))
    return iter(images)


def _read(root: Path, facts: Mapping[str, Any]) -> tuple[list[Image], list[str]]:
    """The images, and what is wrong; the images only count where nothing is."""
    if not root.is_dir():
        return [], [f"root {root}: no such folder"]
    found: list[str] = []
    names = _names(root / facts["classes"], found) if facts.get("classes") else {}
    folders = facts["kind"] == "image_folder"
    rows = _from_folders(root, facts, found) if folders else _from_list(root, facts, names, found)
    keys = _in_order({key for _, key, _ in rows})
    if facts.get("classes"):
        # A shifted test set may lack classes of its source, whose file of names it shares.
        unused = [] if "source" in facts else [key for key in names if key not in keys]
        unnamed = [key for key in keys if key not in names]
        found += _about(unused, f"{facts['classes']}: classes without images")
        found += _about(unnamed, f"{facts['classes']}: classes that it does not name")
        keys = list(names)
    elif "source" in facts:
        found.append("a shifted test set needs `classes`: the file of names that its source has")
    if len(keys) < 2 and not found:
        found.append(f"{len(keys)} classes in {root}; accepted: 2 or more")
    labels = {key: label for label, key in enumerate(keys)}
    images = [
        Image(path, labels.get(key, -1), names.get(key, key), part) for path, key, part in rows
    ]
    return sorted(images, key=lambda image: (PARTS.index(image.split), image.label)), found


def _about(entries: Sequence[str], what: str) -> list[str]:
    """One problem that names the first of ``entries``; none where there are none."""
    more = f" and {len(entries) - _NAMED} more" if len(entries) > _NAMED else ""
    return [f"{what}: {', '.join(entries[:_NAMED])}{more}"] if entries else []


def _in_order(keys: set[str]) -> list[str]:
    """Sorted, as numbers where all are numbers."""
    return sorted(keys, key=int if all(map(str.isdecimal, keys)) else None)


def _table(path: Path, found: list[str]) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and rows of a CSV, both empty where it cannot be read."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            rows = [{key: (row[key] or "").strip() for key in row if key} for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        found.append(f"{path}: not a readable CSV ({error})")
    return [], []


def _names(path: Path, found: list[str]) -> dict[str, str]:
    """Class -> its name in prompts, in the order of the file, which is that of the labels."""
    columns, rows = _table(path, found)
    if missing := [key for key in ("class", "name") if columns and key not in columns]:
        found.append(f"{path.name}: lacks columns {', '.join(missing)}; it has {columns}")
        return {}
    for column in ("class", "name"):
        counts = Counter(row[column] for row in rows)
        twice = [value for value, count in counts.items() if count > 1]
        found += _about(twice, f"{path.name}: {column} given more than once")
    empty = [str(line) for line, row in enumerate(rows, 2) if not (row["class"] and row["name"])]
    found += _about(empty, f"{path.name}: lines without a class or a name")
    return {row["class"]: row["name"] for row in rows}


# --- folders --------------------------------------------------------------------------------------


def _from_folders(
    root: Path, facts: Mapping[str, Any], found: list[str]
) -> list[tuple[str, str, str]]:
    """(path, class, part) of each image in class folders."""
    tops = sorted(path.name for path in _entries(root) if path.is_dir())
    shares = facts.get("shares")
    if "source" in facts:
        parts = {"test": root / "test" if tops == ["test"] else root}
    elif shares:
        parts = {"": root}
    elif {"train", "test"} <= set(tops):
        parts = {part: root / part for part in PARTS if part in tops}
        others = [name for name in tops if name not in PARTS]
        found += _about(others, f"{root} has train/ and test/, and beside them")
    else:
        found.append(
            f"{root} has no train/ and test/ but {', '.join(tops[:_NAMED]) or 'no folder'}; where "
            "these are classes, `shares` says which share of each is for training and for testing"
        )
        return []
    rows = []
    for part, folder in parts.items():
        loose = [p.name for p in _entries(folder) if p.suffix.lower() in SUFFIXES and p.is_file()]
        found += _about(loose, f"{folder}: images outside a class's folder")
        for entry in sorted(path for path in _entries(folder) if path.is_dir()):
            inside = sorted(path.name for path in _entries(entry))
            alien = [n for n in inside if not n.lower().endswith(SUFFIXES) or (entry / n).is_dir()]
            found += _about(alien, f"{entry}: no images by their names ({' '.join(SUFFIXES)})")
            if not inside:
                found.append(f"{entry}: an empty folder")
            dealt = _dealt(inside, entry.name, shares, found) if shares else {part: inside}
            base = entry.relative_to(root)
            rows += [((base / n).as_posix(), entry.name, p) for p in dealt for n in dealt[p]]
    return rows


def _entries(folder: Path) -> list[Path]:
    """What lies in a folder, hidden files and litter aside."""
    return [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _LITTER
    ]


def _dealt(
    images: list[str], key: str, shares: Mapping[str, Any], found: list[str]
) -> dict[str, list[str]]:
    """Part -> its images of one class: shuffled by the seed and the class's folder alone."""
    shuffled = list(images)
    random.Random(f"{shares['seed']}/{key}").shuffle(shuffled)
    dealt, start, upto = {}, 0, 0.0
    for part in (part for part in PARTS if shares.get(part)):
        upto += shares[part]
        end = round(upto * len(images))
        dealt[part] = sorted(shuffled[start:end])
        start = end
        if not dealt[part]:
            found.append(f"{key}: {shares[part]:g} of {len(images)} images is no {part} image")
    return dealt


# --- lists ----------------------------------------------------------------------------------------


def _from_list(
    root: Path, facts: Mapping[str, Any], names: dict[str, str], found: list[str]
) -> list[tuple[str, str, str]]:
    """(path, class, part) of each line of the list; it may name classes."""
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
    found += _about(list(map(repr, foreign)), f"{file}: split accepts {', '.join(PARTS)}, not")
    unlabelled = [row["path"] for row in rows if not row[key]]
    found += _about(unlabelled, f"{file}: no {key} of")
    counts = Counter(row["path"] for row in rows)
    found += _about([p for p, n in counts.items() if n > 1], f"{file}: listed more than once")
    outside = [p for p in counts if PurePosixPath(p).is_absolute() or ".." in p.split("/")]
    found += _about(outside, f"{file}: not below {root}")
    absent = [path for path in counts if path not in outside and not (root / path).is_file()]
    found += _about(absent, f"{file}: not in {root}")
    if key == "label" and "class_name" in columns and not facts.get("classes"):
        _name(rows, names, file, found)
    return [(row["path"], row[key], row["split"]) for row in rows if row["split"] in PARTS]


def _name(rows: list[dict[str, str]], names: dict[str, str], file: str, found: list[str]) -> None:
    """Take the names of the labels from the list that has both."""
    pairs = list(dict.fromkeys((row["label"], row["class_name"]) for row in rows))
    for column, values in (("label", [p[0] for p in pairs]), ("class_name", [p[1] for p in pairs])):
        twice = [value for value, count in Counter(values).items() if count > 1]
        found += _about(twice, f"{file}: label and class_name disagree about {column}")
    names.update(pairs)
