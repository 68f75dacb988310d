"""Keep batches of features on disk until all are encoded, so that an interrupted job resumes.

They are in a folder beside the final file, and are deleted when that file is complete.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from craft.files.atomic import RecordError, read_tensors, write_tensors

log = logging.getLogger(__name__)

#: Unit features (B, E) and raw norms (B,) of one batch, both float32.
Batch = tuple[np.ndarray, np.ndarray]


class Shards:
    """The kept batches of one features file, known by the position of their first image.

    ``identity`` is everything that the features depend on; shards of another identity are ignored.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        self.folder = out.with_name(f".{out.name}.shards")
        described = json.dumps(dict(identity), sort_keys=True)
        self._key = hashlib.sha256(described.encode()).hexdigest()

    def read(self, stamp: Callable[[int], str]) -> dict[int, Batch]:
        """Return batches by first position; log and delete foreign, damaged or outdated ones.

        ``stamp`` returns the current state of the image files of the batch at a position.
        """
        kept: dict[int, Batch] = {}
        for path in sorted(self.folder.glob("*.safetensors")):
            try:
                found = self._open(path)
            except RecordError as error:
                log.warning("%s; its images are encoded again", error)
                path.unlink()
                continue
            current = {first: b for (first, then), b in found.items() if stamp(first) == then}
            if len(current) < len(found):
                log.warning("%s: some of its images have changed since", path)
            kept |= current
        return kept

    def _open(self, path: Path) -> dict[tuple[int, str], Batch]:
        tensors, metadata = read_tensors(path)
        if metadata.get("key") != self._key:
            raise RecordError(f"{path}: made of other inputs, or by other code")
        features, norms = tensors.get("features"), tensors.get("norms")
        if features is None or norms is None or metadata.get("digest") != _digest(features, norms):
            raise RecordError(f"{path}: damaged")
        ends = np.cumsum(metadata["sizes"])[:-1]
        batches = zip(np.split(features, ends), np.split(norms, ends), strict=True)
        names = zip(metadata["firsts"], metadata["stamps"], strict=True)
        return dict(zip(names, batches, strict=True))

    def write(self, batches: Mapping[int, Batch], stamps: Mapping[int, str]) -> None:
        """Keep batches, as one file; those of an earlier call stay where they are."""
        firsts = sorted(batches)
        features, norms = (np.concatenate([batches[first][n] for first in firsts]) for n in (0, 1))
        metadata = {
            "key": self._key,
            "digest": _digest(features, norms),
            "firsts": firsts,
            "sizes": [len(batches[first][1]) for first in firsts],
            "stamps": [stamps[first] for first in firsts],
        }
        path = self.folder / f"{firsts[0]:09}.safetensors"
        write_tensors(path, {"features": features, "norms": norms}, metadata)

    def drop(self) -> None:
        """Delete all shards once the final file is complete."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _digest(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
