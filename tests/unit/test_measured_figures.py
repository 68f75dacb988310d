"""A measured figure in README and the pages comes from a file that a command wrote."""

from __future__ import annotations

import csv
import re
import statistics

import pytest

from tests import measured


def test_every_figure_with_a_source_is_the_one_in_that_file() -> None:
    named = [figure for figure in measured.figures() if figure.file]
    assert named
    assert not [problem for figure in named if (problem := figure.problem())]


def test_every_figure_without_a_source_is_known() -> None:
    found = {(figure.page, figure.text) for figure in measured.figures() if not figure.file}
    known = measured.listed()
    assert set(known.values()) <= set(measured.KINDS)
    assert not found - set(known), "name the file it comes from, or run python -m tests.measured"
    assert not set(known) - found, "python -m tests.measured rewrites the list"


def test_a_figure_that_its_file_does_not_hold_is_found() -> None:
    source = ("benchmarks/figures/whole_run.json", "/wall s")
    right = measured.Figure("page", "284 s", "284", " s", *source)
    assert right.problem() is None
    assert right._replace(number="285").problem()
    assert right._replace(pointer="/wall").problem()
    assert right._replace(file="benchmarks/figures/none.json").problem()


def test_the_headline_in_readme_is_what_the_regression_test_holds() -> None:
    labels = {"ZS-CLIP": "zero-shot", "BBT": "bbt", "CraFT": "craft"}
    readme = (measured.ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.partition("mini-rn   ")[2].partition("────")[0]
    shown = {
        labels[line.split()[0]]: re.findall(r"(?<!± )\b\d+\.\d+", line)
        for line in block.splitlines()
    }
    with (measured.ROOT / "tests/pipeline/mini_averages.csv").open(encoding="utf-8") as stream:
        held = {row.pop("method"): list(row.values()) for row in csv.DictReader(stream)}
    assert {method: numbers[:-1] for method, numbers in shown.items()} == held
    means = [statistics.mean(map(float, numbers)) for numbers in held.values()]
    assert [float(numbers[-1]) for numbers in shown.values()] == pytest.approx(means, abs=0.006)
    assert " < ".join(f"{mean:.1f}" for mean in means) in readme
