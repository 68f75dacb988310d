"""A measured figure in README and the pages comes from a file that a command wrote."""

from __future__ import annotations

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
