"""Archives of other people, unpacked with suspicion: only what is asked for, below one folder.

Refused with the member's name: absolute paths, paths that climb, links out of the tree, devices,
encrypted or repeated members, and more bytes or members than such an archive can hold. Pickles
are never written.
"""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Container, Mapping
from pathlib import Path

from craft.data.fetch.archive import Limits, Member, UnpackError, members, safe_parts, split_path
from craft.files.atomic import writing
from craft.runtime.progress import Progress

#: Never unpacked: code in disguise, and what file managers leave behind.
_PICKLES = (".pkl", ".pickle")
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)

_BLOCK = 1 << 18


def unpack(
    archive: Path,
    folder: Path,
    moves: Mapping[str, str],
    limits: Limits,
    *,
    nested: str | None = None,
    wanted: Container[str] | None = None,
) -> int:
    """Unpack members of a zip or tar archive below ``folder``; returns the number of files.

    ``moves`` maps a member or folder of the archive to where it goes ("." for either root;
    "**/name" finds name below any folders); nothing else is unpacked. ``nested`` is a tar inside
    the archive that is read instead, or a pattern of several, each then a folder of its name.
    ``wanted`` restricts to these paths below ``folder``.
    Raises UnpackError; what was written so far is left for the caller to drop.
    """
    plan = [(split_path(key), split_path(goal)) for key, goal in moves.items()]
    written = count = total = 0
    tops: set[str] = set()
    try:
        with Progress(f"unpacking of {archive.name}", None, "files") as progress:
            for member in members(archive, nested, limits):
                count, total = count + 1, total + member.size
                if count > limits.members:
                    raise UnpackError(
                        f"{archive}: more than {limits.members} members: {member.name}"
                    )
                if total > limits.bytes:
                    raise UnpackError(
                        f"{archive}: more than {limits.bytes} bytes unpacked, at {member.name}"
                    )
                parts = safe_parts(archive, member)
                tops.add("/".join(parts[:2]))
                goal = _goal(parts, plan) if member.kind != "folder" else None
                if goal is None or _unwelcome(parts):
                    continue
                if wanted is not None and "/".join(goal) not in wanted:
                    continue
                if member.kind == "link":
                    raise UnpackError(f"{archive}: {member.name} is a link where a file is needed")
                _write(archive, member, folder.joinpath(*goal))
                written += 1
                progress.reach(written)
    except _DAMAGE as error:
        raise UnpackError(f"{archive}: damaged ({error or type(error).__name__})") from error
    except (NotImplementedError, RuntimeError) as error:
        if isinstance(error, UnpackError):
            raise
        raise UnpackError(f"{archive}: {error}") from error
    if not written:
        found = ", ".join(sorted(tops)[:5]) or "nothing"
        asked = ", ".join(moves) + (f" in {nested}" if nested else "")
        raise UnpackError(f"{archive}: holds no file of {asked}; it holds {found}")
    return written


def _unwelcome(parts: tuple[str, ...]) -> bool:
    return (
        any(part in _JUNK for part in parts)
        or parts[-1].startswith("._")
        or parts[-1].lower().endswith(_PICKLES)
    )


def _goal(
    parts: tuple[str, ...], plan: list[tuple[tuple[str, ...], tuple[str, ...]]]
) -> tuple[str, ...] | None:
    """Where a member goes, None for nowhere."""
    for key, goal in plan:
        starts = [0]
        if key[:1] == ("**",):
            key = key[1:]
            starts = range(len(parts) - len(key) + 1)
        for start in starts:
            if parts[start : start + len(key)] == key:
                return (*goal, *parts[start + len(key) :]) or None
    return None


def _write(archive: Path, member: Member, path: Path) -> None:
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnpackError(f"{archive}: {path.parent.name} is both a file and a folder") from None
    try:
        with writing(path), member.open() as source, open(path, "xb") as target:
            left = member.size
            while block := source.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise UnpackError(f"{archive}: {member.name} is longer than it says")
                target.write(block)
    except FileExistsError:
        raise UnpackError(f"{archive}: {member.name} is in it more than once") from None
    except IsADirectoryError:
        raise UnpackError(f"{archive}: {member.name} is both a file and a folder") from None
    if left:
        raise UnpackError(f"{archive}: {member.name} ends {left} bytes early")
