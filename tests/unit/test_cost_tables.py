"""Tables 4, 8, 9 and 10 from records whose costs are known by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from craft.config.load import load
from craft.design.artefacts import ARTEFACTS, tables
from craft.design.runs import Design
from craft.evaluation.read_scores import StaleError
from craft.report.tables.assumptions import GIVEN
from craft.report.tables.labels import VISION_TRANSFORMERS
from craft.report.tables.latex import latex
from craft.report.tables.markdown import markdown
from craft.report.tables.table import Table
from craft.report.tables.tidy_csv import tidy
from tests.unit.synthetic_scores import (
    CRAFT,
    METHODS,
    config,
    edit_score,
    seeds_apart,
    table,
    write_scores,
)

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ROOT / "config/published"
ENCODING = ("blackvip", "bpt-vlm", "craft-vp")
NEW = ("efficiency", "blackbox_assumptions", "blackbox_methods", "training_time")


def measured() -> set[str]:
    return {each.name for each in tables() if each.measured}


def cells(made: Table) -> dict[tuple[str, str], dict[str, str]]:
    """(method or data set, column) -> row of the tidy table."""
    rows = csv.DictReader(tidy(made).splitlines())
    return {(row.get("method") or row["dataset"], row["column"]): row for row in rows}


def with_coop(results: Path) -> Design:
    methods = METHODS | {"coop-16": {"learner": "craft.whitebox.coop:CoOp", "label": "CoOp"}}
    return Design(config(results, methods=methods))


def change(design: Design, method: str, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the record in every score of a method."""
    for path in (Path(design.config["results"]) / "runs" / method).rglob("score.json"):
        edit_score(path, lambda score: edit(score["record"]))


@pytest.fixture
def design(tmp_path: Path) -> Design:
    made = with_coop(tmp_path)
    write_scores(made, seeds_apart)
    return made


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Design:
    """The paper's own configuration without what has images encoded during a fit.

    Of its runs there is CraFT's on ViT-B/16, 16 shots.
    """
    whole = load(ROOT / "config/config.yaml", ROOT)
    methods = {name: each for name, each in whole["methods"].items() if name not in ENCODING}
    results = str(tmp_path_factory.mktemp("paper"))
    made = Design(whole | {"results": results, "methods": methods})

    def absent(run: Any) -> bool:
        return (run.method, run.backbone, run.shots) != ("craft", "ViT-B-16", 16)

    write_scores(made, lambda run, test_set: 70.0, skip=absent)
    return made


# --- Table 4 -------------------------------------------------------------------------------------


def test_efficiency_is_what_the_records_say(design: Design) -> None:
    made = table(design, "efficiency")
    shown = cells(made)
    assert [row.ids["method"] for row in made.rows] == ["zero-shot", "coop-16", "craft", "bbt"]
    assert [row.ids["black_box"] for row in made.rows] == ["yes", "no", "yes", "yes"]
    expected = {
        "accuracy": 79.0,  # on the data set itself, not on its shifted test sets
        "training_seconds": 3.5,  # 2.5, 3.5, 4.5
        "peak_memory_mb": 300.0,
        "peak_device_memory_mb": 0.0,
        "parameters": 7.0,
        "deployed_mb": 0.25,
        "deployed_percent": 100 * 0.25 / 4.25,
        "prediction_us": 1e6 * 0.5 / 30,  # three test sets of 10 images, predicted once
        "queries_search": 80.0,
        "queries_refine": 2.0,
        "queries_evaluate": 1.0,
    }
    found = {column.id: float(shown["craft", column.id]["mean"]) for column in made.columns}
    assert found == pytest.approx(expected, abs=1e-4)
    text = markdown(made)
    assert (
        "79.00 ± 1.00 | 3.50 ± 1.00 | 300 ± 0 | 0 | 7 | 0.250 | 5.88 | 16,666.7 ± 0.0 | 80 |"
        in text
    )
    time = shown["craft", "training_seconds"]
    assert (time["std"], time["seeds"], time["expected"]) == ("1.0000", "3", "3")
    assert (
        float(shown["coop-16", "deployed_mb"]["mean"]) == 4.25
    )  # 4 bytes a parameter of the model
    assert float(shown["coop-16", "deployed_percent"]["mean"]) == 100
    assert float(shown["coop-16", "queries_search"]["mean"]) == 0
    assert float(shown["zero-shot", "deployed_percent"]["mean"]) == 0


def test_prediction_time_is_shared_by_the_points_of_a_curve(tmp_path: Path) -> None:
    design = with_coop(tmp_path)
    write_scores(design, seeds_apart, curve=lambda run, test_set: ([40, 80], [60.0, 70.0]))
    shown = cells(table(design, "efficiency"))
    assert float(shown["craft", "prediction_us"]["mean"]) == pytest.approx(1e6 * 0.5 / 60, abs=1e-4)
    assert shown["craft", "accuracy"]["mean"] == "70.0000"  # the last point


def test_measured_tables_name_the_machine_and_say_that_they_differ(design: Design) -> None:
    change(design, "coop-16", lambda record: record["machine"].update(threads="4"))
    made = table(design, "efficiency")
    assert "measured on: Abacus, cpu, 1 thread; Abacus, cpu, 4 threads. They differ" in made.caption
    assert cells(made)["craft", "accuracy"]["measured_on"] == "Abacus, cpu, 1 thread"
    for artefact in measured():
        assert "They differ from one execution to the next" in markdown(table(design, artefact))


def test_only_the_measured_tables_change_with_times_and_memory(tmp_path: Path) -> None:
    def tables(name: str, edit: Callable[[dict[str, Any]], Any]) -> dict[str, str]:
        results = tmp_path / name
        design = with_coop(results)
        write_scores(design, seeds_apart)
        for method in design.config["methods"]:
            change(design, method, edit)
        restricted = ((artefact, table(design, artefact)) for artefact in design.artefacts()
                      if ARTEFACTS[artefact].kind == "table")  # fmt: skip
        return {artefact: tidy(made) + markdown(made) + latex(made)
                for artefact, made in restricted}  # fmt: skip

    def slower(record: dict[str, Any]) -> None:
        record["machine"] = {"processor": "Slide rule", "device": "cpu", "threads": "2"}
        for key in ("fit_seconds", "predict_seconds", "peak_memory_mb"):
            record[key] *= 2

    quick, slow = (tables(name, edit) for name, edit in (("a", lambda _: 0), ("b", slower)))
    without_folder = {name: text.replace(str(tmp_path / "b"), str(tmp_path / "a"))
                      for name, text in slow.items()}  # fmt: skip
    assert {name for name in quick if quick[name] != without_folder[name]} == measured()


@pytest.mark.parametrize(
    ("method", "key"),
    [("craft", "fit_seconds"), ("craft", "queries"), ("coop-16", "learner_bytes")],
)
def test_a_record_that_lacks_something_is_not_shown(design: Design, method: str, key: str) -> None:
    change(design, method, lambda record: record.pop(key))
    with pytest.raises(StaleError, match=f"its record has no {key}"):
        table(design, "efficiency")


def test_memory_of_a_model_of_unknown_size_is_missing(tmp_path: Path) -> None:
    value = with_coop(tmp_path).config
    value["artefacts"]["efficiency"]["backbones"] = ["vit"]
    design = Design(value)
    write_scores(design, seeds_apart)
    shown = cells(table(design, "efficiency"))
    assert (
        "config/backbones/vit.yaml gives no parameters" in shown["coop-16", "deployed_mb"]["note"]
    )
    assert shown["craft", "deployed_mb"]["mean"] == "0.2500"
    assert shown["craft", "deployed_percent"]["mean"] == ""


def test_without_a_white_box_method_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    design = Design(config(tmp_path))
    write_scores(design, seeds_apart)
    cell = cells(table(design, "efficiency"))["craft", "deployed_percent"]
    assert (cell["mean"], "no run of a white-box method" in cell["note"]) == ("", True)


# --- Table 8 -------------------------------------------------------------------------------------


def test_assumptions_follow_from_the_runs(design: Design) -> None:
    shown = cells(table(design, "blackbox_assumptions"))
    assert shown["craft", "access"]["value"] == "Predictions"
    assert shown["coop-16", "access"]["value"] == "Weights and features"
    assert shown["craft", "queries"]["value"] == "80 search, 2 refine, 1 evaluate"
    assert shown["coop-16", "queries"]["value"] == "none counted"
    assert shown["craft", "ran_on"]["value"] == "Res_Net, ViT"


def test_queries_that_differ_between_runs_are_a_span(design: Design) -> None:
    folder = Path(design.config["results"]) / "runs/craft/vit/red"
    path = folder / "shots-16/seed-3/score.json"
    edit_score(path, lambda score: score["record"]["queries"].update(search=1200))
    shown = cells(table(design, "blackbox_assumptions"))
    assert shown["craft", "queries"]["value"].startswith("80 to 1,200 search")


def test_assumptions_without_a_run_are_missing(design: Design) -> None:
    path = Path(design.config["results"]) / "runs/craft/vit/red/shots-16/seed-3/score.json"
    path.unlink()
    shown = cells(table(design, "blackbox_assumptions"))
    assert shown["craft", "access"]["value"] == "Predictions"  # other runs say it
    assert shown["craft", "ran_on"]["value"] == ""
    assert "missing craft/vit/red/shots-16/seed-3: no score" in shown["craft", "ran_on"]["note"]


def test_what_a_box_gives_is_what_the_table_says() -> None:
    """Whoever gives a learner more than this has to say so in Table 8."""
    from craft.protocol import ACCESS, BlackBox, FeatureBox
    from craft.whitebox.white_box import WhiteBox

    declared = {"context_length", "context_width", "embedding_std", "class_names", "image_sets"}
    members = {name for name in (*vars(BlackBox), *BlackBox.__annotations__) if name[0] != "_"}
    assert members == declared | {"meter", "predict"}
    members = {name for name in (*vars(FeatureBox), *FeatureBox.__annotations__) if name[0] != "_"}
    given = {"feature_width", "logit_scale", "image_features", "text_features"}
    assert members == declared | {"meter"} | given
    assert GIVEN["features"]["access"] == "Features"
    assert set(GIVEN) == set(ACCESS)
    assert GIVEN["predictions"]["access"] == "Predictions"
    assert {field.name for field in fields(WhiteBox)} == {"tower", "image_sets"}
    assert GIVEN["weights"]["access"] == "Weights and features"


def test_other_methods_assumptions_are_quoted(paper: Design) -> None:
    made = table(paper, "blackbox_assumptions", PUBLISHED)
    assert [row.stub[0] for row in made.rows] == [
        "LFA",
        "CBBT",
        "Yu et al. (2023) (not run)",
        "CraFT",
        "BBT",
    ]
    shown = cells(made)
    quoted = shown["bpt-vlm", "network_requirements"]
    assert (quoted["value"], quoted["published"], quoted["note"]) == (
        "",
        "Vision Transformer",
        "not run",
    )
    derived = shown["craft", "access"]
    assert (derived["value"], derived["published"], derived["difference"]) == (
        "Predictions",
        "Predictions",
        "none",
    )
    assert "| Yu et al. (2023) (not run) |  |  |  |  |  |  |" in markdown(made)
    quoted = "| Yu et al. (2023) (not run) | No requirements | Vision Transformer | Predictions |"
    assert quoted in markdown(made)


# --- Table 9 -------------------------------------------------------------------------------------


def test_methods_that_are_not_run_stand_beside_their_published_numbers(paper: Design) -> None:
    made = table(paper, "blackbox_methods", PUBLISHED)
    assert [(row.ids["method"], row.stub[0]) for row in made.rows] == [
        ("bbt", "BBT"),
        ("blackvip", "BlackVIP (not run)"),
        ("bpt-vlm", "Yu et al. (2023) (not run)"),
        ("craft", "CraFT"),
        ("craft-vp", "CraFT + vp (not run)"),
        ("lfa", "LFA"),
        ("cbbt", "CBBT"),
    ]
    shown = cells(made)
    other = shown["blackvip", "EuroSAT"]
    assert (other["mean"], other["seeds"], other["expected"]) == ("", "0", "0")
    assert other["published"] == "73.10"
    assert other["note"].startswith("not run; published with one decimal")
    ours = shown["craft", "Average"]
    assert (ours["mean"], ours["published"], ours["difference"]) == ("70.0000", "75.76", "-5.7600")
    gone = shown["bbt", "Average"]  # it is in the suite, so that its runs are missing
    assert (gone["mean"], gone["seeds"], gone["expected"]) == ("", "0", "3")
    assert "missing bbt/ViT-B-16/OxfordPets/shots-16/seed-1: no score" in gone["note"]
    unknown = (row.stub[1:] for row in made.rows if row.ids["method"] == "blackvip")
    assert list(unknown) == [(None, None)]
    assert "| BlackVIP (not run) |" in markdown(made)
    text = latex(made)
    assert "BlackVIP (not run) & " in text
    assert r"\textit{published}\textsuperscript" in text  # the note of the whole row


def test_a_method_of_the_suite_takes_the_place_of_the_printed_one(paper: Design) -> None:
    methods = paper.config["methods"] | {"blackvip": {"learner": CRAFT, "label": "Ours of it"}}
    made = table(Design(paper.config | {"methods": methods}), "blackbox_methods", PUBLISHED)
    assert [row.stub[0] for row in made.rows][1] == "Ours of it"
    assert cells(made)["blackvip", "DTD"]["expected"] == "3"


# --- Table 10 ------------------------------------------------------------------------------------


def test_training_times_add_up_seed_by_seed(design: Design) -> None:
    made = table(design, "training_time")
    shown = cells(made)
    assert [row.ids["dataset"] for row in made.rows] == ["red", "blue", "Total"]
    one, whole = shown["red", "craft"], shown["Total", "craft"]
    assert (one["mean"], one["std"]) == ("3.5000", "1.0000")
    assert (whole["mean"], whole["std"]) == ("7.0000", "2.0000")  # 5, 7, 9
    assert "Training time (seconds" in made.caption
    (Path(design.config["results"]) / "runs/craft/vit/red/shots-16/seed-2/score.json").unlink()
    whole = cells(table(design, "training_time"))["Total", "craft"]
    assert (whole["mean"], whole["seeds"]) == ("", "2")


def test_published_durations_are_hours_beside_ours(paper: Design) -> None:
    made = table(paper, "training_time", PUBLISHED)
    shown = cells(made)
    ours = shown["Total", "craft"]  # 11 data sets of 3.5 s
    assert (ours["mean"], ours["published"]) == ("38.5000", "172800.00")
    assert ours["difference"] == "-172761.5000"
    assert shown["Total", "blackvip"]["note"].startswith("not run; printed as 1 month")
    assert shown["DTD", "craft-vp"]["published"] == ""
    assert "48.00 (-47.99)" in markdown(made)
    assert [column.heading for column in made.columns] == [
        "BBT",
        "BlackVIP (not run)",
        "Yu et al. (2023) (not run)",
        "CraFT",
        "CraFT + vp (not run)",
    ]


def test_times_that_include_the_encoding_of_images_are_named(design: Design) -> None:
    said = table(design, "training_time").caption
    assert "before all fits" in said and "Times of" not in said
    change(design, "bbt", lambda record: record.update(access="uploads"))
    said = table(design, "training_time").caption
    assert "Times of BBT include the encoding of images; for the others" in said


def with_visual_prompts(results: Path) -> Design:
    """A method that is run on one backbone and one of two data sets, beside one of both."""
    some = {"label": "Prompted", "backbones": ["vit"], "datasets": ["red"]}
    method = {"learner": CRAFT, "options": {"visual_tokens": 5}, **some}
    made = Design(config(results, methods=METHODS | {"vp": method}))
    write_scores(made, seeds_apart)
    return made


def test_a_method_of_some_data_sets_has_no_average_and_the_table_says_so(tmp_path: Path) -> None:
    design = with_visual_prompts(tmp_path)
    made = table(design, "blackbox_methods")
    shown = cells(made)
    assert float(shown["vp", "red"]["mean"]) > 0
    assert (shown["vp", "blue"]["mean"], shown["vp", "blue"]["expected"]) == ("", "0")
    assert (shown["vp", "Average"]["mean"], shown["vp", "Average"]["expected"]) == ("", "0")
    assert float(shown["craft", "Average"]["mean"]) > 0
    assert "Run on red alone, by the suite's choice: Prompted." in made.caption
    times = cells(table(design, "training_time"))
    assert float(times["red", "vp"]["mean"]) > 0
    assert (times["blue", "vp"]["mean"], times["Total", "vp"]["mean"]) == ("", "")
    assert float(times["Total", "craft"]["mean"]) > 0


def test_a_method_has_no_row_on_a_backbone_that_it_is_not_run_on(tmp_path: Path) -> None:
    made = table(with_visual_prompts(tmp_path), "architectures")
    shown = [(row.ids["backbone"], row.ids["method"]) for row in made.rows]
    assert ("vit", "vp") in shown and ("rn", "vp") not in shown
    assert {("vit", "craft"), ("rn", "craft")} <= set(shown)
    assert "Run on ViT and red alone, by the suite's choice: Prompted." in made.caption


def test_a_caption_says_why_a_method_that_encodes_images_lacks_a_backbone(tmp_path: Path) -> None:
    design = with_visual_prompts(tmp_path)
    change(design, "vp", lambda record: record.update(access="visual-prompts"))
    said = table(design, "architectures").caption
    assert f"Run on ViT alone, {VISION_TRANSFORMERS} and on red alone" in said


def test_every_row_says_what_a_run_asks_of_the_service(design: Design) -> None:
    change(design, "bbt", lambda record: record["images"].update(search=1000))
    (row,) = (row for row in table(design, "blackbox_methods").rows if row.ids["method"] == "bbt")
    searched, encoded = row.ids["search_queries"], row.ids["image_encodings"]
    assert int(searched.replace(",", "")) > 0
    assert int(encoded.partition(" to ")[0].replace(",", "")) >= 1000
    assert f"BBT {searched} search queries and {encoded}" in table(design, "training_time").caption


# --- the design ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suite", ["config", "mini"])
def test_these_tables_train_only_what_needs_more_than_predictions(suite: str) -> None:
    design = Design(load(ROOT / f"config/{suite}.yaml", ROOT))
    trained = {*design.runs("architectures"), *design.runs("robustness")}
    for artefact in NEW:
        assert design.runs(artefact)
        own = {run.method for run in set(design.runs(artefact)) - trained}
        assert own <= {"lfa", "cbbt", *ENCODING}, artefact
