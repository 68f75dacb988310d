"""Figure 3: accuracy against the number of queries, with a band of one deviation over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from craft.design.runs import Design, Run
from craft.evaluation.scores import Sample, Scores
from craft.files.atomic import RecordError
from craft.files.records import Score
from craft.report.figures import style
from craft.report.figures.panels import Curve, Panel, methods_of, title
from craft.report.published import Published
from craft.report.tables.labels import dataset_label, only_shots

ARTEFACT = "query_efficiency"
PANEL_HEIGHT = 2.1  # inches


def panels(design: Design, scores: Scores, published: Published) -> tuple[Panel, ...]:
    """One panel per backbone and data set; a method that spends no query is one point at 0."""
    shots = only_shots(design, ARTEFACT)
    made = []
    for backbone in design.backbones(ARTEFACT):
        for dataset in design.datasets(ARTEFACT):
            curves = []
            for method in design.methods(ARTEFACT):
                runs = design.cell(method, backbone, dataset, shots)
                points = []
                for queries, sample in _samples(scores, runs, dataset):
                    key = (backbone, method, str(queries))
                    cell = published.cell(sample, *key)
                    points.append((queries, cell))
                curves.append(Curve(method, design.label(method), tuple(points)))
            label = dataset_label(design, dataset)
            heading = title(design, ARTEFACT, backbone, f"{label}, {shots} shots")
            made.append(Panel(backbone, dataset, heading, tuple(curves)))
    return tuple(made)


def _samples(scores: Scores, runs: Sequence[Run], dataset: str) -> list[tuple[int, Sample]]:
    """(queries, accuracy over seeds) at each point of the runs.

    Raises RecordError when runs of one method were scored at different numbers of queries.
    """
    read: list[Score | None] = []
    for run in runs:
        try:
            read.append(scores.score(run))
        except RecordError:
            read.append(None)
    grids = {tuple(score.queries) for score in read if score is not None}
    if len(grids) > 1:
        raise RecordError(
            f"{runs[0].folder} and its other seeds were scored at different numbers of queries: "
            + "; ".join(str(list(grid)) for grid in sorted(grids))
        )
    missing = scores.sample(runs, dataset).missing
    if not grids:
        return [(0, Sample((None,) * len(runs), missing))]
    return [
        (queries, Sample(tuple(s and s.accuracy[dataset][n] for s in read), missing))
        for n, queries in enumerate(grids.pop())
    ]


def draw(made: tuple[Panel, ...]) -> Figure:
    """The panels with one legend above."""
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
    names = methods_of(made)
    labels = [f"{names[method]}{suffix}" for method, suffix in handles]
    style.shared_legend(figure, list(handles.values()), labels, "outside upper center")
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
