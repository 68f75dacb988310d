"""Upload images to a service, and select rows of an uploaded image set."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from craft.client.connection import Connection
from craft.client.wire import ZIP, digest

#: Bytes to read at a time.
_PIECE = 1 << 20


def upload_files(
    connection: Connection, name: str, files: Sequence[Path], *, reading: str = "shown"
) -> dict[str, Any]:
    """Upload image files as an image set; scores come in the order of ``files``.

    ``reading`` is one of craft.data.rgb. Raises ServiceError, naming a file by its number where
    it does not decode, and BudgetExceeded.
    """
    members = ((f"{n:08}{file.suffix.lower()}", file.read_bytes) for n, file in enumerate(files))
    with packed(members) as (archive, _):
        return send(connection, name, archive, reading)


@contextmanager
def packed(
    members: Iterable[tuple[str, Callable[[], bytes]]],
) -> Iterator[tuple[BinaryIO, str]]:
    """Yield a zip of files, each a name and a function that reads it, and a hash of them all."""
    parts: list[str | bytes] = []
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as opened:
            for member, read in members:
                content = read()
                parts += [member, digest(content)]
                opened.writestr(zipfile.ZipInfo(member), content)
        yield archive, digest(*parts)


def send(connection: Connection, name: str, archive: BinaryIO, reading: str) -> dict[str, Any]:
    """Upload a zip; the service does not encode images again that it has under that name."""

    def content() -> Iterator[bytes]:
        archive.seek(0)
        while piece := archive.read(_PIECE):
            yield piece

    return connection.json(
        "PUT",
        f"/v1/image-sets/{name}",
        params={"reading": reading},
        content=content,
        headers={"Content-Type": ZIP},
        timeout=None,  # the head of the answer comes when all is encoded
    )


def select(
    connection: Connection, name: str, of: str, rows: Sequence[int], norm: str = "unit"
) -> dict[str, Any]:
    """Name rows of an uploaded image set; ``norm`` raw keeps the length of their features."""
    asked = {"of": of, "rows": [int(row) for row in rows], "norm": norm}
    return connection.json("PUT", f"/v1/image-sets/{name}", json=asked)
