"""Folders written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from craft.files.atomic import writing


def require_replaceable(path: Path, mark: str) -> None:
    """Raise FileExistsError for a file, or a nonempty folder without a file ``mark``."""
    if path.exists() and not (path / mark).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise FileExistsError(
            f"{path}: expected a new folder, or one with {mark} to replace; choose another"
        )


@contextlib.contextmanager
def replacing_folder(path: str | os.PathLike[str], mark: str) -> Iterator[Path]:
    """Yield a new folder beside ``path`` that takes its place at the end of the block.

    An existing folder is replaced if it is empty or holds a file named ``mark``. Raises
    FileExistsError for any other, and WriteError for errors of the disk.
    """
    path = Path(path)
    require_replaceable(path, mark)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            new, old = temporary / "new", temporary / "old"
            new.mkdir()
            yield new
            if path.exists():
                os.replace(path, old)
            os.replace(new, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
