"""A checkout of the project that a test may change, and Snakemake run in it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import preloaded
from tests.pipeline import jobs

ROOT = Path(__file__).resolve().parents[2]
#: What a shell would run, were a path or a name not quoted in a job's command.
SHELL = 'it\'s $(touch pwned) `touch pwned`; touch pwned & "x" > pwned'
PARTS = ("Snakefile", "config", "craft", "envs", "profiles", "workflow")

#: The default profile starts jobs in bursts of 10 s, and waits for the end of the last.
SOON = ("--max-jobs-per-timespan", "1000/1s")


class Checkout:
    """A copy of the project; what runs in it leaves the real one alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)

    def snakemake(
        self,
        *arguments: str,
        succeeds: bool = True,
        anew: bool = False,
        folder: Path | None = None,
    ) -> str:
        """Standard output and error of Snakemake run here; its success is asserted.

        Its start is spared but where it is to be a process ``anew``, as one from a shell is.
        ``folder`` is another working folder.
        """
        arguments = (*SOON, *arguments)
        if anew:
            return self._run("-m", "snakemake", *arguments, succeeds=succeeds)
        status, output = preloaded.snakemake(arguments, folder or self.folder, _environment())
        assert (status == 0) == succeeds, output[-8000:]
        return output

    def craft(self, *arguments: str) -> str:
        """Standard output and error of the command ``craft`` run here."""
        return self._run("-m", "craft.console", *arguments, succeeds=True)

    def _run(self, *arguments: str, succeeds: bool) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == succeeds, done.stdout[-8000:]
        return done.stdout

    def jobs(self, *arguments: str, succeeds: bool = True) -> list[dict[str, Any]]:
        """Rule, threads, resources and command of each job, as often as it is started."""
        output = self._run(jobs.__file__, *arguments, *SOON, succeeds=succeeds)
        lines = [line for line in output.splitlines() if line.startswith(jobs.MARK)]
        return [json.loads(line.removeprefix(jobs.MARK)) for line in lines]

    def plan(self, *arguments: str, anew: bool = False) -> dict[str, int]:
        """Rule -> number of jobs of a dry-run; empty when there is nothing to do."""
        output = self.snakemake(*arguments, "-n", "-q", "rules", "reason", "host", anew=anew)
        table = output.rpartition("Job stats:")[2]
        return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout without data, weights or results of the paper's suite."""
    return Checkout(tmp_path_factory.mktemp("checkout"))
