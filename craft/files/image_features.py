"""Features of images, as encoded once and read by every fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from craft.files.atomic import RecordError, read_tensors, write_tensors
from craft.files.typed import build

#: Kinds of copies of an image beside the one that is tested: augmented by the data set's crop
#: scale, CoOp's crops, the two ends of the long side, and CBBT's crops and cutouts.
COPIES = ("view", "crop", "end", "cutout")


@dataclass(frozen=True)
class Features:
    """Image features of one (backbone, data set, part, view): unit rows and the raw norms.

    ``classes`` are the labels that the data set's task covers, a declared fact and not a label of
    any image: -A and -R tests cover 200 of 1000.
    """

    features: np.ndarray  # (N, E) float32, unit norm
    norms: np.ndarray  # (N,) float32, norm before division
    paths: tuple[str, ...]
    backbone: str
    dataset: str
    part: str
    view: int
    classes: tuple[int, ...]
    manifest_sha256: str
    weights_sha256: str
    kind: str = "view"  # one of COPIES; each kind has numbers of its own

    _META = (
        *("backbone", "dataset", "part", "view", "kind", "classes"),
        *("manifest_sha256", "weights_sha256"),
    )

    @property
    def copy(self) -> str:
        """Which copy of the images it is, ``view-3``, ``crop-7`` or ``end-1``; empty for none."""
        return f"{self.kind}-{self.view}" if self.view else ""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors."""
        metadata = {key: getattr(self, key) for key in self._META} | {"paths": self.paths}
        write_tensors(path, {"features": self.features, "norms": self.norms}, metadata)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Features:
        """Read the safetensors file; raises RecordError when foreign, truncated or not finite."""
        tensors, metadata = read_tensors(path)
        known = {key: metadata[key] for key in (*cls._META, "paths") if key in metadata}
        for key in ("classes", "paths"):
            if isinstance(known.get(key), list):
                known[key] = tuple(known[key])
        known |= {key: tensors[key] for key in ("features", "norms") if key in tensors}
        value = build(cls, known, path, "features file")
        for name, array, axes in (("features", value.features, 2), ("norms", value.norms, 1)):
            right = array.ndim == axes and array.dtype == np.float32
            if not right or len(array) != len(value.paths):
                raise RecordError(
                    f"{path}: {name}: expected {axes} axes of float32, the first "
                    f"{len(value.paths)} long, got shape {array.shape}, {array.dtype}"
                )
            if not np.isfinite(array).all():
                raise RecordError(f"{path}: {name} that are not finite")
        return value

    def rows(self, paths: Sequence[str]) -> np.ndarray:
        """Row numbers of ``paths``, (n,) int64; raises RecordError naming a path not cached."""
        about = f"cached features of {self.dataset} ({self.backbone}, {self.part})"
        return row_numbers(self.paths, paths, about)


def row_numbers(known: Sequence[str], paths: Sequence[str], about: str) -> np.ndarray:
    """Return the positions (n,) int64 of ``paths`` in ``known``.

    Raises RecordError for a path that is not ``about`` what is known.
    """
    index = {path: row for row, path in enumerate(known)}
    missing = [path for path in paths if path not in index]
    if missing:
        raise RecordError(
            f"{len(missing)} images of the split are not among the {about}; the first: {missing[0]}"
        )
    return np.array([index[path] for path in paths], dtype=np.int64)
