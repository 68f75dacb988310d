"""Archives of other people, unpacked with suspicion: only what is asked for, below one folder.

Refused with the member's name: absolute paths, paths that climb, links out of the tree, devices,
encrypted or repeated members, and more bytes or members than such an archive can hold. Pickles
are never written, whatever asks for them.
"""

from __future__ import annotations

import fnmatch
import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

#: Never unpacked: code in disguise, and what file managers leave behind.
_PICKLES = (".pkl", ".pickle")
_JUNK = ("__MACOSX", ".DS_Store", "Thumbs.db")

_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError)

_BLOCK = 1 << 18
#: Members smaller than this may shrink as much as they like: text does.
_SMALL = 10 << 20


class UnpackError(RuntimeError):
    """An archive is damaged, hostile, or not what its description says."""


@dataclass(frozen=True)
class Limits:
    """What an archive may hold at most, skipped members included."""

    bytes: int
    members: int
    ratio: int = 100  # of a large zip member's size to its compressed size

    @classmethod
    def of(cls, archive: Path, images: int, unpacked: int | None = None) -> Limits:
        """Bounds for an archive of images, which hardly compress, about ``images`` of them."""
        expected = max(archive.stat().st_size, unpacked or 0)
        return cls(bytes=4 * expected + (64 << 20), members=4 * images + 20_000)


class _Member(NamedTuple):
    name: str
    kind: str  # file | folder | link | other
    size: int  # bytes when unpacked, as the archive says
    link: str  # where a link points, relative to the archive's root
    open: Callable[[], BinaryIO]


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
    plan = [(_parts(key), tuple(_parts(goal))) for key, goal in moves.items()]
    written = members = total = 0
    tops: set[str] = set()
    try:
        for member in _members(archive, nested, limits):
            members, total = members + 1, total + member.size
            if members > limits.members:
                raise UnpackError(f"{archive}: more than {limits.members} members: {member.name}")
            if total > limits.bytes:
                raise UnpackError(
                    f"{archive}: more than {limits.bytes} bytes unpacked, at {member.name}"
                )
            parts = _safe(archive, member)
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


def _members(archive: Path, nested: str | None, limits: Limits) -> Iterator[_Member]:
    with open(archive, "rb") as stream:
        head = stream.read(4)
    # Not zipfile.is_zipfile, which takes a tar that ends with a zip for one.
    if head == b"PK\x03\x04":
        with zipfile.ZipFile(archive) as opened:
            if nested is None:
                yield from _zip_members(archive, opened, limits)
            for name in fnmatch.filter(opened.namelist(), nested) if nested else ():
                with opened.open(name) as inner:
                    yield from _nested_members(inner, name, nested)
        return
    with open(archive, "rb") as stream, _tar(stream) as tar:
        if nested is None:
            yield from _tar_members(tar)
            return
        for info in tar:
            name = info.name.removeprefix("./")
            if info.isreg() and fnmatch.fnmatchcase(name, nested):
                yield from _nested_members(tar.extractfile(info), name, nested)


def _nested_members(stream: BinaryIO, name: str, nested: str) -> Iterator[_Member]:
    """Members of a tar inside an archive; where several may be meant, each has a folder."""
    with _tar(stream) as tar:
        for member in _tar_members(tar):
            prefix = f"{PurePosixPath(name).stem}/" if nested != name else ""
            yield member._replace(name=prefix + member.name)


@contextmanager
def _tar(stream: Any) -> Iterator[tarfile.TarFile]:
    """Open a tar for one pass, which is all that a nested archive allows.

    Its compression is told by its content: some .tar.gz are plain tars.
    """
    if stream.peek(2)[:2] == b"\x1f\x8b":
        stream = gzip.GzipFile(fileobj=stream)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        yield tar
    # tarfile stops at the end mark; a cut or altered file shows after it, in its checksum.
    while stream.read(_BLOCK):
        pass


def _tar_members(tar: tarfile.TarFile) -> Iterator[_Member]:
    for info in tar:
        kind = "other"
        if info.isreg() and not info.issparse():
            kind = "file"
        elif info.isdir():
            kind = "folder"
        elif info.issym() or info.islnk():
            kind = "link"
        link = info.linkname
        if info.issym() and not link.startswith("/"):
            link = f"{PurePosixPath(info.name).parent}/{link}"
        yield _Member(info.name, kind, info.size, link, lambda info=info: tar.extractfile(info))


def _zip_members(archive: Path, opened: zipfile.ZipFile, limits: Limits) -> Iterator[_Member]:
    for info in opened.infolist():
        # Before anything of the member is read.
        if info.file_size > max(_SMALL, limits.ratio * info.compress_size):
            raise UnpackError(
                f"{archive}: {info.filename} unpacks {info.compress_size} bytes to {info.file_size}"
            )
        mode, kind, link = info.external_attr >> 16, "file", ""
        if info.is_dir():
            kind = "folder"
        elif stat.S_ISLNK(mode):
            kind, target = "link", opened.read(info)[:4096].decode("utf-8", "replace")
            parent = PurePosixPath(info.filename).parent
            link = target if target.startswith("/") else f"{parent}/{target}"
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            kind = "other"
        yield _Member(
            info.filename, kind, info.file_size, link, lambda info=info: opened.open(info)
        )


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", "."))


def _safe(archive: Path, member: _Member) -> tuple[str, ...]:
    """Parts of a member's path; raises UnpackError for one that would leave the folder."""
    if member.kind == "other":
        raise UnpackError(f"{archive}: {member.name} is a device, a pipe or a sparse file")
    name = member.name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise UnpackError(f"{archive}: {member.name} is an absolute path")
    if ".." in name.split("/"):
        raise UnpackError(f"{archive}: {member.name} climbs out of its folder")
    if member.kind == "link" and _leaves(member.link):
        raise UnpackError(f"{archive}: {member.name} links out of the tree, to {member.link}")
    return _parts(name)


def _leaves(link: str) -> bool:
    link = link.replace("\\", "/")
    depth = 0
    for part in _parts(link):
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return link.startswith("/") or bool(re.match(r"[A-Za-z]:", link))


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


def _write(archive: Path, member: _Member, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise UnpackError(f"{archive}: {path.parent.name} is both a file and a folder") from None
    try:
        with member.open() as source, open(path, "xb") as target:
            left = member.size
            while block := source.read(_BLOCK):
                left -= len(block)
                if left < 0:
                    raise UnpackError(f"{archive}: {member.name} is longer than it says")
                target.write(block)
    except FileExistsError:
        raise UnpackError(f"{archive}: {member.name} is there twice") from None
    except IsADirectoryError:
        raise UnpackError(f"{archive}: {member.name} is both a file and a folder") from None
    if left:
        raise UnpackError(f"{archive}: {member.name} ends {left} bytes early")
