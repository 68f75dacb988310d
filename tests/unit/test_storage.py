"""Locks that end with their process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from craft.storage import Busy, claim

HOLD = """
import sys, time
from pathlib import Path
from craft.storage import claim
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
    with claim(path, wait=False):
        assert path.read_text().startswith(f"process {os.getpid()} on ")
        with pytest.raises(Busy):
            claim(path, wait=False)
    claim(path, wait=True).close()
