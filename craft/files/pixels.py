"""Decoded images of a data set's part at a model's size, in a file that is read by rows: whole,
they may not fit into memory (ImageNet's test part at 224 pixels is 7.5 GB)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from craft.files.atomic import METADATA, RecordError, read_metadata, replacing
from craft.files.image_features import row_numbers
from craft.files.typed import build

_TENSOR = "pixels"


@dataclass(frozen=True)
class PixelFacts:
    """What decoded images are of: part and copy of a data set, as a backbone's images are read."""

    paths: tuple[str, ...]
    backbone: str
    dataset: str
    part: str
    view: int
    kind: str  # one of craft.files.image_features.COPIES
    manifest_sha256: str

    @property
    def copy(self) -> str:
        """Which copy of the images it is, as of features; empty for none."""
        return f"{self.kind}-{self.view}" if self.view else ""


def write_pixels(
    path: str | os.PathLike[str], facts: PixelFacts, size: int, blocks: Iterable[np.ndarray]
) -> None:
    """Write images of ``size`` pixels, uint8 (n, S, S, 3) by blocks, as one safetensors file.

    No more than a block is held. Raises ValueError for another number of images than paths.
    """
    shape = (len(facts.paths), size, size, 3)
    header = {
        "__metadata__": {METADATA: json.dumps(vars(facts))},
        _TENSOR: {"dtype": "U8", "shape": shape, "data_offsets": [0, int(np.prod(shape))]},
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    written = 0
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for block in blocks:
            if block.dtype != np.uint8 or block.shape[1:] != shape[1:]:
                raise ValueError(
                    f"pixels: expected uint8 (n, {size}, {size}, 3), got {block.dtype} "
                    f"{block.shape}"
                )
            stream.write(np.ascontiguousarray(block).tobytes())
            written += len(block)
        if written != len(facts.paths):
            raise ValueError(f"pixels: expected {len(facts.paths)} images, got {written}")


class Pixels:
    """The images of a file, on disk until they are asked for."""

    def __init__(self, facts: PixelFacts, images: np.ndarray) -> None:
        """Hold facts and images (N, S, S, 3), as a rule a memory map."""
        self.facts, self._images = facts, images
        self.size = int(images.shape[1])

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Pixels:
        """Open what :func:`write_pixels` wrote; raises RecordError."""
        metadata = read_metadata(path)
        known: dict[str, Any] = metadata | {"paths": tuple(metadata.get("paths", ()))}
        facts = build(PixelFacts, known, path, "pixels file")
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            entry = json.loads(stream.read(length)).get(_TENSOR, {})
        shape = tuple(entry.get("shape", ()))
        square = len(shape) == 4 and shape[1] == shape[2] and shape[3] == 3
        if entry.get("dtype") != "U8" or not square or shape[0] != len(facts.paths):
            raise RecordError(
                f"{path}: {_TENSOR}: expected uint8 ({len(facts.paths)}, S, S, 3), got "
                f"{entry.get('dtype')} {shape}"
            )
        return cls(facts, np.memmap(path, np.uint8, "r", 8 + length, shape))

    def of(self, paths: Sequence[str]) -> PixelRows:
        """Return the images of these paths, in their order; raises RecordError naming another."""
        about = f"decoded images of {self.facts.dataset} ({self.facts.backbone}, {self.facts.part})"
        return PixelRows(self._images, row_numbers(self.facts.paths, paths, about))

    def all(self) -> PixelRows:
        """Return all images."""
        return PixelRows(self._images, np.arange(len(self.facts.paths)))


@dataclass(frozen=True)
class PixelRows:
    """Some images of a file, read by slices."""

    images: np.ndarray  # (N, S, S, 3) uint8
    rows: np.ndarray  # (n,) int64

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, rows: np.ndarray) -> PixelRows:
        """Return these images of :attr:`rows` alone."""
        return PixelRows(self.images, self.rows[rows])

    def read(self, rows: slice | np.ndarray) -> np.ndarray:
        """Return these images of :attr:`rows`, uint8 (n, S, S, 3)."""
        return self.images[self.rows[rows]]
