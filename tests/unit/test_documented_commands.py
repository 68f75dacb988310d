"""Commands of snakemake in the documents are read by Snakemake as they are meant."""

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
PAGES = (
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("profiles/*/config.yaml")),
    *sorted(ROOT.glob("config/*.yaml")),
    ROOT / "Snakefile",
)


def commands() -> list[tuple[str, str]]:
    """(page, arguments of snakemake) of each command in a line of its own or between backquotes."""
    found = []
    for page in PAGES:
        text = re.sub(r" \\\n\s+", " ", page.read_text(encoding="utf-8"))
        # A quotation may be broken by the end of a line.
        quoted = re.findall(r"(?<!`)`snakemake ([^`]+)`", text)
        lines = re.findall(r"^(?:#? {4}|# +|)snakemake +(\S.*)$", text, re.M)
        for arguments in (*quoted, *lines):
            # What follows in a further column, or after a colon, says what the command does.
            alone = re.split(r" {3,}|  #|: |, on ", " ".join(re.split(r"\n[#\s]*", arguments)))[0]
            found.append((page.relative_to(ROOT).as_posix(), alone))
    return found


def test_commands_are_found() -> None:
    pages = {page for page, _ in commands()}
    assert {"README.md", "docs/architecture.md", "profiles/gpu/config.yaml", "Snakefile"} <= pages
    assert len(commands()) > 25


def read_arguments(arguments: str) -> None:
    """Have Snakemake read a command's arguments; AssertionError where it misunderstands them."""
    words = shlex.split(arguments)
    _, read = parse_args(words)
    assert all(re.match(r"\w+=", entry) for entry in read.config or ())
    # Options that take all words that follow leave none to be a target.
    assert read.targets or {"--unlock", "--until"} & set(words)


@pytest.mark.parametrize(
    ("page", "arguments"), [each for each in commands() if "kubernetes" not in each[1]]
)
def test_a_command_is_read_as_it_is_meant(
    page: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where the profiles are
    read_arguments(arguments)


@pytest.mark.exhaustive
def test_a_command_with_plugins_of_its_own_is_read_as_it_is_meant(
    kubernetes_plugins: str,  # noqa: F811
) -> None:
    # In another process, as Snakemake looks for plugins once.
    found = [arguments for _, arguments in commands() if "kubernetes" in arguments]
    assert found
    script = f"from {__name__} import read_arguments\nfor words in {found}: read_arguments(words)"
    path = os.pathsep.join([kubernetes_plugins, str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
