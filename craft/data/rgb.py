"""Image files of any origin become 8-bit RGB, or are named: nothing is half read.

There are two readings. ``stored`` converts the stored pixels as CLIP's own pipeline and the loaders
of CoOp and CraFT do, without regard to transparency, rotation and 16 bits: published numbers need
it. ``shown`` is what somebody sees who opens the file: turned as its EXIF data say, transparency
over white, 16 bits scaled to 8. It is the reading of a user's own images. Pillow turns TIFF files
itself when it loads them, so that both readings have them upright.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

READINGS = ("stored", "shown")
#: By content, not by a file's name.
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
#: EXIF orientation -> what turns the stored pixels upright.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_PNG = b"\x89PNG\r\n\x1a\n"
#: Chunks of a PNG that its pixels, and their orientation, depend on.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"eXIf")


class ImageError(ValueError):
    """Image files cannot be read; each is named."""


def read_rgb(path: Path, reading: str = "stored") -> Image.Image:
    """Return the image in a file, the first one of several, as RGB of 8 bits.

    Raises ImageError naming a file that is missing, empty, truncated, no image of FORMATS, or of
    more pixels than Pillow takes for harmless; ValueError for an unknown reading.
    """
    if reading not in READINGS:
        raise ValueError(f"reading: expected one of {', '.join(READINGS)}, got {reading!r}")
    try:
        # From memory: Pillow maps an uncompressed TIFF with its sides already exchanged by
        # orientation 5 to 8, which scrambles the pixels.
        content = path.read_bytes()
        try:
            return _decode(content, reading)
        except Exception:
            if not content.startswith(_PNG):
                raise
            # Text, profiles and other data beside the pixels may be damaged, or too large.
            return _decode(_pixels_only(content), reading)
    except Image.UnidentifiedImageError as error:
        what = f"no image of {', '.join(FORMATS)}" if content else "an empty file"
        raise ImageError(f"{path}: cannot be decoded ({what})") from error
    except Exception as error:
        # A decoder that meets a file made to upset it may raise anything.
        raise ImageError(f"{path}: cannot be decoded ({error or type(error).__name__})") from error


def _decode(content: bytes, reading: str) -> Image.Image:
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        return image.convert("RGB") if reading == "stored" else _as_shown(image)


def _pixels_only(png: bytes) -> bytes:
    """Return a PNG without the chunks that its pixels do not depend on."""
    kept, start = [_PNG], len(_PNG)
    while start + 8 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, start)
        end = start + 12 + length  # length, kind, content, checksum
        if kind in _PIXEL_CHUNKS:
            kept.append(png[start:end])
        start = end
    return b"".join(kept)


def _as_shown(image: Image.Image) -> Image.Image:
    image.load()  # metadata may lie behind the pixels; a TIFF is upright from here on
    image = image.transpose(turn) if (turn := _turn(image)) is not None else image
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


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what turns an image upright; None where its EXIF data ask for nothing."""
    try:
        return _TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:
        # EXIF data that cannot be parsed say nothing; viewers show such a picture as stored.
        return None
