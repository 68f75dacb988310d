"""Snakemake reads the commands in README's and the pages' code blocks as they are meant."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.cli import parse_args

from tests.plugins import kubernetes_plugins  # noqa: F401

ROOT = Path(__file__).resolve().parents[2]
PAGES = (ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")))


def commands() -> list[str]:
    """Arguments of each command of snakemake that starts a line of a code block."""
    found = []
    for page in PAGES:
        text = re.sub(r" \\\n\s+", " ", page.read_text(encoding="utf-8"))
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        blocks += re.findall(r"^ {4}(snakemake .*)$", text, re.M)
        for line in re.findall(r"^snakemake +(\S.*)$", "\n".join(blocks), re.M):
            found.append(re.split(r" {2,}", line)[0])  # a further column is a comment
    return found


def read_arguments(arguments: str) -> None:
    """Have Snakemake read a command's arguments; AssertionError where it misunderstands them."""
    words = shlex.split(arguments, comments=True)
    _, read = parse_args(words)
    assert all(re.match(r"\w+=", entry) for entry in read.config or ()), arguments
    # Options that take all words that follow leave none to be a target.
    assert read.targets or {"--list", "--unlock", "--until"} & set(words), arguments


def test_documented_commands_name_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # where the profiles are
    found = [arguments for arguments in commands() if "kubernetes" not in arguments]
    assert len(found) > 10
    for arguments in found:
        read_arguments(arguments)


@pytest.mark.exhaustive
def test_documented_commands_with_plugins_of_their_own_name_a_target(
    kubernetes_plugins: str,  # noqa: F811
) -> None:
    # In another process, as Snakemake looks for plugins once.
    found = [arguments for arguments in commands() if "kubernetes" in arguments]
    assert found
    script = f"from {__name__} import read_arguments\nfor words in {found}: read_arguments(words)"
    path = os.pathsep.join([kubernetes_plugins, str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
