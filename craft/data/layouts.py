"""Layouts of data sets on disk: one function for each layout of a CoOp-style tree.

Paths are relative to the data set's image folder. Labels are positions in the data set's own list
of classes; a shifted test set that lacks some of its source's classes keeps the source's labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from craft.files.atomic import sha256
from craft.files.datasets import PARTS, Image

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


class ManifestError(ValueError):
    """A data set's files are not what its description says."""


def split_json(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    """Yield images of a CoOp split JSON: for each part a list of [path, label, class name]."""
    pinned = facts.get("split", {"file": "split.json"})
    path = _verified(root / pinned["file"], pinned.get("sha256"))
    try:
        parts = json.loads(path.read_text(encoding="utf-8"))
        for part in PARTS:
            for image, label, name in parts.get(part, ()):
                yield Image(image, int(label), name, part)
    except (AttributeError, TypeError, ValueError) as error:
        raise ManifestError(f"{path}: not a CoOp split file ({error!r})") from error


def split_lists(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    """Yield images of FGVC Aircraft: a list of classes, and for each part lines of id and class.

    Class names hold spaces: a line is cut at its first one.
    """
    lists = facts["lists"]
    classes = _lines(root, lists["classes"])
    labels = {name: label for label, name in enumerate(classes)}
    for part in PARTS:
        for line in _lines(root, lists[part]) if part in lists else ():
            identifier, _, name = line.partition(" ")
            if name not in labels:
                raise ManifestError(f"{lists[part]['file']}: {line!r} names no known class")
            yield Image(identifier + lists["suffix"], labels[name], name, part)


def class_folders(root: Path, facts: Mapping[str, Any]) -> Iterator[Image]:
    """Yield images of ImageNet and its shifted sets: folders named by wnid or class number.

    Labels are positions among the sorted wnids of ``classnames.txt``; folders and files are taken
    in sorted order, so that few-shot sets do not depend on the file system.
    """
    names = dict(wnids_and_names(root / facts["class_names"]))
    wnids = sorted(names)
    labels = {wnid: label for label, wnid in enumerate(wnids)}
    if facts["class_folders"] == "index":
        labels = {str(label): label for label in range(len(wnids))}
    for part, folder in facts["folders"].items():
        for entry in sorted(_subfolders(root / facts["images"] / folder)):
            if entry.name not in labels:
                raise ManifestError(
                    f"{entry}: {entry.name!r} is not among the {len(labels)} classes of "
                    f"{facts['class_names']} (folders are named by {facts['class_folders']})"
                )
            label = labels[entry.name]
            for file in sorted(path.name for path in entry.iterdir()):
                if file.lower().endswith(IMAGE_SUFFIXES):
                    path = Path(folder, entry.name, file).as_posix()
                    yield Image(path, label, names[wnids[label]], part)


#: ``kind`` of a data-set YAML -> the layout that reads it.
LAYOUTS = {
    "mini": split_json,
    "split_json": split_json,
    "split_lists": split_lists,
    "class_folders": class_folders,
}


def _verified(path: Path, pinned: str | None) -> Path:
    """Return the path of a file that has the pinned SHA-256 (None: any)."""
    if not path.is_file():
        raise ManifestError(f"no file {path}")
    if pinned and (digest := sha256(path)) != pinned:
        raise ManifestError(f"{path}: SHA-256 is {digest}, pinned is {pinned}")
    return path


def _lines(root: Path, pinned: Mapping[str, str]) -> list[str]:
    path = _verified(root / pinned["file"], pinned.get("sha256"))
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def wnids_and_names(path: Path) -> Iterator[tuple[str, str]]:
    """Yield folder and class name of each line 'folder name'; raises ManifestError."""
    for line in _lines(path.parent, {"file": path.name}):
        wnid, _, name = line.partition(" ")
        if not name:
            raise ManifestError(f"{path}: line {line!r} is not a wnid and a name")
        yield wnid, name.strip()


def class_names(root: Path, facts: Mapping[str, Any]) -> dict[int, str]:
    """Return label -> class name of a published data set; nothing where its files are missing."""
    try:
        if "lists" in facts:
            return dict(enumerate(_lines(root, facts["lists"]["classes"])))
        if "class_names" in facts:
            names = dict(wnids_and_names(root / facts["class_names"]))
            return {label: names[wnid] for label, wnid in enumerate(sorted(names))}
        return {image.label: image.class_name for image in split_json(root, facts)}
    except ManifestError:
        return {}


def _subfolders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise ManifestError(f"no folder {folder}")
    return [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
