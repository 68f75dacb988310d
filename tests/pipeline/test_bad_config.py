"""Snakemake stops at a broken configuration with its problems: no traceback, no job, no file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.conftest import ROOT, Checkout

#: What is broken in the embedded suite: text, what stands in its place, what Snakemake then says.
BROKEN = {
    "an unknown key": ("suite: mini", "suit: mini", "suite: expected text, got nothing"),
    "a type": ("seeds: [", "seeds: x # [", "seeds: expected a list, got 'x'"),
    "an option": ("budget: 2000", "budget: many", "options.budget: expected int, got 'many'"),
    "a data set": ("datasets: [", "datasets: [digts, ", "did you mean 'digits'?"),
    # What Snakemake itself reads without a word.
    "a key twice": ("suite: mini", "suite: mini\nsuite: other", "got a duplicate key 'suite'"),
    "a tag": ("suite: mini", "suite: !!python/tuple [a]", "expected YAML 1.2"),
    "a function": ("suite: mini", "suite: !!python/name:os.system", "python/name:os.system"),
    "a number that is none": ("budget: 2000", "budget: .nan", "expected int, got '.nan'"),
}

#: What Snakemake's own reader would end on with a traceback, or without a line, by what is put in
#: the place of the suite's first key.
UNREADABLE = {
    "Latin-1": ("suite: caf\xe9".encode("latin-1"), "bytes that are not UTF-8"),
    "a tab": (b"suite: paper\n\tresults: x", "indentation"),
    "a colon": (b"suite: paper: mine", "mapping values are not allowed"),
}


def refused(checkout: Checkout, text: str) -> str:
    """What Snakemake says of a suite that it must not start."""
    (checkout.folder / "broken.yaml").write_text(text)
    return stopped(checkout, "--configfile", "broken.yaml")


def stopped(checkout: Checkout, *arguments: str) -> str:
    """What Snakemake says where it must not start."""
    before = set(checkout.folder.rglob("[!.]*"))
    said = checkout.snakemake("all", "-n", *arguments, succeeds=False)
    assert "Traceback" not in said, said
    assert "Job stats" not in said
    after = {path for path in checkout.folder.rglob("[!.]*") if "__pycache__" not in path.parts}
    made = {path for path in after - before if ".snakemake" not in path.parts}
    assert not made
    return said


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_suite_stops_before_any_job(checkout: Checkout, case: str) -> None:
    old, new, said = BROKEN[case]
    whole = (ROOT / "config/mini.yaml").read_text()
    assert old in whole
    told = refused(checkout, whole.replace(old, new, 1))
    assert "in the configuration" in told and said in told


def test_numbers_of_a_suite_are_those_of_yaml_1_2(checkout: Checkout) -> None:
    """Snakemake reads 0100 as 64 and yes as true; neither reaches the suite."""
    whole = (ROOT / "config/mini.yaml").read_text().replace("suite: mini", "suite: yes", 1)
    (checkout.folder / "plain.yaml").write_text(whole.replace("budget: 2000", "budget: 0100", 1))
    plan = checkout.snakemake("no_such_target", "-n", "--configfile", "plain.yaml", succeeds=False)
    assert "no_such_target" in plan  # the suite is valid; the target alone is unknown


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_paper_suite_that_is_no_yaml_is_told_by_file_and_line(
    checkout: Checkout, case: str
) -> None:
    content, said = UNREADABLE[case]
    path: Path = checkout.folder / "config/config.yaml"
    whole = path.read_bytes()
    line = whole.count(b"\n", 0, whole.index(b"suite: paper")) + content.count(b"\n") + 1
    try:
        path.write_bytes(whole.replace(b"suite: paper", content, 1))
        told = stopped(checkout)
    finally:
        path.write_bytes(whole)
    assert f"config/config.yaml: line {line}" in told
    assert said in told


def test_a_broken_description_stops_it_by_name(checkout: Checkout) -> None:
    path: Path = checkout.folder / "config/datasets/digits.yaml"
    whole = path.read_text()
    try:
        path.write_text(whole.replace("classes: 10", "classes: ten"))
        said = refused(checkout, (ROOT / "config/mini.yaml").read_text())
    finally:
        path.write_text(whole)
    assert "config/datasets/digits.yaml: counts.classes: expected int, got 'ten'" in said


def test_results_that_cannot_be_written_are_told_before_any_job(checkout: Checkout) -> None:
    # The kernel lets nobody make a folder there, root included.
    places = ("--config", "results=/sys/craft", "data=/sys/craft/data")
    target = ("all_tables", "--configfile", "config/mini.yaml", "--cores", "1")
    said = checkout.snakemake(*target, *places, succeeds=False)
    assert "results: expected a folder that can be made (" in said
    assert "Error in rule" not in said and "localrule" not in said
