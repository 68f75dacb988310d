"""A user's images: a folder per class, or a list of files. Reports all problems at once.

Class names are those of the folders (or of the list), or what a CSV of ``class,name`` calls them.
A shifted test set takes its labels from its source, by class name.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from craft.data.class_names import alike
from craft.data.layouts import ManifestError
from craft.data.spelling import composed, escaped, is_text
from craft.data.user_lists import NAMED, about, class_names, from_list
from craft.files.atomic import RecordError
from craft.files.datasets import PARTS, Image, Manifest

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
#: What file managers leave in folders of images.
_LITTER = ("thumbs.db", "desktop.ini")
#: Other names of parts that people give their folders.
_ALIASES = ("training", "valid", "validation", "testing", "dev", "eval")

#: Label -> class name of the data set that a shifted test set is one of.
Source = Mapping[int, str] | None


def image_folder(root: Path, facts: Mapping[str, Any], source: Source = None) -> Iterator[Image]:
    """Yield images of a folder per class, in train/, val/ and test/ or divided by ``shares``."""
    return _listed(root, facts, source)


def image_list(root: Path, facts: Mapping[str, Any], source: Source = None) -> Iterator[Image]:
    """Yield images of a CSV of paths below ``root``, classes and parts; a manifest is one."""
    return _listed(root, facts, source)


#: ``kind`` of a data-set YAML -> the layout that reads it.
OWN = {"image_folder": image_folder, "image_list": image_list}


@dataclass
class Survey:
    """What a data set of the user's holds: counts, class names by label, problems, notices."""

    counts: dict[str, int]
    names: dict[int, str]
    problems: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def survey(
    root: Path,
    facts: Mapping[str, Any],
    manifest: Path,
    shots: int = 0,
    source: Source = None,
) -> Survey:
    """Survey a data set, few-shot sets of ``shots`` included; ``source`` as for a layout.

    A manifest is believed, even if the folders have changed since. Without ``source`` the labels of
    a shifted test set are not looked at.
    """
    if manifest.is_file():
        try:
            contents = Manifest.read(manifest)
            images, names, found = list(contents.images), contents.class_names(), []
        except RecordError as error:
            images, names = [], {}
            found = [f"{error}; delete it to have the folders looked at again"]
    else:
        images, found = _read(root, facts, source)
        names = {} if found else Manifest(tuple(images)).class_names()
    parts = Counter(image.split for image in images)
    counts = {"classes": len({image.label for image in images})}
    result = Survey(counts | {part: parts[part] for part in PARTS}, names, found)
    if not found and "source" not in facts:
        _check_task(result, images, facts, shots)
    return result


def _check_task(
    result: Survey, images: Sequence[Image], facts: Mapping[str, Any], shots: int
) -> None:
    """Report classes too small for the shots, without test images, or with one prompt."""
    counts = Counter((image.class_name, image.split) for image in images)
    names = list(result.names.values())
    repeat = bool(facts.get("repeat")) and shots > 0
    least = 1 if repeat else max(shots, 1)
    few = [f"{name} ({counts[name, 'train']})" for name in names if counts[name, "train"] < least]
    if few:
        hint = "" if repeat else "; `repeat: true` draws them with replacement"
        result.problems.append(
            f"classes with fewer training images than {least} shots: {', '.join(few)}{hint}"
        )
    if repeat:
        few = [f"{n} ({counts[n, 'train']})" for n in names if 0 < counts[n, "train"] < shots]
        result.notices += about(few, f"classes drawn with replacement for {shots} shots")
    untested = [name for name in names if not counts[name, "test"]]
    if len(untested) == len(names):
        result.problems.append("no test image")
    else:
        result.notices += about(untested, "classes without test images")
    for group in alike(names):
        result.problems.append(
            f"classes that become one prompt: {', '.join(map(repr, group))}; `classes` can name "
            "them otherwise"
        )


def _listed(root: Path, facts: Mapping[str, Any], source: Source) -> Iterator[Image]:
    if "source" in facts and source is None:
        raise ManifestError(f"{facts['name']}: expected the class names of {facts['source']}")
    images, found = _read(root, facts, source)
    if found:
        raise ManifestError("\n- ".join([f"{facts['name']}: {len(found)} problems", *found]))
    return iter(images)


def _read(root: Path, facts: Mapping[str, Any], source: Source) -> tuple[list[Image], list[str]]:
    """Return the images and the problems; the images count only where there is no problem."""
    if not root.is_dir():
        return [], [f"root {root}: no such folder"]
    found: list[str] = []
    names = class_names(root / facts["classes"], found) if facts.get("classes") else {}
    folders = facts["kind"] == "image_folder"
    rows = _from_folders(root, facts, found) if folders else from_list(root, facts, names, found)
    found += _leaks(root, rows)
    keys = _in_order({key for _, key, _ in rows})
    if facts.get("classes"):
        # A shifted test set may lack classes of its source, whose file of names it shares.
        unused = [] if "source" in facts else [key for key in names if key not in keys]
        unnamed = [key for key in keys if key not in names]
        found += about(unused, f"{facts['classes']}: classes without images")
        found += about(unnamed, f"{facts['classes']}: classes that it does not name")
        keys = list(names)
    if len(keys) < 2 and not found:
        found.append(f"{len(keys)} classes in {root}; expected 2 or more")
    labels = {key: label for label, key in enumerate(keys)}
    if source is not None:
        by_name = {composed(name): label for label, name in source.items()}
        labels = {key: by_name.get(names.get(key, key), -1) for key in labels}
        foreign = [key for key in {key: None for _, key, _ in rows} if labels.get(key, 0) < 0]
        origin = f"classes that {facts['source']} does not have"
        found += about(foreign, origin, "; `classes` can name them as it does")
    images = [
        Image(path, labels.get(key, -1), names.get(key, key), part) for path, key, part in rows
    ]
    return sorted(images, key=lambda image: (PARTS.index(image.split), image.label)), found


def _in_order(keys: Collection[str]) -> list[str]:
    """Return keys sorted, as numbers where all are numbers; ``1`` is behind its equal ``01``."""
    numbers = all(map(str.isdecimal, keys))
    return sorted(keys, key=lambda key: (int(key) if numbers else 0, key))


def _leaks(root: Path, rows: Sequence[tuple[str, str, str]]) -> list[str]:
    """Report files that have two paths, by links or spelling, in two parts or classes."""
    places: dict[tuple[int, int], list[tuple[str, str, str]]] = defaultdict(list)
    for row in {row[0]: row for row in rows}.values():
        path = root / row[0]
        if path.is_file():
            state = path.stat()
            places[state.st_dev, state.st_ino].append(row)
    twice = [
        " = ".join(f"{path} ({part} of {key})" for path, key, part in same)
        for same in places.values()
        if len({row[1:] for row in same}) > 1
    ]
    return about(twice, "one file under several paths")


# --- folders --------------------------------------------------------------------------------------


def _from_folders(
    root: Path, facts: Mapping[str, Any], found: list[str]
) -> list[tuple[str, str, str]]:
    """Return (path, class, part) of each image in class folders."""
    shares = facts.get("shares")
    parts = _parts(root, facts, found)
    rows = []
    for part, folder in parts.items():
        entries = _entries(folder, found)
        loose = [p.name for p in entries if p.suffix.lower() in SUFFIXES and p.is_file()]
        found += about(loose, f"{folder}: images outside a class's folder")
        classes = sorted(path for path in entries if path.is_dir())
        forms = Counter(composed(entry.name) for entry in classes)
        twice = [name for name, count in forms.items() if count > 1]
        found += about(twice, f"{folder}: two folders of one name in two Unicode forms")
        for entry in classes:
            key = composed(entry.name)
            inside = sorted(path.name for path in _entries(entry, found))
            alien = [n for n in inside if not n.lower().endswith(SUFFIXES) or (entry / n).is_dir()]
            found += about(alien, f"{entry}: no images by their names ({' '.join(SUFFIXES)})")
            if not inside:
                found.append(f"{entry}: an empty folder")
            dealt = _dealt(inside, key, shares, found) if shares else {part: inside}
            base = entry.relative_to(root)
            rows += [((base / n).as_posix(), key, p) for p in dealt for n in dealt[p]]
    return rows


def _parts(root: Path, facts: Mapping[str, Any], found: list[str]) -> dict[str, Path]:
    """Return part -> its folder (``Train`` too); part "" where ``shares`` divides classes."""
    tops = sorted(path.name for path in _entries(root, found) if path.is_dir())
    spelled = {part: [name for name in tops if name.lower() == part] for part in PARTS}
    if "source" in facts:
        return {"test": root / tops[0] if tops == spelled["test"] != [] else root}
    if facts.get("shares"):
        return {"": root}
    for part, names in spelled.items():
        if len(names) > 1:
            found.append(f"{root}: several folders of part {part}: {', '.join(names)}")
    others = [name for name in tops if name.lower() not in PARTS]
    if spelled["train"] and spelled["test"]:
        hint = "; the validation part is called val" * any(n.lower() in _ALIASES for n in others)
        found += about(others, f"{root} has train/ and test/, and beside them", hint)
        return {part: root / names[0] for part, names in spelled.items() if names}
    there = ", ".join(tops[:NAMED]) or "no folder"
    named = [name for name in tops if name.lower() in (*PARTS, *_ALIASES)]
    if named:
        lacking = " and ".join(f"{part}/" for part in ("train", "test") if not spelled[part])
        problem = f"{root}: lacks {lacking}, has {there}; expected the parts train/, test/ and, "
        problem += "where there is one, val/"
    else:
        problem = f"{root} has no train/ and test/ but {there}"
    if not named or set(others) - set(named):
        problem += "; where these are classes, `shares` says which share of each is for training "
        problem += "and for testing"
    found.append(problem)
    return {}


def _entries(folder: Path, found: list[str]) -> list[Path]:
    """Return what a folder holds, without hidden files, litter and names that are not UTF-8."""
    paths = [
        path
        for path in folder.iterdir()
        if not path.name.startswith(".") and path.name.lower() not in _LITTER
    ]
    foreign = sorted(escaped(path.name) for path in paths if not is_text(path.name))
    found += about(foreign, f"{folder}: names that are not UTF-8", "; rename them")
    return [path for path in paths if is_text(path.name)]


def _dealt(
    images: list[str], key: str, shares: Mapping[str, Any], found: list[str]
) -> dict[str, list[str]]:
    """Return part -> its images of one class, shuffled by the seed and the class's folder alone."""
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
