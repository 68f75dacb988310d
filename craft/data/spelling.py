"""Spellings of one file name: Unicode forms, bytes that are no text, paths written in two ways."""

from __future__ import annotations

import unicodedata
from pathlib import Path, PurePosixPath


def composed(text: str) -> str:
    """Return ``text`` in Unicode's composed form (NFC); macOS writes names decomposed (NFD)."""
    return unicodedata.normalize("NFC", text)


def is_text(name: str) -> bool:
    """Return whether a name from the disk is UTF-8: Python holds other bytes as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(name: str) -> str:
    r"""Return a name that can be printed, a byte that is no UTF-8 written as ``\xe9``."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def normal(path: str) -> str:
    """Return ``path`` without ``./`` and doubled slashes; ``..`` and links stay."""
    return PurePosixPath(path).as_posix()


def on_disk(root: Path, path: str) -> str | None:
    """Return ``path`` as the disk spells it below ``root``, in any Unicode form, or None."""
    if (root / path).is_file():
        return path
    found = Path()
    for step in PurePosixPath(path).parts:
        folder = root / found
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
        alike = [name for name in names if composed(name) == composed(step)]
        if not alike:
            return None
        found /= step if step in alike else alike[0]
    return found.as_posix() if (root / found).is_file() else None
