"""From image files to a model's input: CLIP's deterministic view, and augmented copies.

Images become RGB before anything else, as CraFT's and CoOp's loaders do it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from craft.data.normalisation import normalise
from craft.data.rgb import read_rgb

#: Shares of an image's area in CoOp's crops, of every data set.
COOP_CROP_SCALE = (0.08, 1.0)
#: The same of CBBT's.
CBBT_CROP_SCALE = (0.5, 1.0)
#: Half a side of CBBT's rectangle, in shares of an image's: 45 pixels and the one between of 224.
CUTOUT = 45 / 224
#: Aspect ratios of an augmented copy.
CROP_RATIO = (3 / 4, 4 / 3)
RESIZES = ("shortest", "squash")
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
#: Crops tried before falling back to the centre.
_ATTEMPTS = 10


@dataclass(frozen=True)
class Preprocess:
    """Resize the short side, crop the centre, normalise; or crop at random."""

    size: int  # pixels, the model's input is square
    mean: tuple[float, ...]  # by channel, of values in 0..1
    std: tuple[float, ...]
    crop_scale: tuple[float, float] | None = None  # of the data set; None: no augmented copies
    resize: str = "shortest"  # one of RESIZES; "squash": both sides to ``size``, nothing cropped
    interpolation: str = "bicubic"  # one of FILTERS

    @classmethod
    def of(
        cls, image: Mapping[str, Any], crop_scale: tuple[float, float] | None = None
    ) -> Preprocess:
        """Read a backbone's ``image``; raises ValueError for an unknown resize or filter."""
        resize = image.get("resize", "shortest")
        interpolation = image.get("interpolation", "bicubic")
        for value, accepted in ((resize, RESIZES), (interpolation, FILTERS)):
            if value not in accepted:
                raise ValueError(f"image: expected one of {', '.join(accepted)}, got {value!r}")
        scale, size = tuple(crop_scale) if crop_scale else None, int(image["size"])
        mean, std = tuple(image["mean"]), tuple(image["std"])
        return cls(size, mean, std, scale, resize, interpolation)

    def read(
        self, path: Path, rng: np.random.Generator | None = None, reading: str = "stored"
    ) -> np.ndarray:
        """Decode a file to (size, size, 3) uint8; with ``rng`` an augmented copy.

        ``reading`` is one of craft.data.rgb. Raises ImageError naming an unreadable file.
        """
        rgb = read_rgb(path, reading)
        return np.array(self.centre(rgb) if rng is None else self.augmented(rgb, rng))

    def centre(self, image: Image.Image) -> Image.Image:
        """Return the test view; CLIP's resizes the short side to ``size`` and crops the centre."""
        if self.resize == "squash":
            return image.resize((self.size, self.size), FILTERS[self.interpolation])
        # The corner is rounded to even, as torchvision does it.
        return self._cut(self._resized(image), lambda spare: round(spare / 2))

    def read_end(self, path: Path, end: int, reading: str = "stored") -> np.ndarray:
        """Decode a file to (size, size, 3) uint8: the first or second end of its long side.

        They are the distinct corners of five crops, as the short side fills the crop. Raises
        ImageError naming an unreadable file.
        """
        image = self._resized(read_rgb(path, reading))
        return np.array(self._cut(image, lambda spare: 0 if end == 1 else spare))

    def _resized(self, image: Image.Image) -> Image.Image:
        """Resize the short side to ``size``; the long side is truncated, as torchvision does it."""
        short = min(image.size)
        width, height = (int(self.size * side / short) for side in image.size)
        return image.resize((width, height), FILTERS[self.interpolation])

    def _cut(self, image: Image.Image, place: Callable[[int], int]) -> Image.Image:
        """Cut a square of ``size``, at ``place`` of the pixels left over along each side."""
        left, top = (place(side - self.size) for side in image.size)
        return image.crop((left, top, left + self.size, top + self.size))

    def augmented(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Cut a random crop of random area and aspect ratio, resized; mirrored half of the time."""
        assert self.crop_scale is not None, "of the data set"
        return self._mirrored(self._cropped(image, self.crop_scale, rng), rng)

    def read_cutout(
        self, path: Path, rng: np.random.Generator, reading: str = "stored"
    ) -> np.ndarray:
        """Decode a file to (size, size, 3) uint8: CBBT's copy, drawn by ``rng``.

        Half of the time a crop of half of the area or more; else the image squashed (bilinear),
        with a square in one random colour around a random pixel, cut at the border. Both are
        mirrored half of the time. Raises ImageError naming an unreadable file.
        """
        image = read_rgb(path, reading)
        if rng.random() < 0.5:
            return np.array(self._mirrored(self._cropped(image, CBBT_CROP_SCALE, rng), rng))
        image = image.resize((self.size, self.size), FILTERS["bilinear"])
        half = round(CUTOUT * self.size)
        x, y = (int(at) for at in rng.integers(self.size, size=2))
        colour = tuple(int(value) for value in rng.integers(256, size=3))
        image.paste(colour, (x - half, y - half, x + half + 1, y + half + 1))
        return np.array(self._mirrored(image, rng))

    def _mirrored(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        if rng.random() < 0.5:
            return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image

    def _cropped(
        self, image: Image.Image, scale: tuple[float, float], rng: np.random.Generator
    ) -> Image.Image:
        """Cut a random crop of a share of the area within ``scale``, resized."""
        box = self._random_box(*image.size, scale, rng)
        return image.crop(box).resize((self.size, self.size), FILTERS[self.interpolation])

    def _random_box(
        self, width: int, height: int, scale: tuple[float, float], rng: np.random.Generator
    ) -> tuple[int, int, int, int]:
        log_ratio = tuple(math.log(ratio) for ratio in CROP_RATIO)
        for _ in range(_ATTEMPTS):
            area = width * height * rng.uniform(*scale)
            ratio = math.exp(rng.uniform(*log_ratio))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
                return int(left), int(top), int(left) + w, int(top) + h
        # A very long image: all of it, cut to the most extreme ratio allowed.
        w = min(width, round(height * CROP_RATIO[1]))
        h = min(height, round(width / CROP_RATIO[0]))
        left, top = (width - w) // 2, (height - h) // 2
        return left, top, left + w, top + h

    def normalise(self, pixels: np.ndarray) -> torch.Tensor:
        """(n, size, size, 3) uint8 -> (n, 3, size, size) float32."""
        return normalise(pixels, self.mean, self.std)
