"""Image files as they are sent to services: upright, in a format that all services read."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image

from craft.data.rgb import read_rgb

#: Formats that are sent unchanged if their pixels need no change.
_SENT = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


@dataclass(frozen=True)
class SentImage:
    """The bytes of an image to send, and their media type."""

    content: bytes
    mime: str

    @property
    def base64(self) -> str:
        """Return the content in base64."""
        return base64.b64encode(self.content).decode()

    @property
    def data_uri(self) -> str:
        """Return the content as a data URI."""
        return f"data:{self.mime};base64,{self.base64}"

    @classmethod
    def read(cls, path: Path) -> SentImage:
        """Return the file's bytes, or a PNG of the picture that a viewer shows.

        A service may ignore EXIF orientation and transparency. Raises ImageError naming a file
        that does not decode.
        """
        shown = read_rgb(path, "shown")
        content = path.read_bytes()
        if mime := _sent_as_it_is(content):
            return cls(content, mime)
        buffer = io.BytesIO()
        shown.save(buffer, "PNG")
        return cls(buffer.getvalue(), "image/png")


def _sent_as_it_is(content: bytes) -> str | None:
    try:
        with Image.open(io.BytesIO(content)) as image:
            plain = image.mode in ("RGB", "L") and not image.has_transparency_data
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            return _SENT.get(image.format or "") if plain and not turned else None
    except (OSError, ValueError, SyntaxError):  # damage beside the pixels, which were decoded
        return None
