from __future__ import annotations

import gzip
import hashlib
import io
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

import craft.data.fetch.http as http_module
from craft.data.fetch import file as download
from craft.data.fetch import sources as transport
from craft.data.fetch.file import Hosts, SpaceError, obtain, verify
from craft.data.fetch.growth import watching
from craft.data.fetch.http import http
from craft.data.fetch.sources import Policy, SourceError, gdrive
from craft.runtime.command import run_command
from craft.runtime.progress import read_line
from craft.runtime.signals import ENDED
from tests.miniature.archives import zipped
from tests.miniature.site import Site, cut, page, serving, status

ROOT = Path(__file__).resolve().parents[2]
QUICK = Policy(attempts=4, wait=0.01, connect_timeout=2, read_timeout=0.5)
BYTES = bytes(range(256)) * 1000
#: A port of this machine that nobody listens on.
NOBODY = "http://127.0.0.1:9/file.zip"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as running:
        running.files["/file.bin"] = BYTES
        yield running


def source(site: Site, path: str = "/file.bin", **pins: Any) -> dict[str, Any]:
    return {"kind": "http", "url": site.url + path, **pins}


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def get(given: dict[str, Any], folder: Path) -> tuple[Path, bool]:
    return obtain(given, folder, Hosts([given["url"]]), policy=QUICK)


# --- transport -----------------------------------------------------------------------------------


def test_a_cut_download_continues_where_it_ended(site: Site, tmp_path: Path) -> None:
    site.faults["/file.bin"] = [cut(1000), cut(2000)]
    path, brought = get(source(site, sha256=sha(BYTES), bytes=len(BYTES)), tmp_path)
    assert brought
    assert path.read_bytes() == BYTES
    assert site.ranges_asked("/file.bin") == [None, "bytes=1000-", "bytes=3000-"]
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["file.bin"]


@pytest.mark.parametrize(("tags", "length"), [(True, len(BYTES)), (True, 999_999), (False, 5000)])
def test_a_file_that_changed_between_two_attempts_is_not_spliced(
    site: Site, tmp_path: Path, tags: bool, length: int
) -> None:
    changed = b"n" * length
    site.tags = tags

    def cut_and_change(handler: Any, content: bytes) -> None:
        cut(1000)(handler, content)
        site.files["/file.bin"] = changed

    site.faults["/file.bin"] = [cut_and_change]
    path, _ = get(source(site), tmp_path)
    assert path.read_bytes() == changed


def test_a_range_that_starts_elsewhere_is_not_appended(site: Site, tmp_path: Path) -> None:
    def elsewhere(handler: Any, content: bytes) -> None:
        total = {"Content-Range": f"bytes 500-{len(content) - 1}/{len(content)}"}
        handler.headers_of(content, 206, len(content) - 500, total)
        handler.wfile.write(content[500:])

    site.faults["/file.bin"] = [cut(1000), elsewhere]
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES


def test_a_range_shorter_than_asked_for_is_continued(site: Site, tmp_path: Path) -> None:
    def short(handler: Any, content: bytes) -> None:
        handler.headers_of(content, 206, 10, {"Content-Range": f"bytes 1000-1009/{len(content)}"})
        handler.wfile.write(content[1000:1010])

    site.faults["/file.bin"] = [cut(1000), short]
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES
    assert site.ranges_asked("/file.bin")[-1] == "bytes=1010-"


def test_a_server_without_ranges_sends_it_all_again(site: Site, tmp_path: Path) -> None:
    site.ranges = False
    site.faults["/file.bin"] = [cut(1000)]
    path, _ = get(source(site), tmp_path)
    assert path.read_bytes() == BYTES


def test_a_partial_file_longer_than_the_file_is_dropped(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "file.bin.part"
    url = source(site)["url"]
    part.write_bytes(BYTES + b"too much")
    (tmp_path / "file.bin.part.json").write_text(f'{{"url": "{url}", "total": {len(BYTES)}}}')
    http(url, part, QUICK)
    assert part.read_bytes() == BYTES


def test_a_partial_file_of_another_address_is_not_continued(site: Site, tmp_path: Path) -> None:
    part = tmp_path / "file.bin.part"
    part.write_bytes(b"another mirror's")
    known = f'{{"url": "http://else.where/", "total": {len(BYTES)}}}'
    (tmp_path / "file.bin.part.json").write_text(known)
    http(source(site)["url"], part, QUICK)
    assert part.read_bytes() == BYTES


@pytest.mark.parametrize("code", [429, 500, 503])
def test_a_busy_server_is_asked_again(site: Site, tmp_path: Path, code: int) -> None:
    site.faults["/file.bin"] = [status(code), status(code, Retry_After="0")]
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES


def test_attempts_are_bounded_and_back_off(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(http_module.time, "sleep", waits.append)
    site.faults["/file.bin"] = [status(503)] * 9
    with pytest.raises(SourceError, match=r"4 failed attempts, last: status 503"):
        get(source(site), tmp_path)
    assert len(site.asked) == 4
    assert len(waits) == 3
    assert all(0.005 * 2**n <= wait <= 0.01 * 2**n for n, wait in enumerate(waits))


def test_attempts_that_bring_something_are_not_counted(site: Site, tmp_path: Path) -> None:
    site.files["/file.bin"] = big = bytes(8 << 20)
    site.faults["/file.bin"] = [cut(1 << 20)] * 6
    assert get(source(site), tmp_path)[0].stat().st_size == len(big)


def test_a_missing_file_is_asked_for_once(site: Site, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="404"):
        get(source(site, "/none.bin"), tmp_path)
    assert len(site.asked) == 1


def test_a_server_that_stalls_is_given_up_and_asked_for_the_rest(
    site: Site, tmp_path: Path
) -> None:
    def stall(handler: Any, content: bytes) -> None:
        cut(5000)(handler, content)
        time.sleep(1)

    site.faults["/file.bin"] = [stall]
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES
    assert site.ranges_asked("/file.bin")[1] == "bytes=5000-"


def test_bytes_come_as_published_whatever_encoding_a_server_declares(
    site: Site, tmp_path: Path
) -> None:
    site.files["/file.bin"] = published = gzip.compress(BYTES)

    def encoded(handler: Any, content: bytes) -> None:
        # Compressed anew for whoever accepts it; else declared as what it is by itself.
        accepted = "gzip" in handler.headers.get("Accept-Encoding", "")
        content = gzip.compress(content) if accepted else content
        handler.headers_of(content, 200, len(content), {"Content-Encoding": "gzip"})
        handler.wfile.write(content)

    site.faults["/file.bin"] = [encoded] * 9
    assert get(source(site), tmp_path)[0].read_bytes() == published


def test_a_size_that_nobody_states_is_no_obstacle(site: Site, tmp_path: Path) -> None:
    def chunked(handler: Any, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for start in range(0, len(content), 50_000):
            block = content[start : start + 50_000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))
        handler.wfile.write(b"0\r\n\r\n")

    site.faults["/file.bin"] = [chunked]
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES


# --- what came is what was asked for -------------------------------------------------------------


@pytest.mark.parametrize("declared", ["text/html", "application/octet-stream"])
def test_a_web_page_in_place_of_an_archive_is_recognised(
    site: Site, tmp_path: Path, declared: str
) -> None:
    text = "<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"
    site.faults["/file.bin"] = [page(text, declared)]
    with pytest.raises(SourceError, match=r"web page titled 'Google Drive - Quota exceeded'"):
        get(source(site), tmp_path)
    assert not list(tmp_path.glob("*.bin"))


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        ({"sha256": "0" * 64}, "sha256 is"),
        ({"md5": "0" * 32, "sha256": None}, "md5 is"),
        ({"bytes": 12}, "256000 bytes, pinned are 12"),
    ],
)
def test_wrong_sums_delete_the_download_alone(
    site: Site, tmp_path: Path, pins: dict[str, Any], said: str
) -> None:
    (tmp_path / "other.zip").write_bytes(b"mine")
    with pytest.raises(SourceError, match=said):
        get(source(site, **pins), tmp_path)
    assert [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")] == ["other.zip"]


def test_a_file_that_is_there_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "file.zip").write_bytes(b"brought by hand")
    given = {"kind": "http", "url": NOBODY, "sha256": sha(b"brought by hand")}
    assert get(given, tmp_path) == (tmp_path / "file.zip", False)


def test_a_file_that_is_there_and_wrong_is_kept_aside(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(b"somebody's")
    path, brought = get(source(site, sha256=sha(BYTES)), tmp_path)
    assert brought
    assert path.read_bytes() == BYTES
    assert (tmp_path / "file.bin.rejected").read_bytes() == b"somebody's"


def test_no_room_is_noticed_before_the_first_byte(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=len(BYTES) * 2 - 1)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda folder: usage)

    def get_and_unpack(given: dict[str, Any], unpacked: int | None) -> Path:
        hosts, unpacks = Hosts([site.url]), (tmp_path, unpacked)
        return obtain(given, tmp_path, hosts, unpacks=unpacks, policy=QUICK)[0]

    with pytest.raises(SpaceError, match=r"file.bin needs 0.00 GB"):
        get_and_unpack(source(site, bytes=len(BYTES)), None)
    assert not site.asked
    # A size that only the server knows stops it too.
    with pytest.raises(SpaceError):
        get_and_unpack(source(site), None)
    assert not list(tmp_path.glob("*.part"))
    assert get_and_unpack(source(site), len(BYTES) - 1).read_bytes() == BYTES


def test_unreachable_hosts_are_known_at_once(tmp_path: Path) -> None:
    start = time.monotonic()
    addresses = [NOBODY, "http://no-such-host.invalid/x"]
    hosts = Hosts(addresses)
    for address in addresses:
        assert "cannot be reached" in hosts.problem(address)
    assert time.monotonic() - start < 8


def test_a_proxy_is_what_must_answer(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    monkeypatch.delenv("no_proxy", raising=False)
    url = "http://no-such-host.invalid/x"
    assert Hosts([url]).problem(url) is None


# --- other kinds of sources ----------------------------------------------------------------------


def test_the_hub_is_asked_for_the_pinned_revision(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    path = f"/datasets/someone/things/resolve/{'0' * 40}/data/file.bin"
    site.files[path] = content = bytes(12 << 20)
    given = {
        "kind": "hub",
        "repo": "someone/things",
        "repo_type": "dataset",
        "file": "data/file.bin",
        "revision": "0" * 40,
        "sha256": sha(content),
    }
    assert transport.address(given) == site.url + path
    site.faults[path] = [cut(11 << 20)]  # the hub's client writes 10 MiB at a time
    found, _ = obtain(given, tmp_path, Hosts([site.url + path]), policy=QUICK)
    assert found == tmp_path / "file.bin"
    assert found.read_bytes() == content
    assert site.ranges_asked(path) == [None, f"bytes={10 << 20}-"]
    site.files[path.replace("file.bin", "page.zip")] = b"<html><title>Sign in</title></html>"
    with pytest.raises(SourceError, match="web page titled 'Sign in'"):
        obtain({**given, "file": "data/page.zip"}, tmp_path, Hosts([site.url]), policy=QUICK)
    with pytest.raises(SourceError, match="404"):
        transport.hub({**given, "file": "none"}, tmp_path / "x.part", QUICK)


@pytest.fixture
def drive(site: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Google Drive: what gdown asks of it is answered by the server on loopback."""
    send = requests.adapters.HTTPAdapter.send

    def redirected(self: Any, request: Any, **options: Any) -> Any:
        request.url = re.sub(r"^https://drive(\.user)?\.google\w*\.com", site.url, request.url)
        return send(self, request, **options)

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", redirected)
    return site


def test_google_drive_is_asked_through_gdown(drive: Site, tmp_path: Path) -> None:
    def file(handler: Any, content: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "application/zip")
        handler.send_header("Content-Disposition", 'attachment; filename="x.zip"')
        handler.send_header("Content-Length", str(len(BYTES)))
        handler.end_headers()
        handler.wfile.write(BYTES)

    drive.files["/uc"] = b""
    drive.faults["/uc"] = [file]
    gdrive({"kind": "gdrive", "id": "abc"}, tmp_path / "x.zip.part", QUICK)
    assert (tmp_path / "x.zip.part").read_bytes() == BYTES
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip.part"]


def test_the_quota_page_of_google_drive_is_an_error(drive: Site, tmp_path: Path) -> None:
    drive.files["/uc"] = b""
    said = "Too many users have viewed or downloaded this file recently."
    drive.faults["/uc"] = [page(f'<html><p class="uc-error-subcaption">{said}</p></html>')]
    with pytest.raises(SourceError, match="Too many users"):
        gdrive({"kind": "gdrive", "id": "abc"}, tmp_path / "x.zip.part", QUICK)
    drive.faults["/uc"] = [page("what gdown does not know", "odd")]
    with pytest.raises(SourceError, match="id=abc"):
        gdrive({"kind": "gdrive", "id": "abc"}, tmp_path / "x.zip.part", QUICK)


# --- processes -----------------------------------------------------------------------------------

_FETCH = """
import logging, sys
from pathlib import Path
from craft.data.fetch.file import Hosts, obtain
from craft.data.fetch.sources import Policy
logging.basicConfig(level=logging.INFO)
url, folder = sys.argv[1:]
print(obtain({"kind": "http", "url": url}, Path(folder), Hosts([url]), policy=Policy())[1])
"""


def fetching(url: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _FETCH, url, str(folder)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_fetch_a_file_once(site: Site, tmp_path: Path) -> None:
    site.pause = 0.03  # half a second in all
    both = [fetching(site.url + "/file.bin", tmp_path) for _ in range(2)]
    outputs = sorted(process.communicate()[0].strip() for process in both)
    assert outputs == ["False", "True"]
    assert site.ranges_asked("/file.bin") == [None]
    assert (tmp_path / "file.bin").read_bytes() == BYTES


def test_a_killed_download_is_continued_by_the_next_process(site: Site, tmp_path: Path) -> None:
    site.files["/file.bin"] = content = BYTES * 8
    site.pause = 0.02
    process = fetching(site.url + "/file.bin", tmp_path)
    part = tmp_path / "file.bin.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size >= 1 << 18):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    here = part.stat().st_size
    assert not (tmp_path / "file.bin").exists()
    site.pause = 0
    assert fetching(site.url + "/file.bin", tmp_path).communicate()[0].strip() == "True"
    assert site.ranges_asked("/file.bin")[-1] == f"bytes={here}-"
    assert (tmp_path / "file.bin").read_bytes() == content


def test_a_download_that_is_told_to_end_keeps_what_came(site: Site, tmp_path: Path) -> None:
    part, over = tmp_path / "file.bin.part", threading.Event()

    def end(handler: Any, content: bytes) -> None:
        handler.whole_or_part(content, stop=100_000)
        while not part.exists() or part.stat().st_size < 100_000:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        over.wait(10)

    site.faults["/file.bin"] = [end]
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: get(source(site), tmp_path))
    over.set()
    assert ended.value.code == ENDED
    assert part.stat().st_size == 100_000
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES
    assert site.ranges_asked("/file.bin")[-1] == "bytes=100000-"


def test_a_disk_that_takes_a_part_of_a_block_gets_the_rest(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nearly(io.FileIO):
        def write(self, block: Any) -> int:
            return super().write(bytes(block)[:10_000])

    part = tmp_path / "x.part"
    monkeypatch.setattr(
        http_module, "open", lambda path, mode, buffering: Nearly(path, mode), raising=False
    )
    http(source(site)["url"], part, QUICK)
    assert part.read_bytes() == BYTES


def test_a_disk_that_is_full_is_told_and_what_came_is_kept(site: Site, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written: .*'.*/file\.bin\.part'"):
            get(source(site), tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "file.bin.part").stat().st_size == 50_000
    assert get(source(site), tmp_path)[0].read_bytes() == BYTES
    assert site.ranges_asked("/file.bin")[-1] == "bytes=50000-"


@pytest.mark.parametrize("damaged", [False, True])
def test_what_came_whole_but_was_not_verified_is_not_fetched_again(
    site: Site, tmp_path: Path, damaged: bool
) -> None:
    content = BYTES[::-1] if damaged else BYTES
    (tmp_path / "file.bin.part").write_bytes(content)
    path, _ = get(source(site, sha256=sha(BYTES), bytes=len(BYTES)), tmp_path)
    assert path.read_bytes() == BYTES
    assert bool(site.asked) == damaged


# --- what a reader sees --------------------------------------------------------------------------


def test_progress_is_logged_while_a_file_grows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part = tmp_path / "x.part"
    (tmp_path / "x.part.json").write_bytes(bytes(1_000_000))
    with caplog.at_level(logging.INFO), watching(part, 4_000_000, "x", every=0.02):
        part.write_bytes(bytes(2_000_000))
        time.sleep(0.2)
    begun, *grown, ended = filter(None, map(read_line, caplog.messages))
    assert (begun.what, begun.done, begun.total, begun.unit) == ("download of x", 1, 4, "MB")
    assert grown[-1].done == ended.done == 3
    assert grown[-1].running and not ended.running


def test_verification_reads_every_sum(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(zipped({"a": b"b"}))
    right = {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "sha256": sha(path.read_bytes())}
    verify(path, {"kind": "http", "url": "u", **right})
    for name in right:
        with pytest.raises(SourceError, match=name):
            verify(path, {"kind": "http", "url": "u", **right, name: "0" * len(right[name])})
