from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import resource
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from craft.data.fetch.archive import Limits, UnpackError
from craft.data.fetch.unpack import unpack
from tests.miniature.archives import tarred, zipped

ROOMY = Limits(bytes=1 << 20, members=1000)
ALL = {".": "."}


def put(folder: Path, content: bytes, name: str = "archive") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def special(kind: bytes, name: str, link: str = "") -> bytes:
    """A tar with one good file and one member of a special kind."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        info = tarfile.TarInfo("images/good.jpg")
        archive.addfile(info)
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, link
        archive.addfile(info)
    return stream.getvalue()


def zip_link(name: str, target: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    return stream.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred, lambda m: tarred(m, compress=False)])
def test_folders_are_moved_and_the_rest_is_left(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    members = {
        "./EuroSAT_RGB/Forest/1.jpg": b"1",
        "EuroSAT_RGB/River/2.jpg": b"2",
        "EuroSAT_RGB2/River/3.jpg": b"no",
        "README": b"no",
    }
    archive = put(tmp_path, pack(members))
    assert unpack(archive, tmp_path / "out", {"EuroSAT_RGB": "2750"}, ROOMY) == 2
    assert files(tmp_path / "out") == {"2750/Forest/1.jpg": b"1", "2750/River/2.jpg": b"2"}


def test_a_name_below_any_folders_is_found(tmp_path: Path) -> None:
    archive = put(tmp_path, zipped({"a/b/images/x.jpg": b"x", "images/y.jpg": b"y", "z": b"z"}))
    unpack(archive, tmp_path / "out", {"**/images": "images"}, ROOMY)
    assert files(tmp_path / "out") == {"images/x.jpg": b"x", "images/y.jpg": b"y"}


def test_single_files_move_and_only_wanted_ones_do(tmp_path: Path) -> None:
    members = {"d/list.txt": b"l", "d/images/1.jpg": b"1", "d/images/2.jpg": b"2"}
    archive = put(tmp_path, tarred(members))
    moves = {"d/images": "images", "d/list.txt": "list.txt"}
    wanted = {"list.txt", "images/2.jpg"}
    assert unpack(archive, tmp_path / "out", moves, ROOMY, wanted=wanted) == 2
    assert files(tmp_path / "out") == {"list.txt": b"l", "images/2.jpg": b"2"}


@pytest.mark.parametrize("outer", [zipped, tarred])
def test_an_archive_in_an_archive_is_read_through(
    tmp_path: Path, outer: Callable[[dict[str, bytes]], bytes]
) -> None:
    inner = tarred({"101/face/1.jpg": b"1"})
    archive = put(tmp_path, outer({"top/note.txt": b"n", "top/inner.tar.gz": inner}))
    unpack(archive, tmp_path / "out", {"101": "101"}, ROOMY, nested="top/inner.tar.gz")
    assert files(tmp_path / "out") == {"101/face/1.jpg": b"1"}
    with pytest.raises(UnpackError, match=r"no file of 101 in top/none\.tar"):
        unpack(archive, tmp_path / "out", {"101": "101"}, ROOMY, nested="top/none.tar")


def test_a_tar_of_tars_gives_a_folder_for_each(tmp_path: Path) -> None:
    members = {
        f"{c}.tar": tarred({f"{c}_1.JPEG": c.encode()}, compress=False) for c in ("n01", "n02")
    }
    archive = put(tmp_path, tarred(members, compress=False))
    assert unpack(archive, tmp_path / "out", ALL, ROOMY, nested="*.tar") == 2
    assert files(tmp_path / "out") == {"n01/n01_1.JPEG": b"n01", "n02/n02_1.JPEG": b"n02"}


def test_pickles_and_litter_stay_in_the_archive(tmp_path: Path) -> None:
    members = dict.fromkeys(
        ("d/a.jpg", "d/evil.pkl", "d/EVIL.PKL", "d/x.pickle", "d/._a.jpg", "__MACOSX/d/b.jpg"), b"x"
    )
    archive = put(tmp_path, zipped(members))
    wanted = set(members)
    unpack(archive, tmp_path / "out", ALL, ROOMY, wanted=wanted)
    assert set(files(tmp_path / "out")) == {"d/a.jpg"}


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../evil.jpg", "climbs"),
        ("images/../../evil.jpg", "climbs"),
        ("images\\..\\..\\evil.jpg", "climbs"),
        ("/etc/evil.jpg", "absolute"),
        ("C:\\evil.jpg", "absolute"),
        ("//host/evil.jpg", "absolute"),
    ],
)
def test_paths_out_of_the_folder_are_refused_by_name(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], name: str, said: str
) -> None:
    archive = put(tmp_path, pack({"images/good.jpg": b"g", name: b"evil"}))
    # Also where nothing of that name was asked for.
    for moves in (ALL, {"images": "images"}):
        with pytest.raises(UnpackError, match=said) as caught:
            unpack(archive, tmp_path / "in" / "out", moves, ROOMY)
        assert name in str(caught.value)
        for path in (tmp_path / "in" / "out").rglob("*"):
            path.unlink() if path.is_file() else None
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    "content",
    [
        special(tarfile.SYMTYPE, "images/evil.jpg", "../../etc/passwd"),
        special(tarfile.SYMTYPE, "images/evil.jpg", "/etc/passwd"),
        special(tarfile.LNKTYPE, "images/evil.jpg", "../etc/passwd"),
        zip_link("images/evil.jpg", "../../etc/passwd"),
        zip_link("images/evil.jpg", "/etc/passwd"),
    ],
)
def test_links_out_of_the_tree_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnpackError, match=r"images/evil\.jpg links out of the tree"):
        unpack(put(tmp_path, content), tmp_path / "out", {"none": "none"}, ROOMY)


def test_a_link_within_the_tree_is_refused_only_where_a_file_is_needed(tmp_path: Path) -> None:
    content = special(tarfile.SYMTYPE, "images/link.jpg", "good.jpg")
    archive = put(tmp_path, content)
    with pytest.raises(UnpackError, match=r"images/link\.jpg is a link"):
        unpack(archive, tmp_path / "out", ALL, ROOMY)
    assert unpack(archive, tmp_path / "two", ALL, ROOMY, wanted={"images/good.jpg"}) == 1


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    with pytest.raises(UnpackError, match="dev/evil is a device"):
        unpack(put(tmp_path, special(kind, "dev/evil")), tmp_path / "out", ALL, ROOMY)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_bombs_are_refused_before_they_fill_the_disk(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    archive = put(tmp_path, pack({f"{n}.jpg": bytes(1 << 19) for n in range(4)}))
    with pytest.raises(UnpackError, match=r"more than 1048576 bytes unpacked, at 2\.jpg"):
        unpack(archive, tmp_path / "out", ALL, ROOMY)
    assert sum(map(len, files(tmp_path / "out").values())) <= 1 << 20
    many = put(tmp_path, pack({f"{n}.jpg": b"" for n in range(20)}))
    with pytest.raises(UnpackError, match="more than 10 members"):
        unpack(many, tmp_path / "many", ALL, Limits(bytes=1 << 20, members=10))


def test_a_zip_member_that_swells_is_refused_unread(tmp_path: Path) -> None:
    archive = put(tmp_path, zipped({"bomb.jpg": bytes(11 << 20)}))
    with pytest.raises(UnpackError, match=r"bomb\.jpg unpacks \d+ bytes to 11534336"):
        unpack(archive, tmp_path / "out", ALL, Limits(bytes=1 << 40, members=10))


def test_limits_leave_room_for_an_archive_of_images(tmp_path: Path) -> None:
    limits = Limits.of(put(tmp_path, bytes(1000)), images=39_700)
    assert limits.members > 108_754  # SUN397 holds that many
    assert limits.bytes > 4000
    assert Limits.of(put(tmp_path, bytes(1000)), 1, unpacked=10**10).bytes > 4 * 10**10


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("a/x.jpg"))
    with pytest.raises(UnpackError, match=r"a/x\.jpg is in it more than once"):
        unpack(put(tmp_path, stream.getvalue()), tmp_path / "out", ALL, ROOMY)
    clash = put(tmp_path, tarred({"a": b"file", "a/b": b"below a file"}))
    with pytest.raises(UnpackError, match="both a file and a folder"):
        unpack(clash, tmp_path / "clash", ALL, ROOMY)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_damage_is_an_error_that_names_the_archive(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    whole = pack({f"{n}.jpg": bytes(range(256)) * 40 for n in range(10)})
    # The last eight bytes are a .tar.gz's checksum and length, a zip's directory.
    for content in (b"no archive", whole[: len(whole) // 2], whole[:-8] + bytes(8), b""):
        with pytest.raises(UnpackError, match="archive"):
            unpack(put(tmp_path, content), tmp_path / "out", ALL, ROOMY)


@pytest.mark.parametrize("pack", [zipped, tarred, lambda m: tarred(m, compress=False)])
@pytest.mark.parametrize("change", ["cut short", "deleted"])
def test_an_archive_that_is_cut_or_deleted_meanwhile(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], change: str
) -> None:
    members = {f"{n}.jpg": random.Random(n).randbytes(1 << 18) for n in range(4)}
    archive = put(tmp_path, pack(members))

    class Meanwhile(set):  # asked about each member, in the midst of unpacking
        def __contains__(self, name: object) -> bool:
            if name == "1.jpg":
                os.truncate(archive, 1 << 19) if change == "cut short" else archive.unlink()
            return True

    def unpacked() -> int:
        limits = Limits(bytes=1 << 22, members=9)
        return unpack(archive, tmp_path / "out", ALL, limits, wanted=Meanwhile())

    if change == "deleted":
        assert unpacked() == 4
        assert files(tmp_path / "out") == members
    else:
        with pytest.raises(UnpackError, match=r"archive: (damaged|.*early)"):
            unpacked()


def test_a_disk_that_fills_up_is_told_with_the_files_name(tmp_path: Path) -> None:
    archive = put(tmp_path, zipped({"a/1.jpg": bytes(5000)}))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"cannot be written: .*'{tmp_path}/out/a/1\.jpg'"):
            unpack(archive, tmp_path / "out", ALL, ROOMY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_checksum_after_the_end_of_the_tar_is_read(tmp_path: Path) -> None:
    content = gzip.compress(tarred({"a.jpg": b"a"}, compress=False) + bytes(1 << 20))
    assert unpack(put(tmp_path, content), tmp_path / "out", ALL, ROOMY) == 1
    with pytest.raises(UnpackError, match="damaged"):
        unpack(put(tmp_path, content[:-8] + bytes(8)), tmp_path / "two", ALL, ROOMY)


def test_an_archive_without_what_is_asked_for_says_what_it_holds(tmp_path: Path) -> None:
    archive = put(tmp_path, zipped({"sketch/n01/x.jpg": b""}))
    with pytest.raises(UnpackError, match="no file of images; it holds sketch/n01"):
        unpack(archive, tmp_path / "out", {"images": "images"}, ROOMY)


_PART = st.sampled_from(["..", ".", "", "a", "b", "...", "~", "a\\..", "C:", "images"])


@given(parts=st.lists(_PART, min_size=1, max_size=5), zip_it=st.booleans())
def test_nothing_is_ever_written_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], zip_it: bool
) -> None:
    name = "/".join(parts)
    folder = tmp_path_factory.mktemp("any")
    archive = put(folder, (zipped if zip_it else tarred)({name + "/f": b"x"}))
    out = folder / "deep" / "out"
    with contextlib.suppress(UnpackError):
        unpack(archive, out, ALL, ROOMY)
    written = [path for path in folder.rglob("*") if path.is_file() and path != archive]
    assert all(path.is_relative_to(out) for path in written)
    assert not list(folder.parent.glob("f"))
