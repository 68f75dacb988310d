"""Members of other people's archives, one after the other, and what makes one acceptable."""

from __future__ import annotations

import fnmatch
import gzip
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

#: Members smaller than this many bytes may shrink as much as they like: text does.
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


class Member(NamedTuple):
    """A member of an archive, as the archive describes it."""

    name: str
    kind: str  # file | folder | link | other
    size: int  # bytes when unpacked, as the archive says
    link: str  # where a link points, relative to the archive's root
    open: Callable[[], BinaryIO]


def members(archive: Path, nested: str | None, limits: Limits) -> Iterator[Member]:
    """Members of a zip or tar, or of the tars in it that ``nested`` names; raises UnpackError.

    They are read in the archive's order: one is opened before the next is asked for.
    """
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


def _nested_members(stream: BinaryIO, name: str, nested: str) -> Iterator[Member]:
    """Members of a tar inside an archive; where several may be meant, each has a folder."""
    with _tar(stream) as tar:
        for member in _tar_members(tar):
            prefix = f"{PurePosixPath(name).stem}/" if nested != name else ""
            yield member._replace(name=prefix + member.name)


@contextmanager
def _tar(stream: Any) -> Iterator[tarfile.TarFile]:
    """Open a tar for one pass, which is all that a nested archive allows.

    Its compression is read off its content: some .tar.gz are plain tars.
    """
    if stream.peek(2)[:2] == b"\x1f\x8b":
        stream = gzip.GzipFile(fileobj=stream)
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        yield tar
    # tarfile stops at the end mark; a cut or altered file shows after it, in its checksum.
    while stream.read(1 << 18):
        pass


def _tar_members(tar: tarfile.TarFile) -> Iterator[Member]:
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
        yield Member(info.name, kind, info.size, link, lambda info=info: tar.extractfile(info))


def _zip_members(archive: Path, opened: zipfile.ZipFile, limits: Limits) -> Iterator[Member]:
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
        yield Member(info.filename, kind, info.file_size, link, lambda info=info: opened.open(info))


def split_path(path: str) -> tuple[str, ...]:
    """Parts of a path, without empty ones and those that stay where they are."""
    return tuple(part for part in path.split("/") if part not in ("", "."))


def safe_parts(archive: Path, member: Member) -> tuple[str, ...]:
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
    return split_path(name)


def _leaves(link: str) -> bool:
    link = link.replace("\\", "/")
    depth = 0
    for part in split_path(link):
        depth += -1 if part == ".." else 1
        if depth < 0:
            return True
    return link.startswith("/") or bool(re.match(r"[A-Za-z]:", link))
