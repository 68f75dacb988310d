"""Upload images to a service once, and name some of them for a run."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from craft.client.connection import Connection
from craft.client.wire import ZIP

#: Bytes that are read at a time.
_PIECE = 1 << 20


def upload_files(
    connection: Connection, name: str, files: Sequence[Path], *, reading: str = "shown"
) -> dict[str, Any]:
    """Upload image files as an image set; scores come in the order of ``files``.

    ``reading`` is one of craft.data.decode. Raises ServiceError, naming a file by its number where
    it cannot be decoded, and BudgetExceeded.
    """
    members = ((f"{n:08}{file.suffix.lower()}", file.read_bytes) for n, file in enumerate(files))
    return upload(connection, name, members, reading=reading)


def upload(
    connection: Connection,
    name: str,
    members: Iterable[tuple[str, Callable[[], bytes]]],
    *,
    reading: str = "stored",
) -> dict[str, Any]:
    """Upload images, each a name and a function that reads it; the same again is not encoded."""
    with tempfile.TemporaryFile() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for member, read in members:
                archive.writestr(zipfile.ZipInfo(member), read())

        def content() -> Iterable[bytes]:
            return _pieces(packed)

        # Encoding takes what it takes; the head of the answer comes after it.
        return connection.json(
            "PUT",
            f"/v1/image-sets/{name}",
            params={"reading": reading},
            content=content,
            headers={"Content-Type": ZIP},
            timeout=None,
        )


def _pieces(stream: BinaryIO) -> Iterable[bytes]:
    stream.seek(0)
    while piece := stream.read(_PIECE):
        yield piece


def select(
    connection: Connection, name: str, of: str, rows: Sequence[int], norm: str = "unit"
) -> dict[str, Any]:
    """Name rows of an uploaded image set; ``norm`` raw keeps the length of their features."""
    asked = {"of": of, "rows": [int(row) for row in rows], "norm": norm}
    return connection.json("PUT", f"/v1/image-sets/{name}", json=asked)
