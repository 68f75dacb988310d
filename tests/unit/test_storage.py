"""Locks that end with their process; files and folders that go while they are used."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from craft.files.atomic import RecordError, WriteError, replacing, unchanged, write_text
from craft.files.locks import Busy, claim, locked

HOLD = """
import sys, time
from pathlib import Path
from craft.files.locks import claim
lock = claim(Path(sys.argv[1]), wait=False)
print("held", flush=True)
time.sleep(60)
"""


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "cache/lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match=f"process {holder.pid} on .* holds {path}"):
            claim(path, wait=False)
        holder.kill()
    with locked(path, wait=False):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(Busy):
            claim(path, wait=False)
    claim(path, wait=True).release()


def test_a_disk_without_locks_is_told_with_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(WriteError, match=rf"Function not implemented: '{tmp_path}/lock'"):
        claim(tmp_path / "lock", wait=True)


def test_a_folder_that_is_deleted_while_a_file_is_written_is_told_by_the_files_name(
    tmp_path: Path,
) -> None:
    out = tmp_path / "results/out"
    with (
        pytest.raises(WriteError, match=rf"its folder was deleted meanwhile: '{out}'"),
        replacing(out) as temporary,
    ):
        shutil.rmtree(out.parent)
        temporary.write_text("x")
    write_text(out, "x")  # made again by the next one
    assert os.listdir(out.parent) == ["out"]


@pytest.mark.parametrize("change", ["replaced", "deleted", "grown"])
def test_what_was_read_of_a_file_that_changed_meanwhile_is_refused(
    tmp_path: Path, change: str
) -> None:
    path = tmp_path / "in"
    path.write_text("x")
    with unchanged([path, tmp_path / "none"]):
        path.read_text()
    with (
        pytest.raises(RecordError, match=r"in: changed or deleted while it was read"),
        unchanged([path]),
    ):
        if change == "replaced":
            write_text(path, "y")
        elif change == "deleted":
            path.unlink()
        else:
            path.write_text("xy")
