"""Figures from scores known by hand: what is drawn, and that it is drawn the same twice."""

import csv
import math
from pathlib import Path

import matplotlib
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from craft.design.artefacts import ARTEFACTS, maker
from craft.design.runs import ZERO_SHOT, Design
from craft.files import paths
from craft.files.atomic import RecordError
from craft.report.figures import few_shot_curves, query_efficiency, style
from craft.report.figures.__main__ import main
from craft.report.figures.panels import plotted
from craft.report.published import Published
from tests.unit.synthetic_scores import (
    CRAFT,
    METHODS,
    config,
    edit_score,
    gathered,
    seeds_apart,
    write_scores,
)
from tests.unit.test_tables import DATASETS, PUBLISHED

COOP = {"learner": "craft.whitebox.coop:CoOp", "label": "CoOp (L=16)"}
METHODS_4 = METHODS | {"coop-16": COOP}


def rising(run, test_set):
    """Queries and accuracy at three points; methods that search no prompt have a single one."""
    end = seeds_apart(run, test_set)
    if run.method in (ZERO_SHOT, "coop-16"):
        return [0], [end]
    return [40, 80, 120], [end - 20, end - 10, end]


@pytest.fixture
def design(tmp_path):
    made = Design(config(tmp_path, methods=METHODS_4))
    write_scores(made, seeds_apart, rising)
    return made


def panels(module, design, published=None):
    (artefact,) = [each for each in ARTEFACTS.values() if each.module == module.__name__]
    lines = gathered(design, artefact.name)
    return maker(artefact)(artefact, lines, Published.read(published, artefact, lines))


def score_of(run, design):
    """Where a run's score lies."""
    return Path(paths.at(design.config["results"], paths.SCORE, **run.identity))


def drawn(module, made):
    with style.styled():
        figure = module.draw(made)
        figure.draw_without_rendering()
    return figure, [axes for axes in figure.axes if axes.get_title()]


def legend_lines(figure, axes):
    """Label in the legend -> the line of a figure's only panel, which they follow one to one."""
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    return dict(zip(texts, axes.lines, strict=True))


# --- Figure 2 ------------------------------------------------------------------------------------


def test_few_shot_panels_hold_the_numbers(design):
    made = panels(few_shot_curves, design)
    assert [panel.title for panel in made] == ["Average", "red", "blue"]
    curves = {curve.method: curve for curve in made[0].curves}
    assert list(curves) == ["zero-shot", "bbt", "craft", "coop-16"]
    # red 66 and blue 74 at one shot, 5 more later; seeds spread by 1
    assert curves["craft"].drawn() == ([1, 4, 16], [70.0, 75.0, 75.0], [1.0, 1.0, 1.0])
    assert curves["zero-shot"].drawn() == ([0], [54.0], [0.0])


def test_few_shot_curves_are_drawn_with_error_bars(design):
    made = panels(few_shot_curves, design)
    figure, axes = drawn(few_shot_curves, made)
    assert [a.get_title() for a in axes] == ["Average", "red", "blue"]
    for a in axes:
        bars = [c for c in a.containers if isinstance(c, ErrorbarContainer)]
        assert len(bars) == 3  # every method but zero-shot
        for bar in bars:
            assert list(bar.lines[0].get_xdata()) == [0.0, 2.0, 4.0]  # log2 of 1, 4, 16
            heights = [high - low for (_, low), (_, high) in bar.lines[2][0].get_segments()]
            assert heights == pytest.approx([2.0] * 3)  # plus and minus a deviation of 1
        assert [label.get_text() for label in a.get_xticklabels()] == ["0", "1", "4", "16"]
        stars = [line for line in a.lines if line.get_marker() == "*"]
        assert [list(star.get_xdata()) for star in stars] == [[-1.0]]
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels == ["ZS-CLIP", "BBT", "CraFT", "CoOp (L=16)"]
    assert axes[0].get_ylabel() == "Accuracy (%)"
    assert axes[0].get_xlabel() == "Shots per class"


def test_a_missing_run_is_a_gap_and_named(design):
    score_of(design.cell("craft", "rn", "red", 4)[1], design).unlink()
    made = panels(few_shot_curves, design)
    for panel in made[:2]:  # the average and red
        (craft,) = [curve for curve in panel.curves if curve.method == "craft"]
        assert [math.isnan(mean) for mean in craft.drawn()[1]] == [False, True, False]
        assert panel.incomplete() == ["CraFT"]
    assert made[2].incomplete() == []
    _, axes = drawn(few_shot_curves, made)
    assert [[t.get_text() for t in a.texts] for a in axes] == [
        ["runs missing: CraFT"],
        ["runs missing: CraFT"],
        [],
    ]
    rows = list(csv.DictReader(plotted("few_shot_curves", "shots", made).splitlines()))
    (row,) = [
        r for r in rows if (r["dataset"], r["method"], r["shots"]) == ("Average", "craft", "4")
    ]
    assert (row["mean"], row["seeds"], row["expected"]) == ("", "2", "3")
    assert "craft/rn/red/shots-4/seed-2: no score" in row["note"]


def test_backbones_each_open_a_row(tmp_path):
    spec = config(tmp_path)
    spec["artefacts"]["few_shot_curves"]["backbones"] = ["rn", "vit"]
    design = Design(spec)
    write_scores(design, seeds_apart)
    made = panels(few_shot_curves, design)
    assert [p.title for p in made[::3]] == ["Res_Net: Average", "ViT: Average"]
    places, rows, columns = few_shot_curves._places(made)
    assert (places[0], places[3], rows, columns) == ((0, 0), (1, 0), 2, 3)


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    design = Design(
        config(
            tmp_path_factory.mktemp("paper"),
            suite="paper",
            seeds=[1, 2],
            backbones=["RN50"],
            backbone_facts={"RN50": {"label": "ResNet-50"}},
            datasets=DATASETS,
            facts={name: {"counts": {"classes": 10}} for name in DATASETS},
            shift=None,
            artefacts={
                "few_shot_curves": {"shots": [1, 2, 4, 8, 16]},
                "query_efficiency": {"datasets": ["ImageNet"], "shots": [16]},
            },
        )
    )
    single, curve = ([0], [50.0]), ([4000, 8000], [5.0, 6.0])
    write_scores(design, seeds_apart, lambda run, _: single if run.method == ZERO_SHOT else curve)
    return design


def test_published_curves_are_dashed_beside_ours(paper):
    made = panels(few_shot_curves, paper, PUBLISHED)
    assert [panel.title for panel in made] == ["Average", *DATASETS]
    figure, axes = drawn(few_shot_curves, made)
    eurosat = axes[1 + DATASETS.index("EuroSAT")]
    dashed = [line for line in eurosat.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 3  # zero-shot, BBT, CraFT
    (craft,) = [line for line in dashed if to_hex(line.get_color()).upper() == style.VERMILION]
    assert craft.get_ydata()[-1] == 75.30  # Table 1's number
    (legend,) = figure.legends
    assert legend.get_texts()[-1].get_text() == "published"
    rows = list(csv.DictReader(plotted("few_shot_curves", "shots", made).splitlines()))
    (row,) = [
        r for r in rows if (r["dataset"], r["method"], r["shots"]) == ("SUN397", "craft", "1")
    ]
    assert (row["published"], row["difference"]) == ("66.21", "-60.2100")
    assert "misprint" in row["note"]


# --- Figure 3 ------------------------------------------------------------------------------------


def test_query_curves_have_bands_and_methods_without_queries_are_levels(design):
    (panel,) = made = panels(query_efficiency, design)
    curves = {curve.method: curve for curve in panel.curves}
    assert curves["craft"].drawn() == ([40, 80, 120], [59.0, 69.0, 79.0], [1.0, 1.0, 1.0])
    figure, (axes,) = drawn(query_efficiency, made)
    lines = legend_lines(figure, axes)
    assert list(lines) == ["ZS-CLIP", "BBT", "CraFT", "CoOp (L=16)"]
    assert list(lines["CraFT"].get_xdata()) == [40, 80, 120]
    assert set(lines["ZS-CLIP"].get_ydata()) == {58.0}
    assert set(lines["CoOp (L=16)"].get_ydata()) == {89.0}
    bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
    assert len(bands) == 4
    craft = bands[2].get_paths()[0].vertices[:, 1]
    assert (craft.min(), craft.max()) == (58.0, 80.0)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Queries", "Accuracy (%)")
    assert axes.get_title() == "blue, 16 shots"
    assert axes.xaxis.get_major_formatter()(8000) == "8,000"


def test_a_missing_run_leaves_its_curve_out(design):
    for run in design.cell("craft", "rn", "blue", 16):  # one run missing, two, all
        score_of(run, design).unlink()
        made = panels(query_efficiency, design)
        figure, (axes,) = drawn(query_efficiency, made)
        assert list(legend_lines(figure, axes)) == ["ZS-CLIP", "BBT", "CoOp (L=16)"]
        assert [text.get_text() for text in axes.texts] == ["runs missing: CraFT"]


def test_seeds_scored_at_different_points_are_refused(design):
    run = design.cell("craft", "rn", "blue", 16)[0]
    path = score_of(run, design)
    edit_score(path, lambda score: score.update(queries=[40, 80, 121]))
    with pytest.raises(RecordError, match=r"different numbers of queries: \[40, 80, 120\]"):
        panels(query_efficiency, design)


def test_the_published_end_point_is_marked(paper):
    made = panels(query_efficiency, paper, PUBLISHED)
    figure, (axes,) = drawn(query_efficiency, made)
    mark = legend_lines(figure, axes)["CraFT, published"]
    assert (list(mark.get_xdata()), list(mark.get_ydata())) == ([8000], [61.33])


# --- style and files -----------------------------------------------------------------------------


def test_a_further_method_is_a_further_curve_with_a_look_of_its_own(tmp_path):
    further = {f"mine-{n}": {"learner": CRAFT, "label": f"Mine {n}"} for n in range(3)}
    design = Design(config(tmp_path, methods=METHODS_4 | further))
    write_scores(design, seeds_apart, rising)
    for module in (few_shot_curves, query_efficiency):
        made = panels(module, design)
        assert [c.label for c in made[0].curves][-3:] == ["Mine 0", "Mine 1", "Mine 2"]
        figure, _axes = drawn(module, made)
        (legend,) = figure.legends
        assert legend.get_texts()[-1].get_text() == "Mine 2"
    looks = style.looks(list(METHODS_4 | further))
    assert len({(look.color, look.marker) for look in looks.values()}) == len(looks)
    assert looks["craft"] == style.looks(["craft"])["craft"]


@pytest.mark.parametrize("module", [few_shot_curves, query_efficiency])
def test_labels_are_text_and_no_formulas(tmp_path, module):
    labels = {"bbt": r"$\foo$", "craft": "_CraFT $\\lambda$", "zero-shot": "_"}
    methods = {name: METHODS[name] | {"label": label} for name, label in labels.items()}
    value = config(tmp_path, methods=methods)
    value["facts"]["blue"]["label"] = "blue $\\lambda$"
    value["backbone_facts"]["rn"]["label"] = "$rn"
    for artefact in ("few_shot_curves", "query_efficiency"):
        value["artefacts"][artefact]["backbones"] = ["rn", "vit"]
    design = Design(value)
    write_scores(design, seeds_apart, rising)
    figure, axes = drawn(module, panels(module, design))
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        labels[name] for name in ("bbt", "craft", "zero-shot")
    ]
    (title,) = {a.title for a in axes if a.get_title().startswith("$rn: blue")}
    assert "blue $\\lambda$" in title.get_text()
    texts = [title, *legend.get_texts()]
    assert not any(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("module", [few_shot_curves, query_efficiency])
def test_nothing_is_clipped(design, module):
    """Every text and legend lies inside the figure, and no two panels overlap."""
    figure, axes = drawn(module, panels(module, design))
    renderer = figure.canvas.get_renderer()
    box = figure.bbox
    texts = [
        *(a.title for a in axes),
        *(a.xaxis.label for a in axes),
        *(a.yaxis.label for a in axes),
    ]
    for a in axes:
        view = a.viewLim  # matplotlib keeps labels of ticks outside, which it does not draw
        texts += [t for t in a.get_xticklabels() if view.x0 <= t.get_position()[0] <= view.x1]
        texts += [t for t in a.get_yticklabels() if view.y0 <= t.get_position()[1] <= view.y1]
    for artist in (*texts, *figure.legends):
        extent = artist.get_window_extent(renderer)
        if extent.width:
            assert extent.x0 >= box.x0 - 0.5 and extent.x1 <= box.x1 + 0.5, artist
            assert extent.y0 >= box.y0 - 0.5 and extent.y1 <= box.y1 + 0.5, artist
    tight = [a.get_tightbbox(renderer) for a in axes]
    for n, one in enumerate(tight):
        assert not any(one.overlaps(other) for other in tight[n + 1 :])
    assert min(text.get_fontsize() for text in texts) >= 6.5


def test_the_command_writes_the_same_bytes_twice(design, tmp_path):
    for artefact in ("few_shot_curves", "query_efficiency"):
        gathered(design, artefact)
        runs = f"{design.config['results']}/gathered/{artefact}.csv"
        for name in ("one", "two"):
            out = tmp_path / name / artefact
            main(["--artefact", artefact, "--runs", runs, "--out", str(out)])
        for suffix in ("pdf", "png", "csv"):
            one, two = (
                (tmp_path / n / f"{artefact}.{suffix}").read_bytes() for n in ("one", "two")
            )
            assert one == two
        pdf = (tmp_path / "one" / f"{artefact}.pdf").read_bytes()
        assert b"CreationDate" not in pdf
        assert b"/FontFile2" in pdf  # TrueType, embedded
        assert b"/Type3" not in pdf


def test_style_leaves_the_settings_of_others_alone():
    before = dict(matplotlib.rcParams)
    with style.styled():
        assert matplotlib.rcParams["pdf.fonttype"] == 42
    assert dict(matplotlib.rcParams) == before
