"""The user's own copy of ImageNet (ILSVRC 2012), which nobody else may hand out: put in order.

Takes the three official archives, or folders already unpacked; the validation images, which come
in one flat folder, are sorted into a folder per WordNet id by the devkit's ground truth.
"""

from __future__ import annotations

import io
import logging
import os
import re
import shutil
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from craft.data.fetch.archive import Limits, UnpackError
from craft.data.fetch.file import verify
from craft.data.fetch.sources import SourceError
from craft.data.fetch.unpack import unpack

log = logging.getLogger(__name__)

_TRUTH = "data/ILSVRC2012_validation_ground_truth.txt"
_META = "data/meta.mat"
_VALIDATION = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")


class CopyError(RuntimeError):
    """The user's copy cannot be put in order; says why."""


def prepare(root: Path, facts: Mapping[str, Any], archives: Mapping[str, Any]) -> None:
    """Bring what is below ``root`` into order: idempotent, and continued after a cut.

    ``archives`` names the files ``train``, ``validation`` and ``devkit`` with their md5. Nothing
    is done for parts that are missing: the manifest says so. Raises CopyError.
    """
    images = root / facts["images"]
    train, validation = (images / facts["folders"][part] for part in ("train", "test"))
    count = facts["counts"]["train"] + facts["counts"]["test"]
    try:
        if not train.exists() and (archive := _archive(root, archives["train"])):
            # A tar of one tar per class, named by its WordNet id.
            _unpack(archive, train, count, nested="*.tar")
        if not validation.exists() and (archive := _archive(root, archives["validation"])):
            _unpack(archive, validation, count)
        if validation.is_dir() and any(_flat(validation)):
            sort_validation(validation, validation_classes(root, archives["devkit"]))
    except (SourceError, UnpackError) as error:
        raise CopyError(str(error)) from error


def _archive(root: Path, pinned: Mapping[str, Any]) -> Path | None:
    """Return a file of the user's with the pinned sum; None where there is none."""
    path = root / pinned["filename"]
    if not path.is_file():
        return None
    try:
        verify(path, {"kind": "http", "url": str(path), **pinned})
    except SourceError as error:
        raise CopyError(str(error)) from error
    return path


def _unpack(archive: Path, folder: Path, count: int, nested: str | None = None) -> None:
    """Unpack an archive whole; its folder appears by one rename."""
    log.info("unpacking %s", archive)
    staging = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        unpack(archive, staging, {".": "."}, Limits.of(archive, count), nested=nested)
        os.sync()
        os.rename(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _flat(folder: Path) -> Iterator[Path]:
    return (path for path in folder.iterdir() if _VALIDATION.fullmatch(path.name))


def sort_validation(folder: Path, classes: Sequence[str]) -> int:
    """Move each validation image that lies in ``folder`` itself into its class's folder.

    ``classes`` are the WordNet ids of images 1, 2, ... in order. Returns how many were moved;
    a second call finds none left. Raises CopyError for a number without a class.
    """
    # All are checked before the first is moved: half a list must not sort half a folder.
    moves = []
    for path in _flat(folder):
        number = int(_VALIDATION.fullmatch(path.name)[1])
        if not 1 <= number <= len(classes):
            raise CopyError(f"{path}: the devkit names classes of images 1 to {len(classes)}")
        moves.append((path, folder / classes[number - 1] / path.name))
    for target in {target.parent for _, target in moves}:
        target.mkdir(exist_ok=True)
    for path, target in moves:
        os.rename(path, target)
    log.info("%s: %d images sorted into class folders", folder, len(moves))
    return len(moves)


def validation_classes(root: Path, devkit: Mapping[str, Any]) -> list[str]:
    """WordNet id of each validation image, by its number, from the devkit; raises CopyError.

    The devkit is an archive below ``root`` or a folder unpacked from it, of the archive's name.
    """
    from scipy.io import loadmat

    try:
        content = _devkit(root, devkit)
        synsets = loadmat(io.BytesIO(content[_META]), squeeze_me=True)["synsets"]
        # Inner nodes of the hierarchy are listed too; classes are those without children.
        wnids = {int(s["ILSVRC2012_ID"]): str(s["WNID"]) for s in synsets if not s["num_children"]}
        return [wnids[int(line)] for line in content[_TRUTH].split()]
    except (AttributeError, KeyError, TypeError, ValueError, tarfile.TarError) as error:
        raise CopyError(f"{devkit['filename']}: not the devkit of ILSVRC ({error!r})") from error


def _devkit(root: Path, devkit: Mapping[str, Any]) -> dict[str, bytes]:
    folder = root / devkit["filename"].removesuffix(".tar.gz")
    if folder.is_dir():
        return {name: (folder / name).read_bytes() for name in (_META, _TRUTH)}
    archive = _archive(root, devkit)
    if archive is None:
        raise CopyError(
            f"the validation images of {root} lie in one folder and are sorted by the devkit: "
            f"put {devkit['filename']} into {root}"
        )
    with tarfile.open(archive) as tar:
        return {name: tar.extractfile(f"{folder.name}/{name}").read() for name in (_META, _TRUTH)}
