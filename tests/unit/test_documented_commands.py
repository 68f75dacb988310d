"""Commands of snakemake in the documents are read by Snakemake as they are meant."""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest
from snakemake.cli import parse_args

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


@pytest.mark.parametrize(("page", "arguments"), commands())
def test_a_command_is_read_as_it_is_meant(
    page: str, arguments: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "kubernetes" in arguments and not find_spec("snakemake_executor_plugin_kubernetes"):
        pytest.skip("the profile's plugin is not installed (docs/operations.md says how)")
    monkeypatch.chdir(ROOT)  # where the profiles are
    words = shlex.split(arguments)
    _, read = parse_args(words)
    assert all(re.match(r"\w+=", entry) for entry in read.config or ())
    # Options that take all words that follow leave none to be a target.
    assert read.targets or {"--unlock", "--until"} & set(words)
