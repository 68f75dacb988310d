"""Snakemake stops at a broken configuration with its problems: no traceback, no job, no file."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import yaml

from craft.config.load import ConfigError, load
from tests.pipeline.conftest import ROOT, Checkout
from tests.unit.test_fuzz_config import mutate

#: Broken configurations, by the seed that breaks them; tests/unit/test_fuzz_config.py tries 1,000.
COUNT = 24

#: What Snakemake itself reads without a word.
TEXTS = {
    "a key twice": ("suite: mini", "suite: mini\nsuite: other", "key 'suite' is there twice"),
    "a tag": ("suite: mini", "suite: !!python/tuple [a]", "not a readable YAML file"),
    "a function": ("suite: mini", "suite: !!python/name:os.system", "python/name:os.system"),
    "a date": ("suite: mini", "suite: 2020-01-01", "a date is text: put it in quotes"),
    "no number": ("budget: 2000", "budget: .nan", "accepted: a finite number"),
}


#: What Snakemake's own reader would end on with a traceback, or without a line, by what is put in
#: the place of the suite's first key.
UNREADABLE = {
    "Latin-1": ("suite: caf\xe9".encode("latin-1"), "byte 0xe9 is no UTF-8: save it as UTF-8"),
    "a tab": (b"suite: paper\n\tresults: x", "indent with spaces"),
    "a colon": (b"suite: paper: mine", "text with a colon needs quotes"),
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


def broken(seed: int) -> str | None:
    """The mini suite with something broken, as YAML; None where what was done leaves it right."""
    config = yaml.safe_load((ROOT / "config/mini.yaml").read_text())
    chance = random.Random(seed)
    for _ in range(chance.choice([1, 2])):
        mutate(config, chance)
    try:
        load(copy.deepcopy(config), ROOT)
    except ConfigError:
        return yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    return None


def test_broken_suites_stop_before_any_job(checkout: Checkout) -> None:
    texts = [text for seed in range(5000, 5000 + 2 * COUNT) if (text := broken(seed))][:COUNT]
    assert len(texts) == COUNT
    for text in texts:
        assert "in the configuration" in refused(checkout, text), text


@pytest.mark.parametrize("case", TEXTS)
def test_what_snakemake_would_read_in_silence_stops_it(checkout: Checkout, case: str) -> None:
    old, new, said = TEXTS[case]
    whole = (ROOT / "config/mini.yaml").read_text()
    assert old in whole
    assert said in refused(checkout, whole.replace(old, new, 1))


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
    assert f"config/config.yaml: not a readable YAML file (line {line}" in told
    assert said in told


def test_a_broken_description_stops_it_by_name(checkout: Checkout) -> None:
    path: Path = checkout.folder / "config/datasets/digits.yaml"
    whole = path.read_text()
    try:
        path.write_text(whole.replace("classes: 10", "classes: ten"))
        said = refused(checkout, (ROOT / "config/mini.yaml").read_text())
    finally:
        path.write_text(whole)
    assert "config/datasets/digits.yaml: counts.classes = 'ten': accepted: integer" in said


def test_results_that_cannot_be_written_are_told_before_any_job(checkout: Checkout) -> None:
    # The kernel lets nobody make a folder there, root included.
    places = ("--config", "results=/sys/craft", "data=/sys/craft/data")
    target = ("architectures", "--configfile", "config/mini.yaml", "--cores", "1")
    said = checkout.snakemake(*target, *places, succeeds=False)
    assert "results = '/sys/craft': cannot be written: " in said
    assert "Error in rule" not in said and "localrule" not in said
