"""Processes of ours without their start: forks of one that has imported what they import.

Importing torch takes longer than most of what the tests ask of a server.
"""

from __future__ import annotations

import functools
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def _parent() -> subprocess.Popen[str]:
    """One for all tests of this process; it ends with it, as its input does."""
    command = [sys.executable, "-m", "tests.service.forks"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)


def _asked(*request: object) -> int | None:
    print(json.dumps(request), file=_parent().stdin, flush=True)
    return json.loads(_parent().stdout.readline())


class Fork:
    """A module run as a command, its output added to a log."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        cwd: Path = ROOT,
    ) -> None:
        given = [module, list(arguments), str(log), dict(environment or {}), str(cwd)]
        self.pid = _asked("run", *given)

    @property
    def status(self) -> int | None:
        """Exit status; None while it runs."""
        return _asked("status", self.pid)

    def kill(self) -> None:
        """End it as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        self.wait()

    def terminate(self) -> None:
        """Ask it to end."""
        os.kill(self.pid, signal.SIGTERM)

    def wait(self, seconds: float = 120) -> int:
        """Return its exit status."""
        end = time.monotonic() + seconds
        while (status := self.status) is None:
            assert time.monotonic() < end, f"{self.pid} runs on"
            time.sleep(0.02)
        return status


def _serve() -> tuple[str, list[str]]:
    """Answer requests; return in a fork, with the module and arguments that it is to run."""
    ended: dict[int, int] = {}
    for line in sys.stdin:
        what, *given = json.loads(line)
        if what == "status":
            (pid,) = given
            if pid not in ended:
                found, status = os.waitpid(pid, os.WNOHANG)
                if found:
                    ended[pid] = os.waitstatus_to_exitcode(status)
            print(json.dumps(ended.get(pid)), flush=True)
            continue
        module, arguments, log, environment, cwd = given
        if child := os.fork():
            print(child, flush=True)
            continue
        os.environ |= environment
        os.chdir(cwd)
        nothing = os.open(os.devnull, os.O_RDONLY)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        for stream, end in enumerate((nothing, said, said)):
            os.dup2(end, stream)
        return module, arguments
    sys.exit()


if __name__ == "__main__":
    import craft.client.box
    import craft.fit.__main__
    import craft.learner.collaborative
    import craft.service.start  # noqa: F401

    gc.freeze()  # no collection looks at it again in each fork
    module, arguments = _serve()
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
