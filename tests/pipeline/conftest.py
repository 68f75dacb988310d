"""A checkout of the project that a test may change, and Snakemake run in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "craft", "envs", "profiles", "workflow")

#: The default profile starts jobs in bursts of 10 s, and waits for the end of the last.
SOON = ("--max-jobs-per-timespan", "1000/1s")


class Checkout:
    """A copy of the project; what runs in it leaves the real one alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)

    def snakemake(self, *arguments: str, succeeds: bool = True, anew: bool = False) -> str:
        """Standard output and error of Snakemake run here; its success is asserted.

        Its start is spared but where it is to be a process ``anew``, as one from a shell is.
        """
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        arguments += SOON
        if anew:
            done = subprocess.run(
                [sys.executable, "-m", "snakemake", *arguments],
                cwd=self.folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            status, output = done.returncode, done.stdout
        else:
            status, output = preloaded.snakemake(arguments, self.folder, environment)
        assert (status == 0) == succeeds, output[-8000:]
        return output

    def plan(self, *arguments: str, anew: bool = False) -> dict[str, int]:
        """Rule -> number of jobs of a dry-run; empty when there is nothing to do."""
        output = self.snakemake(*arguments, "-n", "-q", "rules", "reason", "host", anew=anew)
        table = output.rpartition("Job stats:")[2]
        return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout without data, weights or results of the paper's suite."""
    return Checkout(tmp_path_factory.mktemp("checkout"))
