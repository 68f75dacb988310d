"""Leases of GPUs, among real processes; the GPUs themselves are names that a script prints."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from craft.runtime.gpu_lease import DeviceError, leased, visible

#: Says which GPU it holds and since when, holds it until it is told to end, and says when it ends.
HOLD = """
import os, sys, time
from craft.runtime.gpu_lease import leased
with leased("cuda") as name:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == name and "torch" not in sys.modules
    start = time.monotonic()
    print(name, start, flush=True)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 600
    time.sleep(seconds)
    print(time.monotonic(), flush=True)
"""


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Says which GPUs this machine has."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def install(*names: str, fails: bool = False) -> None:
        script = tmp_path / "nvidia-smi"
        lines = "\n".join(f"echo {name}" for name in names)
        script.write_text(f"#!/bin/sh\n{lines}\n" + ("echo no driver; exit 9\n" if fails else ""))
        script.chmod(0o755)

    return install


def holder(*arguments: str) -> subprocess.Popen:
    command = [sys.executable, "-c", HOLD, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_jobs_share_no_gpu_at_any_time(gpus) -> None:
    gpus("GPU-a", "GPU-b")
    jobs = [holder("0.3") for _ in range(6)]
    spans: dict[str, list[tuple[float, float]]] = {"GPU-a": [], "GPU-b": []}
    for job in jobs:
        output, _ = job.communicate(timeout=60)
        assert job.returncode == 0
        name, start, end = output.split()
        spans[name].append((float(start), float(end)))
    for held in spans.values():
        assert held
        held.sort()
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(held))


def test_a_gpu_is_free_again_when_its_job_is_killed(gpus) -> None:
    gpus("GPU-a")
    job = holder()
    try:
        assert job.stdout.readline().startswith("GPU-a ")
        with pytest.raises(DeviceError, match=r"each of 1 GPUs was held.*resources gpu=1"):
            leased("cuda", patience=0).__enter__()
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()
    with leased("cuda", patience=0) as name:
        assert name == "GPU-a"


def test_what_a_process_may_see_stays_its_limit(gpus, monkeypatch: pytest.MonkeyPatch) -> None:
    gpus("GPU-a", "GPU-b", "GPU-cc")
    for given, seen in {
        "2,0": ["GPU-cc", "GPU-a"],
        "1,7,0": ["GPU-b"],
        "1,-1,0": ["GPU-b"],
        "GPU-c": ["GPU-cc"],
        "MIG-x": ["MIG-x"],
        "0,0": ["GPU-a"],
        "": [],
    }.items():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        assert visible() == seen, given
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with leased("cuda") as name:
        assert name == os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-b"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_lease_that_a_cleaner_removed_is_taken_anew(gpus, tmp_path: Path) -> None:
    gpus("GPU-a")
    with leased("cuda"):
        (lock,) = tmp_path.glob("craft-devices-*/GPU-a")
        lock.unlink()
    with leased("cuda"):
        assert lock.exists()


@pytest.mark.parametrize(
    ("device", "installed", "given", "message"),
    [
        ("cuda", None, None, "expected a GPU for 'cuda', got none .*; use device=cpu"),
        ("cuda", ["GPU-a"], "", "got CUDA_VISIBLE_DEVICES=''; use device=cpu"),
        ("tpu", [], None, "device: expected cpu or cuda, got 'tpu'"),
    ],
)
def test_no_device_is_said_before_anything_starts(
    gpus, monkeypatch: pytest.MonkeyPatch, device, installed, given, message
) -> None:
    gpus(*(installed or ()), fails=installed is None)
    if given is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with pytest.raises(DeviceError, match=message):
        leased(device).__enter__()


def run(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "craft.runtime.gpu_lease", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_command_runs_as_itself_on_its_device(gpus, tmp_path, monkeypatch) -> None:
    (tmp_path / "told.py").write_text("import sys; print(__name__, *sys.argv[1:])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run("cpu", "told", "--one", "1")
    assert done.stdout == "__main__ --one 1 --device cpu\n"


def test_a_torch_without_cuda_is_told_apart_from_a_machine_without(gpus, monkeypatch) -> None:
    gpus("GPU-of-no-machine")
    done = run("cuda", "craft.fit", "--help")
    assert done.returncode == 1
    assert "got none that torch" in done.stderr and "use device=cpu" in done.stderr
    assert "Traceback" not in done.stderr
