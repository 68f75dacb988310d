"""Plugins that a profile needs and the lock leaves out, in a throw-away folder for PYTHONPATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from craft.files.locks import locked

ROOT = Path(__file__).resolve().parents[1]
#: Layered over the present environment: what its lock has is not installed again.
INSTALL = (
    *("install", "--require-hashes", "--no-deps", "--no-compile", "--quiet"),
    "--disable-pip-version-check",
)


@pytest.fixture(scope="session")
def kubernetes_plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where profiles/kubernetes/requirements.lock is installed, once for all workers of a session.

    Skips where no package can be had; one that is not what the lock says is a failure.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, said, users = (base / f"kubernetes{end}" for end in ("", ".said", ".users"))
    lock = ROOT / "profiles/kubernetes/requirements.lock"
    user = users / uuid.uuid4().hex
    with locked(base / "kubernetes.lock"):
        users.mkdir(exist_ok=True)
        user.touch()
        if not said.exists():
            command = [sys.executable, "-m", "pip", *INSTALL, "--target", folder, "-r", lock]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            said.write_text(done.stderr if done.returncode else "")
    reason = said.read_text()
    assert "DO NOT MATCH THE HASHES" not in reason, reason
    if reason:
        pytest.skip(f"pip cannot install {lock.relative_to(ROOT)}: {reason.splitlines()[-1]}")
    yield str(folder)
    with locked(base / "kubernetes.lock"):
        user.unlink()
        if not any(users.iterdir()):  # pytest keeps what is left for a while: 70 MB
            shutil.rmtree(folder)
            said.unlink()
