"""Image files of any origin become 8-bit RGB, or are named: nothing is half read.

There are two readings. ``stored`` converts the stored pixels as CLIP's own pipeline and the loaders
of CoOp and CraFT do, whatever becomes of transparency, rotation and 16 bits: published numbers need
it. ``shown`` is what somebody sees who opens the file: turned as its EXIF data say, transparency
over white, 16 bits scaled to 8. It is the reading of a user's own images.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

READINGS = ("stored", "shown")
#: By content, whatever a file's name says.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")


class ImageError(ValueError):
    """Image files cannot be read; each is named."""


def read_rgb(path: Path, reading: str = "stored") -> Image.Image:
    """The image in a file, the first one of several, as RGB of 8 bits.

    Raises ImageError naming a file that is missing, empty, truncated, no image of FORMATS, or of
    more pixels than Pillow takes for harmless; ValueError for an unknown reading.
    """
    if reading not in READINGS:
        raise ValueError(f"reading {reading!r}; accepted: {', '.join(READINGS)}")
    try:
        with Image.open(path, formats=FORMATS) as image:
            return image.convert("RGB") if reading == "stored" else _as_shown(image)
    except Image.UnidentifiedImageError as error:
        what = f"no image of {', '.join(FORMATS)}" if path.stat().st_size else "an empty file"
        raise ImageError(f"{path}: cannot be decoded ({what})") from error
    except Exception as error:
        # A decoder that meets a file made to upset it may raise anything.
        raise ImageError(f"{path}: cannot be decoded ({error or type(error).__name__})") from error


def _as_shown(image: Image.Image) -> Image.Image:
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float32) / 257
        return Image.fromarray(grey.round().astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("pixels of 32 bits have no agreed range: save it with 8 or 16")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(page, image).convert("RGB")
    return image.convert("RGB")


def unreadable(paths: Sequence[Path], reading: str, workers: int = 1) -> list[str]:
    """What is wrong with each file that cannot be read, in order; decodes all of them."""

    def problem(path: Path) -> str | None:
        try:
            read_rgb(path, reading)
        except ImageError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool:
        return [text for text in pool.map(problem, paths) if text]
