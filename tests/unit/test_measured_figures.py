"""A measured figure in README and the pages comes from a file that a command wrote."""

from __future__ import annotations

import csv

from craft.report.tables.headline import headline
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
    right = measured.Figure("page", "147 s", "147", " s", *source)
    assert right.problem() is None
    assert right._replace(number="148").problem()
    assert right._replace(pointer="/wall").problem()
    assert right._replace(file="benchmarks/figures/none.json").problem()


def test_a_figure_of_a_table_is_that_of_one_row() -> None:
    file, row = "docs/results/mini/architectures.csv", "backbone=mini-rn,method=craft"
    right = measured.Figure(
        "page", "82.0 ± 0.3", "82.0", " ± 0.3", file, f"/{row},column=Average/mean"
    )
    assert right.problem() is None
    assert right._replace(number="82.1").problem()
    assert right._replace(pointer=f"/{row}/mean").problem()  # a row for each column


def test_the_headline_in_readme_is_that_of_the_committed_tables() -> None:
    table = measured.ROOT / "docs/results/mini/architectures.csv"
    readme = (measured.ROOT / "README.md").read_text(encoding="utf-8")
    assert "\n".join(map(str.rstrip, headline(table, 110).splitlines())) in readme
    with table.open(encoding="utf-8") as stream:
        means = {
            (row["backbone"], row["method"]): float(row["mean"])
            for row in csv.DictReader(stream)
            if row["column"] == "Average"
        }
    for backbone in ("mini-rn", "mini-vit"):
        three = (means[backbone, method] for method in ("zero-shot", "bbt", "craft"))
        assert " < ".join(f"{mean:.1f}" for mean in three) in readme
