"""Images of a part that a service holds: a file in place of their features."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from craft.files.atomic import read_metadata, write_tensors
from craft.files.image_features import row_numbers
from craft.files.typed import build


@dataclass(frozen=True)
class Uploaded:
    """An image set of a service; the fields that it shares with Features mean what they do there.

    ``weights_sha256`` is the service's revision, which stands for its weights.
    """

    image_set: str  # the service's name
    paths: tuple[str, ...]
    backbone: str
    dataset: str
    part: str
    view: int
    classes: tuple[int, ...]
    manifest_sha256: str
    weights_sha256: str
    kind: str = "view"

    @property
    def copy(self) -> str:
        """Which copy of the images it is, as of features; empty for none."""
        return f"{self.kind}-{self.view}" if self.view else ""

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write as safetensors without a tensor."""
        write_tensors(path, {}, vars(self))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Uploaded:
        """Read the safetensors file; raises RecordError for a foreign one."""
        metadata = read_metadata(path)
        for key in ("classes", "paths"):
            metadata[key] = tuple(metadata.get(key, ()))
        return build(cls, metadata, path, "file of an uploaded image set")

    def rows(self, paths: Sequence[str]) -> np.ndarray:
        """Row numbers of ``paths``, (n,) int64; raises RecordError naming a path not uploaded."""
        about = f"uploaded images of {self.dataset} ({self.backbone}, {self.part})"
        return row_numbers(self.paths, paths, about)


def is_uploaded(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is one of :class:`Uploaded`, and not of features."""
    return "image_set" in read_metadata(path)
