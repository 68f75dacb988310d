"""Figure 3: accuracy against the number of queries, with a band of one deviation over seeds."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from craft.design.artefact import Artefact
from craft.files.atomic import RecordError
from craft.report.figures import style
from craft.report.figures.panels import Curve, Panel, methods_of
from craft.report.published import Published
from craft.report.tables.labels import backbones, datasets, labels
from craft.report.tidy_runs import Sample, samples

X = "queries"
PANEL_HEIGHT = 2.1  # inches


def panels(artefact: Artefact, lines: pd.DataFrame, published: Published) -> tuple[Panel, ...]:
    """Return a panel per backbone and data set; a method that spends no query is a point at 0."""
    (shots,) = lines["shots"].unique()
    made = []
    for backbone, shown in backbones(lines).items():
        for dataset, name in datasets(lines).items():
            here = lines[(lines["backbone"] == backbone) & (lines["dataset"] == dataset)]
            curves = []
            for method, label in labels(here, "row", "label").items():
                points = tuple(
                    (queries, published.cell(sample, backbone, method, str(queries)))
                    for queries, sample in _samples(here[here["row"] == method])
                )
                curves.append(Curve(method, label, points))
            heading = f"{name}, {shots:.0f} shots"
            if lines["backbone"].nunique() > 1:
                heading = f"{shown}: {heading}"
            made.append(Panel(backbone, dataset, heading, tuple(curves)))
    return tuple(made)


def _samples(lines: pd.DataFrame) -> list[tuple[int, Sample]]:
    """Return (queries, accuracy over seeds) at each point of a method's runs.

    Raises RecordError when runs of one method were scored at different numbers of queries.
    """
    there = lines.dropna(subset="queries")
    grids = {tuple(points) for _, points in there.groupby("run")["queries"]}
    if len(grids) > 1:
        shown = "; ".join(str([int(point) for point in grid]) for grid in sorted(grids))
        raise RecordError(
            f"{there['run'].iloc[0]}: expected the points of its other seeds, got runs scored at "
            f"different numbers of queries: {shown}"
        )
    # A run that is missing is missing at every point.
    absent = lines[lines["queries"].isna()].drop(columns="queries")
    points = pd.Series(grids.pop() if grids else (0,), name="queries", dtype=float)
    every = pd.concat([there, absent.merge(points, how="cross")])
    found = samples(every, ["row", "queries"])
    return [(int(queries), sample) for (_, queries), sample in sorted(found.items())]


def draw(made: tuple[Panel, ...]) -> Figure:
    """Draw the panels with one legend above."""
    columns = min(len(made), 2)
    rows = math.ceil(len(made) / columns)
    width = style.COLUMN_WIDTH if columns == 1 else style.PAGE_WIDTH
    looks = style.looks(list(methods_of(made)))
    figure = style.new_figure(width, rows * PANEL_HEIGHT + 0.3)
    grid = figure.subplots(rows, columns, squeeze=False)
    handles: dict[tuple[str, str], Line2D] = {}  # (method, what its label adds) -> first line
    for index, axes in enumerate(grid.flat):
        if index >= len(made):
            axes.set_axis_off()
            continue
        for key, line in _panel(axes, made[index], looks).items():
            handles.setdefault(key, line)
        if index % columns == 0:
            axes.set_ylabel("Accuracy (%)")
        if index + columns >= len(made):
            axes.set_xlabel("Queries")
    curves = methods_of(made)
    texts = [f"{curves[method].label}{suffix}" for method, suffix in handles]
    style.shared_legend(figure, list(handles.values()), texts, "outside upper center")
    return figure


def _panel(axes: Axes, panel: Panel, looks: dict[str, style.Look]) -> dict[tuple[str, str], Line2D]:
    """Draw a panel; return its lines by method and what the legend adds to the method's label."""
    lines = {}
    furthest = max(x for curve in panel.curves for x, _ in curve.points)
    for curve in panel.curves:
        color = looks[curve.method].color
        xs, means, stds = curve.drawn()
        low = [mean - std for mean, std in zip(means, stds, strict=True)]
        high = [mean + std for mean, std in zip(means, stds, strict=True)]
        if curve.empty:
            pass  # named as missing below
        elif xs[-1] > 0:
            marker = looks[curve.method].marker
            (line,) = axes.plot(xs, means, color=color, marker=marker, markersize=3)
            lines[curve.method, ""] = line
            axes.fill_between(xs, low, high, color=color, alpha=0.2, linewidth=0)
        else:
            line = axes.axhline(means[-1], color=color, linestyle="--", linewidth=1.0)
            lines[curve.method, ""] = line
            axes.fill_between(
                [0, furthest], low * 2, high * 2, color=color, alpha=0.12, linewidth=0
            )
        xs, numbers = curve.published()
        if xs:
            (line,) = axes.plot(
                xs,
                numbers,
                linestyle="none",
                marker=looks[curve.method].marker,
                markersize=6,
                markerfacecolor="none",
                markeredgecolor=color,
            )
            lines[curve.method, ", published"] = line
    axes.set_title(panel.title)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    style.say_missing(axes, panel.incomplete())
    return lines
