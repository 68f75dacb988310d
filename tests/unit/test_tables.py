"""Tables from scores whose means, deviations and averages are known by hand."""

import csv
import re
from pathlib import Path

import pandas as pd
import pytest

from craft.design.artefacts import ARTEFACTS, comparisons, tables
from craft.design.runs import Design
from craft.evaluation.read_scores import StaleError
from craft.files.atomic import RecordError
from craft.files.datasets import Image, Manifest
from craft.report.published import Published
from craft.report.tables import headline
from craft.report.tables.__main__ import main
from craft.report.tables.comparisons import sweep_headings
from craft.report.tables.html import html
from craft.report.tables.latex import latex
from craft.report.tables.markdown import markdown
from craft.report.tables.tidy_csv import tidy
from craft.report.tidy_runs import samples
from tests.unit.synthetic_scores import (
    CRAFT,
    METHODS,
    config,
    edit_score,
    gathered,
    seeds_apart,
    table,
    write_scores,
)

#: Tables whose rows are methods.
COMPARED = [each.name for each in tables() if each.name in comparisons()]
PUBLISHED = Path(__file__).resolve().parents[2] / "config" / "published"


def rows(made):
    """(backbone, method) and column of a tidy table -> row."""
    return {
        (row.get("backbone"), row.get("method") or row["dataset"], row["column"]): row
        for row in csv.DictReader(tidy(made).splitlines())
    }


@pytest.fixture
def design(tmp_path):
    made = Design(config(tmp_path))
    write_scores(made, seeds_apart)
    return made


# --- samples -------------------------------------------------------------------------------------


def sample(values, total=False):
    """The sample of a table of values: a line per data set, a column per seed; None is missing."""
    lines = pd.DataFrame(
        [
            {
                "row": "a",
                "backbone": "b",
                "dataset": dataset,
                "seed": seed,
                "accuracy": float("nan") if value is None else value,
                "problem": f"{dataset}/{seed}: gone" if value is None else "",
            }
            for dataset, seeds in enumerate(values)
            for seed, value in enumerate(seeds)
        ]
    )
    (found,) = samples(lines, ["row", "backbone"], total=total).values()
    return found


def test_sample_mean_and_deviation():
    found = sample([(70.0, 71.0, 75.0)])
    assert found.mean == pytest.approx(72.0)
    assert found.std == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert (found.seeds, found.expected, found.missing) == (3, 3, ())


def test_a_sample_that_lacks_a_run_has_no_mean():
    found = sample([(70.0, None, 75.0)])
    assert (found.mean, found.std, found.seeds, found.expected) == (None, None, 2, 3)
    assert found.missing == ("0/1: gone",)


def test_one_run_has_no_deviation():
    assert (sample([(50.0,)]).mean, sample([(50.0,)]).std) == (50.0, None)


def test_average_is_taken_seed_by_seed():
    # per-seed averages 55, 60, 50: std 5, though the data sets spread by 10 and more
    found = sample([(50.0, 70.0, 40.0), (60.0, 50.0, 60.0)])
    assert (found.mean, found.std) == (55.0, 5.0)


@pytest.mark.parametrize("total", [False, True])
def test_average_with_a_missing_run_is_missing(total):
    found = sample([(50.0, 70.0), (60.0, None)], total)
    assert (found.mean, found.std, found.seeds, found.expected) == (None, None, 1, 2)
    assert found.missing == ("1/1: gone",)


def test_no_line_is_no_sample():
    assert samples(pd.DataFrame(columns=["row", "backbone", "seed"]), ["row", "backbone"]) == {}


# --- tables of runs ------------------------------------------------------------------------------


def test_architectures(design):
    made = table(design, "architectures")
    cell = rows(made)["rn", "craft", "red"]
    assert (cell["mean"], cell["std"], cell["seeds"], cell["expected"]) == (
        "71.0000",
        "1.0000",
        "3",
        "3",
    )
    assert (cell["published"], cell["difference"], cell["note"]) == ("", "", "")
    mean = rows(made)["vit", "bbt", "Average"]
    assert (mean["mean"], mean["std"]) == ("65.0000", "1.0000")  # (61 + 69) / 2
    zero_shot = rows(made)["rn", "zero-shot", "Average"]
    assert (zero_shot["mean"], zero_shot["std"], zero_shot["expected"]) == ("54.0000", "", "1")
    assert [row.ids["method"] for row in made.rows] == ["zero-shot", "bbt", "craft"] * 2
    assert [column.heading for column in made.columns] == ["red", "blue", "Average"]


def test_robustness_averages_the_targets_and_reads_access_from_the_record(tmp_path):
    methods = METHODS | {"coop-4": {"learner": "craft.whitebox.coop:CoOp", "label": "CoOp (L=4)"}}
    design = Design(config(tmp_path, methods=methods))
    write_scores(design, seeds_apart)
    made = table(design, "robustness")
    assert [row.ids["method"] for row in made.rows[:4]] == ["zero-shot", "coop-4", "craft", "bbt"]
    assert [row.ids["black_box"] for row in made.rows[:4]] == ["yes", "no", "yes", "yes"]
    assert [column.heading for column in made.columns] == ["blue", "-v2", "-dark", "Avg."]
    shown = rows(made)
    assert shown["rn", "craft", "blue"]["mean"] == "79.0000"
    assert shown["rn", "craft", "Average"]["mean"] == "64.0000"  # (69 + 59) / 2, not the source
    assert shown["rn", "craft", "Average"]["std"] == "1.0000"


def test_components_average_over_data_sets_and_tick(design):
    made = table(design, "ablation_components")
    shown = rows(made)
    assert shown["rn", "craft", "16"]["mean"] == "75.0000"  # (71 + 79) / 2
    assert shown["rn", "craft", "1"]["mean"] == "70.0000"
    assert shown["rn", "zero-shot", "1"]["mean"] == shown["rn", "zero-shot", "16"]["mean"]
    assert [shown["rn", "bbt", "1"][mark] for mark in ("pg", "pr", "co")] == ["yes", "no", "no"]
    assert "| CraFT | ✓ | ✓ | ✓ | 70.00 ± 1.00 | 75.00 ± 1.00 |" in markdown(made)


def test_marks_come_from_the_config(tmp_path):
    methods = METHODS | {
        "flat": {"learner": CRAFT, "components": ["PG", "PR"], "options": {"residual": False}},
        "line": {"learner": CRAFT, "components": ["PR"], "options": {"head": "linear"}},
        "other": {"learner": CRAFT},
    }
    design = Design(config(tmp_path, methods=methods))
    write_scores(design, seeds_apart)
    components = {
        row.ids["method"]: row.stub[-3:] for row in table(design, "ablation_components").rows
    }
    assert components["flat"] == (True, True, False)
    assert components["other"] == (None, None, None)
    assert components["zero-shot"] == (False, False, False)
    marks = {row.ids["method"]: row.stub[-2:] for row in table(design, "ablation_residual").rows}
    assert marks["craft"] == (True, "MLP")
    assert marks["flat"] == (False, "MLP")
    assert marks["line"] == (True, "Linear")
    assert marks["bbt"] == marks["other"] == (None, None)


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({"options": {"residual": False, "head": "linear"}}, (False, "Linear")),
        ({"dataset_options": {"red": {"head": "linear"}}}, (True, "Linear / MLP")),
    ],
)
def test_a_rows_marks_are_the_options_that_its_runs_resolved_to(tmp_path, changes, marks):
    design = Design(config(tmp_path, **changes))
    write_scores(design, seeds_apart)
    (row,) = [r for r in table(design, "ablation_residual").rows if r.ids["method"] == "craft"]
    assert row.stub[-2:] == marks


def test_sweep_shares_the_run_of_the_default_value(design):
    made = table(design, "ablation_lambda1")
    assert [column.heading for column in made.columns] == ["0.00", "0.05"]
    shown = rows(made)
    assert shown["rn", "craft", "0.05"]["mean"] == "71.0000"  # the run of craft itself
    assert shown["rn", "craft", "0"]["mean"] == "81.0000"  # a run of its own: craft@lambda1=0


@pytest.mark.parametrize(
    ("values", "headings"),
    [
        ((0.0, 0.01, 0.09), ["0.00", "0.01", "0.09"]),
        ((0.0, 1e-5, 3e-5), ["0.00000", "0.00001", "0.00003"]),
        ((0.1234567, 0.1234568), ["0.1234567", "0.1234568"]),
        ((1e-12, 1.0), ["1e-12", "1"]),
        ((2, 4), ["2.00", "4.00"]),
    ],
)
def test_sweep_headings_keep_small_values(values, headings):
    assert sweep_headings(values) == headings
    assert [float(heading) for heading in headings] == list(values)


@pytest.mark.parametrize("artefact", [*COMPARED, "discrepancies"])
def test_one_data_set_has_no_average(tmp_path, artefact):
    shift = {"source": "blue", "targets": ["blue-v2"]}
    design = Design(config(tmp_path, datasets=["blue"], shift=shift))
    write_scores(design, seeds_apart)
    made = table(design, artefact)
    assert not {"Average", "Total"} & {
        *(column.id for column in made.columns),
        *(row.ids.get("dataset") for row in made.rows),
    }
    assert "verage" not in made.caption and "Avg" not in made.caption
    assert any(cell.value is not None for *_, cell in made.cells())


def test_only_the_paper_and_its_miniature_name_places_in_the_paper(tmp_path):
    for suite, named in (("paper", True), ("mini", True), ("own", False)):
        design = Design(config(tmp_path / suite, suite=suite))
        for artefact in tables():
            made = table(design, artefact.name)
            texts = (markdown(made), latex(made), html(made), artefact.described(suite))
            for text in texts:
                told = re.search(r"Table \d|not in the paper|Own (table|figure)", text)
                assert bool(told) == named, text
            assert f"suite: {suite}" in markdown(made)


def test_a_further_method_is_a_further_row(tmp_path):
    methods = METHODS | {"mine": {"learner": CRAFT, "label": "Mine"}}
    design = Design(config(tmp_path, methods=methods))
    write_scores(design, seeds_apart)
    for artefact in COMPARED:
        made = table(design, artefact)
        if artefact == "training_time":  # its methods are columns
            assert made.columns[-1].heading == "Mine"
        else:
            assert made.rows[-1].ids["label"] == "Mine"
        assert made.rows[-1].cells[-1].value is not None


# --- missing runs --------------------------------------------------------------------------------


def lost(design, method="craft", dataset="blue", seed=2):
    run = f"{method}/rn/{dataset}/shots-16/seed-{seed}"
    return Path(design.config["results"]) / "runs" / run / "score.json"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "no score"),
        (
            lambda path: edit_score(path, lambda score: score["accuracy"].pop("blue")),
            "not scored on blue",
        ),
    ],
)
def test_a_missing_run_shows_as_missing(design, damage, reason):
    damage(lost(design))
    made = table(design, "architectures")
    shown = rows(made)
    for column in ("blue", "Average"):
        cell = shown["rn", "craft", column]
        assert (cell["mean"], cell["std"], cell["difference"]) == ("", "", "")
        assert (cell["seeds"], cell["expected"]) == ("2", "3")
        assert f"missing craft/rn/blue/shots-16/seed-2: {reason}" in cell["note"]
    assert shown["rn", "craft", "red"]["mean"] == "71.0000"
    assert shown["vit", "craft", "Average"]["mean"] == "75.0000"
    assert "|  | CraFT | 71.00 ± 1.00 | — | — |" in markdown(made)
    assert "— Missing: craft/rn/blue/shots-16/seed-2" in markdown(made)
    assert r"CraFT & 71.00 {\tiny $\pm$ 1.00} & --- & --- \tabularnewline" in latex(made)


def record_of(**changes):
    return lambda path: edit_score(path, lambda score: score["record"].update(changes))


def without(role):
    return lambda path: edit_score(path, lambda score: score["record"]["inputs"].pop(role))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_text(""), "not a readable JSON file"),
        (lambda path: path.write_text("{"), "not a readable JSON file"),
        (lambda path: path.write_text("{}"), "content_sha256"),
        (lambda path: path.write_text(path.read_text().replace("82", "83")), "edited"),
        (lambda path: edit_score(path, lambda score: score.update(seed=3)), "another run"),
        (record_of(config_hash="0" * 16), "options"),
        (record_of(code_hash="0" * 16), "code of its learner"),
        (lambda path: edit_score(path, lambda score: score.update(code_hash="0")), "scores"),
        (lambda path: edit_score(path, lambda s: s.update(manifests={"blue": "0"})), "blue"),
        *((without(role), role) for role in ("tower", "prompts", "split", "train")),
        *((without(role), role) for role in ("test/blue", "manifest/blue")),
    ],
)
def test_a_score_of_anything_else_fails_the_table(design, damage, reason):
    path = lost(design)
    damage(path)
    with pytest.raises(StaleError, match=reason) as failure:
        table(design, "architectures")
    assert str(failure.value).count(str(path)) >= 2  # the file, and the command that makes it
    assert "snakemake " in str(failure.value)


@pytest.mark.parametrize("name", ["manifests/blue.csv", "splits/blue/shots-16/seed-2.json"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_score_of_inputs_that_changed_fails_the_table(design, name, gone):
    path = Path(design.config["results"]) / name
    path.unlink() if gone else path.write_text("other")
    with pytest.raises(StaleError, match="today's"):
        table(design, "architectures")


def test_options_that_changed_fail_the_table(design):
    other = Design(design.config | {"options": {"sigma": 0.5}})
    with pytest.raises(StaleError, match="options"):
        table(other, "architectures")


def test_no_run_at_all_is_a_table_of_dashes(tmp_path):
    made = table(Design(config(tmp_path)), "robustness")
    assert all(cell.value is None and cell.seeds == 0 for *_, cell in made.cells())
    assert {row.ids["black_box"] for row in made.rows} == {""}
    assert "more (see the CSV)" in markdown(made)


# --- the paper's suite ---------------------------------------------------------------------------

DATASETS = [
    *("OxfordPets", "Flowers102", "FGVCAircraft", "DTD", "EuroSAT", "StanfordCars"),
    *("Food101", "SUN397", "Caltech101", "UCF101", "ImageNet"),
]
TARGETS = ["ImageNetV2", "ImageNet-Sketch", "ImageNet-A", "ImageNet-R"]


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    backbones = {"RN50": "ResNet-50", "ViT-B-16": "ViT-B/16"}
    methods = METHODS | {
        "coop-16": {
            "learner": "craft.whitebox.coop:CoOp",
            "label": "CoOp (L=16)",
            "artefacts": ["robustness"],
        },
        "alternate": {"learner": CRAFT, "artefacts": ["ablation_components"]},
        "sequential": {"learner": CRAFT, "artefacts": ["ablation_components"]},
        "no-residual": {"learner": CRAFT, "artefacts": ["ablation_residual"]},
    }
    swept = {"backbones": ["RN50"], "datasets": ["EuroSAT"], "values": [0.0, 0.01, 0.09]}
    swept |= {"shots": [16], "method": "craft"}
    ablation = {"backbones": ["RN50"], "shots": [1, 16]}
    value = config(
        tmp_path_factory.mktemp("paper"),
        suite="paper",
        seeds=[1],
        backbones=list(backbones),
        backbone_facts={name: {"label": label} for name, label in backbones.items()},
        datasets=DATASETS,
        shift={"source": "ImageNet", "targets": TARGETS},
        facts={
            name: {"counts": {"classes": 10, "train": 5, "test": 5}, "task": "t"}
            for name in (*DATASETS, *TARGETS)
        },
        methods=methods,
        artefacts={
            "architectures": {"shots": [16]},
            "robustness": {"shots": [16]},
            "ablation_components": ablation,
            "ablation_lambda1": swept | {"option": "lambda1"},
            "ablation_lambda2": swept | {"option": "lambda2"},
            "ablation_residual": ablation,
            "dataset_statistics": {},
            "few_shot_curves": {"backbones": ["RN50"], "shots": [1]},
            "query_efficiency": {"backbones": ["RN50"], "datasets": ["ImageNet"], "shots": [16]},
        },
    )
    design = Design(value)
    write_scores(design, lambda run, test_set: 70.0)
    return design


@pytest.mark.parametrize(
    ("artefact", "backbone", "method", "column", "published", "difference"),
    [
        ("architectures", "RN50", "craft", "EuroSAT", "75.30", "-5.3000"),
        ("architectures", "ViT-B-16", "zero-shot", "EuroSAT", "47.60", "22.4000"),
        ("architectures", "RN50", "craft", "Average", "71.22", "-1.2200"),
        ("robustness", "RN50", "coop-16", "ImageNet-Sketch", "32.74", "37.2600"),
        ("robustness", "ViT-B-16", "craft", "ImageNetV2", "62.78", "7.2200"),
        ("robustness", "ViT-B-16", "craft", "Average", "58.80", "11.2000"),
        ("robustness", "RN50", "bbt", "ImageNet", "", ""),
        ("ablation_components", "RN50", "bbt", "1", "50.17", "19.8300"),
        ("ablation_components", "RN50", "sequential", "16", "68.23", "1.7700"),
        ("ablation_components", "RN50", "zero-shot", "16", "", ""),
        ("ablation_lambda1", "RN50", "craft", "0.09", "70.72", "-0.7200"),
        ("ablation_lambda2", "RN50", "craft", "0.09", "75.49", "-5.4900"),
        ("ablation_residual", "RN50", "no-residual", "1", "28.58", "41.4200"),
        ("ablation_residual", "RN50", "craft", "16", "71.22", "-1.2200"),
    ],
)
def test_published_values_stand_beside_ours(
    paper, artefact, backbone, method, column, published, difference
):
    cell = rows(table(paper, artefact, PUBLISHED))[backbone, method, column]
    assert (cell["published"], cell["difference"]) == (published, difference)


@pytest.mark.parametrize(
    ("artefact", "row", "column", "part"),
    [
        ("ablation_components", "craft", "1", "SUN397 at 66.21"),
        ("ablation_residual", "craft", "1", "SUN397 at 66.21"),
        ("robustness", "craft", "ImageNet-A", "mixes two runs"),
        ("ablation_lambda1", "craft", "0.09", "70.72 < 72.51"),
    ],
)
def test_known_errors_are_noted(paper, artefact, row, column, part):
    made = table(paper, artefact, PUBLISHED)
    assert part in rows(made)["RN50", row, column]["note"]
    assert part.replace("<", r"\<") in markdown(made)
    assert part.replace("<", "$<$") in latex(made)
    assert part not in rows(made).get(("RN50", row, "16"), {"note": ""})["note"]


def test_other_suites_and_averages_over_other_data_have_no_published_value(paper):
    other = Design(paper.config | {"suite": "other"})
    assert not table(other, "architectures", PUBLISHED).has_published()
    fewer = Design(paper.config | {"datasets": DATASETS[:10]})
    shown = rows(table(fewer, "architectures", PUBLISHED))
    assert shown["RN50", "craft", "EuroSAT"]["published"] == "75.30"
    assert shown["RN50", "craft", "Average"]["published"] == ""
    assert not table(fewer, "ablation_components", PUBLISHED).has_published()


def test_published_numbers_that_cannot_be_read_are_named(paper, tmp_path):
    artefact, lines = ARTEFACTS["architectures"], gathered(paper, "architectures")
    with pytest.raises(RecordError, match=r"table1\.csv"):
        Published.read(tmp_path, artefact, lines)
    (tmp_path / "table1.csv").write_text("backbone,method\nResNet-50,CraFT\n")
    with pytest.raises(RecordError, match=r"table1\.csv: not a table of published"):
        Published.read(tmp_path, artefact, lines)


def test_only_what_the_paper_prints_is_shown_as_published(paper):
    methods = paper.config["methods"] | {"mine": {"learner": CRAFT, "label": "Mine"}}
    made = table(Design(paper.config | {"methods": methods}), "architectures", PUBLISHED)
    ours, printed = markdown(made).split("Published")
    assert ("Mine" in ours, "Mine" in printed) == (True, False)
    statistics = markdown(table(paper, "dataset_statistics", PUBLISHED)).split("Published")[1]
    assert "| ImageNet-A | 200 |  | 7,500 | t |" in statistics


# --- data sets -----------------------------------------------------------------------------------


def manifest(train, test, names=("a", "b")):
    parts = ["train"] * train + ["test"] * test
    return Manifest(
        tuple(Image(f"{n}.png", n % len(names), names[n % len(names)], part)
              for n, part in enumerate(parts))
    )  # fmt: skip


def test_statistics_are_counted_in_manifests(tmp_path):
    design = Design(config(tmp_path))
    manifest(4, 3).write(tmp_path / "manifests" / "red.csv")
    manifest(0, 2).write(tmp_path / "manifests" / "blue-v2.csv")
    manifest(5, 3).write(tmp_path / "manifests" / "blue.csv")
    made = table(design, "dataset_statistics")
    shown = rows(made)
    assert [shown[None, "red", c]["value"] for c in ("classes", "train", "test")] == ["2", "4", "3"]
    assert shown[None, "blue-v2", "train"]["value"] == ""
    assert shown[None, "blue-v2", "train"]["note"] == ""  # does not apply: nothing is missing
    assert shown[None, "blue-dark", "test"]["note"].startswith("missing manifests/blue-dark.csv")
    assert shown[None, "blue", "train"]["note"] == "blue declares 4 (train)"
    assert "| red | 2 | 4 | 3 | redness |" in markdown(made)
    assert "| blue-v2 | 2 |  | 2 | shift |" in markdown(made)
    assert "| blue-dark | — |  | — | shift |" in markdown(made)
    assert r"red & 2 & 4 & 3 & \raggedright redness \tabularnewline" in latex(made)
    assert r"50\% \& more" in latex(made)


def test_statistics_of_the_paper_stand_beside_ours(paper):
    folder = Path(paper.config["results"]) / "manifests"
    manifest(15880, 19850).write(folder / "SUN397.csv")
    shown = rows(table(paper, "dataset_statistics", PUBLISHED))
    cell = shown[None, "SUN397", "train"]  # printed as Sun397
    assert (cell["value"], cell["published"], cell["difference"]) == ("15880", "15880", "0")
    assert shown[None, "ImageNet", "train"]["published"] == "1280000"
    assert "printed as 1.28M" in shown[None, "ImageNet", "train"]["note"]
    assert shown[None, "ImageNet-A", "train"]["published"] == ""


# --- what is written -----------------------------------------------------------------------------


@pytest.mark.parametrize("artefact", [each.name for each in tables()])
def test_every_form_has_the_same_number_of_cells_in_each_row(design, artefact):
    made = table(design, artefact)
    width = len(made.stub) + len(made.columns) + len(made.after)
    lines = [line for line in markdown(made).splitlines() if line.startswith("|")]
    assert len(lines) == len(made.rows) + 2
    assert {len(re.split(r"(?<!\\)\|", line)) - 2 for line in lines} == {width}
    page = html(made)
    body = page[page.index("<tbody>") : page.index("</tbody>")]
    assert [row.count("<td") for row in body.split("<tr")[1:]] == [width] * len(made.rows)
    spans = re.findall(r'colspan="(\d+)"', page)
    assert not spans or sum(map(int, spans)) == len(made.columns)
    assert "http" not in page


def test_names_are_escaped_where_they_stand(tmp_path):
    methods = {"a_b": {"learner": CRAFT, "label": r"50%_*|<b>[x](y)&lt;$\x$"}}
    design = Design(config(tmp_path, methods=methods, artefacts={"architectures": {"shots": [16]}}))
    write_scores(design, seeds_apart)
    made = table(design, "architectures")
    assert r"50\%\_" in latex(made)
    assert r"| Res\_Net | 50%\_\*\|\<b>\[x\](y)\&lt;\$\\x\$ | 81.00" in markdown(made)
    assert '<td class="text">50%_*|&lt;b&gt;[x](y)&amp;lt;$\\x$</td>' in html(made)


def test_backbones_are_named_once_and_ruled_apart(design):
    made = table(design, "architectures")
    assert markdown(made).count("Res\\_Net") == 1
    assert latex(made).count(r"\midrule") == 2  # below the heading and between the backbones


# --- command lines -------------------------------------------------------------------------------


def command(design, artefact, out):
    gathered(design, artefact)
    runs = f"{design.config['results']}/gathered/{artefact}.csv"
    main(["--artefact", artefact, "--runs", runs, "--out", str(out)])


def test_command_line_writes_four_files(design, tmp_path):
    out = tmp_path / "out" / "architectures"
    command(design, "architectures", out)
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "architectures.csv",
        "architectures.html",
        "architectures.md",
        "architectures.tex",
    ]


def test_show_prints_the_headline_and_the_places(design, tmp_path, capsys):
    lost(design).unlink()
    command(design, "architectures", tmp_path / "architectures")
    headline.main(["--results", str(tmp_path)])
    shown = capsys.readouterr().out
    assert "71.00 ± 1.00" in shown
    assert f"Table 1    {tmp_path / 'architectures'}.{{csv,md,tex,html}}" in shown
    assert "Table 2" not in shown
    (line,) = [line for line in shown.splitlines() if "CraFT" in line and "—" in line]
    assert line.count("—") == 2
    narrow = headline.headline(tmp_path / "architectures.csv", width=40)
    assert "±" not in narrow and "71.00" in narrow


def test_show_names_a_table_that_is_not_there(tmp_path):
    with pytest.raises(RecordError, match=r"architectures\.csv"):
        headline.main(["--results", str(tmp_path)])


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"near_chance": True, "initial_accuracy": 12.9}, "near chance on red: at the untouched"),
        ({"distinct_prompts": 1}, "1 distinct prompts for the 2 classes of red"),
    ],
)
def test_what_a_backbone_makes_of_a_data_set_stands_below_its_table(design, record, said):
    assert not table(design, "architectures").notices
    folder = Path(design.config["results"]) / "runs/craft/rn/red"
    for path in folder.rglob("score.json"):
        edit_score(path, lambda score: score["record"].update(record))
    made = table(design, "architectures")
    (notice,) = made.notices
    assert said in notice and notice.startswith("Res_Net ")
    for text in (markdown(made), latex(made), html(made)):
        assert said in text
