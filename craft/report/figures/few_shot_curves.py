"""Figure 2: accuracy against shots, a panel per data set and one for their average."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from craft.design.artefact import Artefact
from craft.report.figures import style
from craft.report.figures.panels import Curve, Panel, methods_of
from craft.report.published import Published
from craft.report.tables.labels import backbones, datasets, labels
from craft.report.tables.table import AVERAGE
from craft.report.tidy_runs import Sample, samples

X = "shots"
PANEL_HEIGHT = 1.55  # inches


def panels(artefact: Artefact, lines: pd.DataFrame, published: Published) -> tuple[Panel, ...]:
    """Return the average of several first, then each data set; zero-shot is a point at no shots."""
    by = ["row", "backbone", "trained_shots"]
    found = samples(lines, ["dataset", *by])
    means = samples(lines.drop_duplicates(["run"]), by)
    found |= {(AVERAGE, *key): sample for key, sample in means.items()}
    names, several = datasets(lines), len(backbones(lines)) > 1
    return tuple(
        Panel(
            backbone,
            dataset,
            f"{shown}: {label}" if several else label,
            tuple(
                _curve(found, published, backbone, dataset, method, name)
                for method, name in labels(lines, "row", "label").items()
            ),
        )
        for backbone, shown in backbones(lines).items()
        for dataset, label in [*[(AVERAGE, AVERAGE)] * (len(names) > 1), *names.items()]
    )


def _curve(
    found: dict[tuple[Any, ...], Sample],
    published: Published,
    backbone: str,
    dataset: str,
    method: str,
    label: str,
) -> Curve:
    shots = sorted(key[-1] for key in found if key[:-1] == (dataset, method, backbone))
    points = tuple(
        (
            int(each),
            published.cell(
                found[dataset, method, backbone, each],
                *(backbone, method, f"{dataset}@{each:.0f}"),
            ),
        )
        for each in shots
    )
    return Curve(method, label, points, zero_shot=shots == [0])


def draw(made: tuple[Panel, ...]) -> Figure:
    """Draw the panels as small multiples with one legend, in a spare place of the grid or below."""
    places, rows, columns = _places(made)
    spare = rows * columns - len(made)
    height = rows * PANEL_HEIGHT + (0.1 if spare else 0.35)
    figure = style.new_figure(style.PAGE_WIDTH, height)
    grid = figure.subplots(rows, columns, squeeze=False)
    looks = style.looks(list(methods_of(made)))
    for axes in grid.flat:
        axes.set_axis_off()
    for panel, (row, column) in zip(made, places, strict=True):
        axes = grid[row, column]
        axes.set_axis_on()
        _panel(axes, panel, looks)
        if column == 0:
            axes.set_ylabel("Accuracy (%)")
        if (row + 1, column) not in places:
            axes.set_xlabel("Shots per class")
    handles, texts = _legend(made, looks)
    if spare:
        grid[-1, -1].legend(handles=handles, labels=texts, loc="center")
    else:
        style.shared_legend(figure, handles, texts, "outside lower center")
    return figure


def _places(made: tuple[Panel, ...]) -> tuple[list[tuple[int, int]], int, int]:
    """(row, column) of each panel, number of rows and of columns; a backbone opens a row."""
    each = len(made) // len({panel.backbone for panel in made})
    columns = each if each <= 4 else 3 if each <= 6 else 4
    rows_each = math.ceil(each / columns)
    places = [
        (index // each * rows_each + index % each // columns, index % each % columns)
        for index in range(len(made))
    ]
    return places, places[-1][0] + 1, columns


def _panel(axes: Axes, panel: Panel, looks: dict[str, style.Look]) -> None:
    every = sorted({x for curve in panel.curves for x, _ in curve.points})
    # shots on a log scale; no shots stand one step left of the first
    first = math.log2(min((x for x in every if x), default=1))
    position = {x: math.log2(x) if x else first - 1 for x in every}
    for curve in panel.curves:
        look = looks[curve.method]
        xs, means, stds = curve.drawn()
        places = [position[x] for x in xs]
        if curve.zero_shot:
            for mean in means:
                axes.axhline(mean, color=look.color, linewidth=0.8, linestyle=":", zorder=1.5)
            axes.plot(places, means, look.marker, color=look.color, markersize=7, zorder=4)
        else:
            axes.errorbar(
                places,
                means,
                yerr=stds,
                color=look.color,
                marker=look.marker,
                capsize=2,
                elinewidth=1.0,
                capthick=1.0,
                zorder=3,
            )
        xs, numbers = curve.published()
        if len(xs) > 1:
            places = [position[x] for x in xs]
            axes.plot(places, numbers, color=look.color, linewidth=0.8, linestyle="--", zorder=2)
        elif xs:
            axes.axhline(numbers[0], color=look.color, linewidth=0.6, linestyle="--", zorder=1)
    axes.set_title(panel.title, fontweight="bold" if panel.dataset == AVERAGE else "normal")
    axes.set_xticks([position[x] for x in every], [str(x) for x in every])
    axes.margins(x=0.06, y=0.1)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    style.say_missing(axes, panel.incomplete())


def _legend(
    made: tuple[Panel, ...], looks: dict[str, style.Look]
) -> tuple[list[Line2D], list[str]]:
    """Return the legend's handles and labels."""
    handles, texts = [], []
    for curve in methods_of(made).values():
        texts.append(curve.label)
        look = looks[curve.method]
        handles.append(
            Line2D(
                [],
                [],
                color=look.color,
                marker=look.marker,
                linestyle=":" if curve.zero_shot else "-",
                markersize=7 if curve.zero_shot else 4,
            )
        )
    if any(curve.published()[0] for panel in made for curve in panel.curves):
        handles.append(Line2D([], [], color=style.GREY, linewidth=0.8, linestyle="--"))
        texts.append("published")
    return handles, texts
