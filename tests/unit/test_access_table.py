"""The table and the figure of every method by access and queries, from scores known by hand."""

import csv
from pathlib import Path

import matplotlib
import pytest

from craft.config.schema import schema_problems
from craft.design.artefacts import ARTEFACTS
from craft.design.runs import ZERO_SHOT, Design
from craft.files import paths, yaml12
from craft.protocol import ACCESS
from craft.report.figures import accuracy_by_queries, style
from craft.report.figures.panels import plotted
from craft.report.published import Published
from craft.report.tables.access import LEVELS
from craft.report.tables.markdown import markdown
from craft.report.tables.tidy_csv import tidy
from tests.unit.synthetic_scores import (
    METHODS,
    config,
    edit_score,
    gathered,
    seeds_apart,
    table,
    write_scores,
)
from tests.unit.test_tables import DATASETS, PUBLISHED

OTHERS = {
    "coop-16": {"learner": "craft.whitebox.coop:CoOp", "label": "CoOp (L=16)"},
    "lfa": {"learner": "craft.learner.lfa:LFA", "label": "LFA"},
    "text-probe": {"learner": "craft.learner.text_probe:TextProbe", "label": "TextProbe"},
}
ROOT = Path(__file__).resolve().parents[2]


def rising(run, test_set):
    """Queries of the search and accuracy: CraFT has a curve, others an end."""
    end = seeds_apart(run, test_set)
    return ([40, 80], [end - 10, end]) if run.method == "craft" else ([0], [end])


def score_of(run, design):
    return Path(paths.at(design.config["results"], paths.SCORE, **run.identity))


@pytest.fixture
def design(tmp_path):
    shown = {"access": {"shots": [16]}, "accuracy_by_queries": {"shots": [1, 16]}}
    each = {name: spec | {"backbones": ["rn"]} for name, spec in shown.items()}
    made = Design(config(tmp_path, methods=METHODS | OTHERS, artefacts=each))
    write_scores(made, seeds_apart, rising)
    for run in made.all_runs:
        given, queries = "predictions", {"search": 0, "refine": 0}
        if run.method == "craft":
            queries = {"search": 80, "refine": 4}
        if run.method == "lfa":
            given, queries = "features", {"search": 1, "refine": 2}
        if run.method == "text-probe":
            given, queries = "texts", {"search": 0, "refine": 8}
        if run.method != "coop-16":
            edit_score(
                score_of(run, made),
                lambda value, given=given, queries=queries: value["record"].update(
                    access=given, queries=queries | {"evaluate": 9}, images={"upload": 50}
                ),
            )
    return made


def cells(made):
    """(backbone, method), column -> line of the tidy file."""
    lines = csv.DictReader(tidy(made).splitlines())
    return {(line["backbone"], line["method"], line["column"]): line for line in lines}


def test_access_levels_are_those_of_the_protocol() -> None:
    assert set(LEVELS) == set(ACCESS)


def test_the_account_of_a_fit_is_what_its_record_says(design) -> None:
    made = table(design, "access")
    found = cells(made)

    def means(method):
        return [
            found["rn", method, column.id]["mean"] for column in made.columns if column.id in asked
        ]

    asked = ("fit_queries", "fit_images_scored", "fit_images_encoded", "price")
    # red has 10 test images, blue 30 with its shifted sets: 40 and 20 of 50 were for the fit
    # 84 queries x 32 images; 84 x 0.5 + 2688 x 0.01 + 30 x 0.1
    assert means("craft") == ["84.0000", "2688.0000", "30.0000", "71.8800"]
    assert means("lfa") == ["3.0000", "0.0000", "30.0000", "4.5000"]
    # Eight templates score the training images as eight contexts do.
    assert means("text-probe")[:3] == ["8.0000", "256.0000", "30.0000"]
    assert means("zero-shot")[:2] == ["0.0000", "0.0000"]
    assert means("coop-16") == [""] * 4
    assert [row.ids["method"] for row in made.rows[:6]] == [
        *("zero-shot", "bbt", "craft", "text-probe", "lfa", "coop-16")
    ]
    levels = ["Predictions"] * 3 + ["Scores of texts", "Features", "Weights"]
    assert [row.stub[-1] for row in made.rows[:6]] == levels


def test_answers_are_averaged_at_home_and_told_apart_under_shift(design) -> None:
    found = cells(table(design, "access"))
    # CraFT: red 70, blue 78, seeds add 0, 1, 2
    assert found["rn", "craft", "accuracy"]["mean"] == "75.0000"
    assert found["rn", "craft", "accuracy"]["std"] == "1.0000"
    assert found["rn", "craft", "balanced_accuracy"]["mean"] == "73.0000"
    assert found["rn", "craft", "expected_calibration_error"]["mean"] == "2.5000"
    assert found["rn", "craft", "negative_log_likelihood"]["mean"] == "1.2500"
    assert found["rn", "craft", "shift:source"]["mean"] == "79.0000"
    assert found["rn", "craft", "shift:targets"]["mean"] == "64.0000"


def test_a_missing_run_leaves_no_mean_of_it(design) -> None:
    gone = next(run for run in design.all_runs if run.method == "craft" and run.shots == 16)
    score_of(gone, design).unlink()
    made = table(design, "access")
    line = cells(made)[gone.backbone, "craft", "accuracy"]
    assert line["mean"] == ""
    assert gone.folder in line["note"]
    assert any(gone.folder in text for text in made.missing())


def test_a_method_on_some_data_sets_has_no_mean_beside_those_of_all(tmp_path) -> None:
    some = {"craft": METHODS["craft"], "bbt": METHODS["bbt"] | {"datasets": ["red"]}}
    shown = {"access": {"shots": [16]}, "accuracy_by_queries": {"shots": [16]}}
    each = {name: spec | {"backbones": ["rn"]} for name, spec in shown.items()}
    design = Design(config(tmp_path, methods=some, artefacts=each))
    write_scores(design, seeds_apart)
    found = cells(table(design, "access"))
    assert found["rn", "bbt", "accuracy"]["mean"] == ""
    assert found["rn", "craft", "accuracy"]["mean"]
    (panel,) = panels_of(design)
    curves = {curve.method: curve for curve in panel.curves}
    assert curves["bbt"].empty and not curves["craft"].empty


def test_without_prices_and_shift_their_columns_are_gone(tmp_path) -> None:
    methods = {"craft": METHODS["craft"]}
    changes = {"prices": None, "shift": None, "artefacts": {"access": {"shots": [16]}}}
    design = Design(config(tmp_path, methods=methods, **changes))
    write_scores(design, seeds_apart)
    columns = [column.id for column in table(design, "access").columns]
    assert "price" not in columns
    assert not any(column.startswith("shift:") for column in columns)


@pytest.mark.parametrize(
    ("prices", "where"),
    [
        ({"query": -1}, "prices.query"),
        ({"image_scoring": "free"}, "prices.image_scoring"),
        ({"image": 1}, "prices.image"),
        ({"currency": ...}, "prices.currency"),
    ],
)
def test_prices_are_checked(prices, where) -> None:
    suite = yaml12.read(ROOT / "config/mini.yaml")
    changed = suite["prices"] | prices
    suite["prices"] = {key: value for key, value in changed.items() if value is not ...}
    assert [problem.path for problem in schema_problems(suite, "config")] == [where]


def test_published_means_stand_beside_ours_with_their_protocol(tmp_path) -> None:
    changes = {"suite": "paper", "datasets": DATASETS, "shift": None, "backbones": ["RN50"]}
    changes |= {"facts": {name: {} for name in DATASETS}, "backbone_facts": {"RN50": {}}}
    changes |= {"artefacts": {"access": {"shots": [16]}}}
    design = Design(config(tmp_path, **changes))
    write_scores(design, lambda run, test_set: 70.0)
    made = table(design, "access", PUBLISHED)
    found = cells(made)
    assert found["RN50", "craft", "accuracy"]["published"] == "71.22"
    gda = found["RN50", "gda", "accuracy"]
    assert (gda["mean"], gda["published"], gda["access"]) == ("", "76.05", "features")
    assert "validation images" in gda["note"]
    assert "GDA (not run)" in markdown(made)
    assert found["RN50", "craft", "balanced_accuracy"]["published"] == ""


# --- the figure ----------------------------------------------------------------------------------


def panels_of(design):
    lines = gathered(design, "accuracy_by_queries")
    artefact = ARTEFACTS["accuracy_by_queries"]
    return accuracy_by_queries.panels(artefact, lines, Published.none())


def test_a_curve_counts_search_and_refinement(design) -> None:
    one, sixteen = panels_of(design)
    assert (one.title, sixteen.title) == ("1 shot", "16 shots")
    curves = {curve.method: curve for curve in sixteen.curves}
    assert [(x, cell.value) for x, cell in curves["craft"].points] == [(42, 65.0), (84, 75.0)]
    assert [(x, cell.value) for x, cell in curves["lfa"].points] == [(3, 85.0)]
    assert [x for x, _ in curves["coop-16"].points] == [0]
    assert curves[ZERO_SHOT].zero_shot and curves["coop-16"].zero_shot
    assert {curve.method: curve for curve in one.curves}["craft"].points[-1][1].value == 70.0


def test_the_files_points_name_their_panel(design) -> None:
    text = plotted("accuracy_by_queries", accuracy_by_queries.X, panels_of(design))
    lines = [*csv.DictReader(text.splitlines())]
    assert {line["shots"] for line in lines} == {"1", "16"}
    ends = {line["shots"]: line["mean"] for line in lines if line["method"] == "craft"}
    assert ends == {"1": "70.0000", "16": "75.0000"}


def test_runs_scored_after_different_queries_have_their_end_alone(design) -> None:
    run = next(r for r in design.all_runs if r.method == "craft" and r.shots == 16)
    edit_score(
        score_of(run, design),
        lambda value: (
            value.update(queries=[20, 80]),
            value["record"]["queries"].update(refine=10),
        ),
    )
    (curve,) = [c for c in panels_of(design)[-1].curves if c.method == "craft"]
    assert [(x, cell.value) for x, cell in curve.points] == [(85, 75.0)]  # mean of 84 x 5 and 90


def test_a_missing_run_is_a_gap_and_named(design) -> None:
    gone = next(r for r in design.all_runs if r.method == "craft" and r.shots == 16)
    score_of(gone, design).unlink()
    panel = panels_of(design)[-1]
    (curve,) = [curve for curve in panel.curves if curve.method == "craft"]
    assert all(cell.value is None for _, cell in curve.points)
    assert panel.incomplete() == ["CraFT"]


def test_the_axis_of_queries_is_logarithmic_and_begins_below_one(design) -> None:
    with style.styled():
        figure = accuracy_by_queries.draw(panels_of(design))
    assert isinstance(figure, matplotlib.figure.Figure)
    for axes in figure.axes:
        assert axes.get_xscale() == "log"
        low, high = axes.get_xlim()
        assert 0 < low < 1 and high > 84
