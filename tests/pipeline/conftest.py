"""A checkout of the project that a test may change, and Snakemake run in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "config", "craft", "envs", "profiles", "workflow")


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

    def snakemake(self, *arguments: str, succeeds: bool = True) -> str:
        """Standard output and error of Snakemake run here; its success is asserted."""
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert (done.returncode == 0) == succeeds, done.stdout[-8000:]
        return done.stdout

    def plan(self, *arguments: str) -> dict[str, int]:
        """Rule -> number of jobs of a dry-run; empty when there is nothing to do."""
        output = self.snakemake(*arguments, "-n", "-q", "rules", "reason", "host")
        table = output.rpartition("Job stats:")[2]
        return {rule: int(jobs) for rule, jobs in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout without data, weights or results of the paper's suite."""
    return Checkout(tmp_path_factory.mktemp("checkout"))
