"""What a catalogue of workflows, a hosted CI and a reader of references look for."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import craft
from craft.config import reference
from craft.files.descriptions import schema

ROOT = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_page_of_keys_is_the_one_that_the_command_writes() -> None:
    page = read("config/README.md")
    assert reference.filled(page) == page
    assert reference.filled(page.replace("| `seeds` |", "| `seed` |")) == page


@pytest.mark.parametrize("kind", reference.TABLES)
def test_the_page_names_every_key_of_the_schema(kind: str) -> None:
    def names(node: Any) -> set[str]:
        """Every name of a key that stands anywhere in a schema."""
        if not isinstance(node, dict):
            return set()
        return set(node.get("properties", {})).union(*map(names, node.values()))

    whole = schema(kind)
    _, _, rest = read("config/README.md").partition(reference.TABLES[kind])
    table = rest.partition("\n## ")[0]
    shown = {re.split(r"[.\[]", path)[-1] for path in re.findall(r"^\| `([^`]+)`", table, re.M)}
    assert len(shown) > 10 and shown == names(whole)


def test_the_page_of_profiles_names_them_and_the_default_s_options() -> None:
    page = read("profiles/README.md")
    profiles = {path.parent.name for path in ROOT.glob("profiles/*/config.yaml")}
    assert set(re.findall(r"\[`(\w+)`\]\(\1/config\.yaml\)", page)) == profiles
    default = yaml.safe_load(read("profiles/default/config.yaml"))
    rows = dict(re.findall(r"^\| `([\w-]+)` \| `([^`]+)` \|", page, re.M))
    options = {key: value for key, value in default.items() if not key.startswith("__")}
    assert {key: yaml.safe_load(value) for key, value in rows.items()} == options


def test_the_catalogue_finds_what_it_asks_for() -> None:
    usage = yaml.safe_load(read(".snakemake-workflow-catalog.yml"))["usage"]
    deployment = usage["software-stack-deployment"]
    assert set(deployment) == {"conda", "apptainer", "apptainer+conda", "report"}
    assert deployment["report"] is True and not usage["mandatory-flags"]["flags"]
    assert deployment["conda"] == (ROOT / "profiles/conda/config.yaml").is_file()
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    assert deployment["apptainer"] == ("container:" in rules)
    for name in ("workflow/Snakefile", "config/README.md", "config/config.yaml", "LICENSE"):
        assert (ROOT / name).is_file()


def test_every_rule_describes_itself() -> None:
    for path in [ROOT / "workflow/Snakefile", *ROOT.glob("workflow/rules/*.smk")]:
        for name, body in re.findall(r"^rule (\w+):\n(.*)", path.read_text(), re.M):
            assert re.match(r'    """[A-Z].*\."""$', body), f"{path.name}: {name}"


def test_the_picture_of_the_rules_shows_those_that_there_are() -> None:
    rules = "".join(path.read_text() for path in ROOT.glob("workflow/rules/*.smk"))
    names = set(re.findall(r"^ *(?:rule|checkpoint) (\w+):", rules, re.M))
    # The embedded suite downloads nothing.
    shown = set(re.findall(r"<text [^>]*>(\w+)</text>", read("docs/images/rule_graph.svg")))
    assert shown == names - {"fetch_dataset"}, "make rule-graph draws it again"


def steps(name: str) -> list[str]:
    """Commands of the hosted CI's jobs, or of the Makefile's and of .ci/run."""
    return [
        step["run"]
        for job in yaml.safe_load(read(name))["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]


def test_the_hosted_ci_runs_what_make_test_runs() -> None:
    hosted = steps(".github/workflows/ci.yml")
    tests = read("Makefile").partition("test test-all: environment\n")[2].partition("\n\n")[0]
    checks = [line.strip().replace("$(BIN)", ".venv/bin") for line in tests.splitlines()]
    assert len(checks) == 7
    assert {check for check in checks if "pytest" not in check} <= set(hosted)
    assert {".ci/run", "make mini", "make docs"} <= set(hosted)
    targets = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:", read("Makefile"), re.M)) | {"test-all"}
    assert {step.split()[1] for step in hosted if step.startswith("make ")} <= targets


def test_the_citation_is_complete_but_for_the_doi() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["version"] == craft.__version__
    assert f"\n## {craft.__version__} - {citation['date-released']}\n" in read("CHANGELOG.md")
    needed = {
        "cff-version",
        "message",
        "title",
        "type",
        "authors",
        "license",
        "abstract",
        "keywords",
    }
    assert needed | {"version", "date-released", "preferred-citation"} == set(citation)
    project = tomllib.loads(read("pyproject.toml"))["project"]
    assert citation["license"] == project["license"]
    paper = citation["preferred-citation"]
    assert len(paper["authors"]) == 5 and paper["conference"]["name"] and paper["year"] == 2024
