"""Lease one GPU to each job that runs on CUDA, among the jobs that share a machine.

``python -m craft.runtime.gpu_lease cuda MODULE ...`` waits for a GPU that no other job of this user
holds, makes only that one visible, and runs MODULE with ``--device cuda``; ``cpu`` leases nothing.
It is separate from MODULE, so that the lease precedes any use of CUDA, and a change of it fits
nothing again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from craft.runtime.command import run_command

log = logging.getLogger(__name__)

DEVICES = ("cpu", "cuda")

#: Seconds that a job waits for a device at most: as long as the rules let one run.
PATIENCE = 12 * 3600
_POLL, _REPORT_EVERY = 0.5, 600.0

_QUERY = ("nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader")


class DeviceError(RuntimeError):
    """The device does not exist, or none became free."""


def visible() -> list[str]:
    """Return the GPUs that this process may use: those in CUDA_VISIBLE_DEVICES if set, else all.

    Numbers follow nvidia-smi. The result holds UUIDs, because a number can mean another GPU in
    another job: Slurm gives two jobs on one machine a device 0 each. Raises DeviceError.
    """
    installed = _installed()
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is None:
        return installed
    names: list[str] = []
    for entry in (entry.strip() for entry in given.split(",")):
        name = _named(entry, installed)
        if not name or name in names:  # as CUDA does: what follows a wrong entry is not visible
            break
        names.append(name)
    return names


def _named(entry: str, installed: Sequence[str]) -> str | None:
    if entry.isdecimal():
        return installed[int(entry)] if int(entry) < len(installed) else None
    if entry.startswith("MIG-"):  # part of a GPU; nvidia-smi lists those elsewhere
        return entry
    # A UUID may be shortened.
    return next((name for name in installed if entry and name.startswith(entry)), None)


def _installed() -> list[str]:
    try:
        done = subprocess.run(_QUERY, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        detail = (getattr(error, "stdout", None) or str(error)).strip()
        raise DeviceError(
            f"device: expected a GPU for 'cuda', got none ({detail}); use device=cpu"
        ) from None
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _folder() -> Path:
    """Where this user's leases are; not XDG_RUNTIME_DIR, which goes when a session ends."""
    folder = Path(tempfile.gettempdir()) / f"craft-devices-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise DeviceError(f"{folder}: not a folder of this user")
    return folder


def _take(path: Path) -> FileLock | None:
    """Return a lock on ``path`` that is held; None where another process has it."""
    lock = FileLock(path, mode=0o600, fallback_to_soft=False)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return None
    os.utime(path)  # for cleaners of old temporary files
    return lock


@contextlib.contextmanager
def leased(device: str, patience: float = PATIENCE) -> Iterator[str | None]:
    """For ``device`` cuda, lease a GPU and make only that one visible; yields the device's name.

    The kernel ends the lease with the process. Raises DeviceError for an unknown device, without a
    GPU, and if none becomes free within ``patience`` seconds.
    """
    if device not in DEVICES:
        raise DeviceError(f"device: expected {' or '.join(DEVICES)}, got {device!r}")
    if device == "cpu":
        yield None
        return
    names = visible()
    if not names:
        shown = os.environ.get("CUDA_VISIBLE_DEVICES")
        raise DeviceError(
            f"device: expected a GPU for 'cuda', got CUDA_VISIBLE_DEVICES={shown!r}; use device=cpu"
        )
    name, lock = _wait(names, patience)
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = name
    log.info("leased %s, one of %d", name, len(names))
    try:
        yield name
    finally:
        lock.release()
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _wait(names: Sequence[str], patience: float) -> tuple[str, FileLock]:
    folder = _folder()
    start, reported = time.monotonic(), float("-inf")
    while True:
        for name in names:
            if lock := _take(folder / name):
                return name, lock
        waited = time.monotonic() - start
        if waited > patience:
            raise DeviceError(
                f"device = 'cuda': each of {len(names)} GPUs was held by other jobs for "
                f"{waited:.0f} s; --resources gpu={len(names)} lets no more jobs start than that"
            )
        if waited - reported >= _REPORT_EVERY:
            reported = waited
            log.info("all of %d GPUs are held by other jobs, waited %.0f s", len(names), waited)
        time.sleep(_POLL)


def _check_torch() -> None:
    """Raise DeviceError if the installed torch cannot use the leased device."""
    import torch

    if not torch.cuda.is_available():
        raise DeviceError(
            f"device: expected a GPU for 'cuda', got none that torch {torch.__version__} can use "
            f"(built for CUDA {torch.version.cuda}); use device=cpu"
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a module on a leased device."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) < 2:
        raise SystemExit(
            "usage: python -m craft.runtime.gpu_lease {cpu,cuda} MODULE [ARGUMENTS OF MODULE]"
        )
    device, module, *rest = given
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    with leased(device):
        if device == "cuda":
            _check_torch()
        sys.argv = [module, *rest, "--device", device]
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run_command(main)
