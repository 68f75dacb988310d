"""A figure of this project: accuracy against the queries of a fit."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from craft.design.artefact import Artefact
from craft.report.figures import style
from craft.report.figures.panels import Curve, Panel, methods_of
from craft.report.published import Published
from craft.report.tables.labels import backbones, covers, datasets, labels
from craft.report.tables.table import AVERAGE
from craft.report.tidy_runs import samples

X = "queries"
PANEL_HEIGHT = 2.3  # inches
COLUMNS = 3


def panels(artefact: Artefact, lines: pd.DataFrame, published: Published) -> tuple[Panel, ...]:
    """Return a panel per backbone and number of shots, of the average over the data sets.

    A curve has a point wherever all runs of a method were scored after the same number of queries.
    Otherwise it has only its end, at the mean of their queries. A method without queries is a point
    at 0.
    """
    lines = lines.assign(**{X: _of_fit(lines)})
    names, several = datasets(lines), lines["backbone"].nunique() > 1
    (dataset,) = names if len(names) == 1 else (AVERAGE,)
    made = []
    for backbone, shown in backbones(lines).items():
        for shots in lines["shots"].unique():
            here = lines[(lines["backbone"] == backbone) & (lines["shots"] == shots)]
            curves = tuple(
                _curve(own, published, label, backbone, shots, covers(own, here))
                for method, label in labels(here, "row", "label").items()
                for own in [here[here["row"] == method]]
            )
            title = f"{shots:.0f} {'shot' if shots == 1 else 'shots'}"
            title = f"{shown}: {title}" if several else title
            made.append(Panel(backbone, dataset, title, curves, int(shots)))
    return tuple(made)


def _of_fit(lines: pd.DataFrame) -> pd.Series:
    """Return the queries of the fit at each line, those of the refinement in proportion.

    None for a missing run, 0 for a method that asks no service.
    """
    ends = lines.groupby("run")["queries"].transform("max")
    spent = lines["fit_queries"] * (lines["queries"] / ends).where(ends != 0, 1.0)
    return spent.round().mask((lines["problem"] == "") & lines["fit_queries"].isna(), 0.0)


def _curve(
    own: pd.DataFrame,
    published: Published,
    label: str,
    backbone: str,
    shots: float,
    whole: bool,
) -> Curve:
    """Return a method's curve from its lines at one number of shots.

    Unless it has runs on the ``whole`` of the data sets, its points have no mean.
    """
    (method,) = own["row"].unique()
    there, absent = own.dropna(subset=X), own[own[X].isna()]
    grids = {tuple(points) for _, points in there.groupby("run")[X]}
    if len(grids) == 1:
        points = [(x, there[there[X] == x]) for x in grids.pop()]
    else:
        ends = there.groupby("run").tail(1)
        points = [(ends[X].mean() if len(ends) else 0.0, ends)]
    cells = []
    for number, (x, lines) in enumerate(points, 1):
        found = samples(pd.concat([lines, absent]), ["row", "backbone"])
        column = f"mean@{shots:.0f}" if number == len(points) else ""
        sample = found[method, backbone] if whole else None
        cell = published.cell(sample, backbone, method, column)
        cells.append((round(x), cell))
    return Curve(method, label, tuple(cells), zero_shot=[x for x, _ in cells] == [0])


def draw(made: tuple[Panel, ...]) -> Figure:
    """Draw the panels, a row of them for each backbone, with one legend below."""
    columns = min(COLUMNS, len(made) // len({panel.backbone for panel in made}))
    rows = -(-len(made) // columns)
    looks = style.looks(list(methods_of(made)))
    figure = style.new_figure(style.PAGE_WIDTH, rows * PANEL_HEIGHT + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for number, (axes, panel) in enumerate(zip(grid.flat, made, strict=False)):
        axes.set_axis_on()
        _panel(axes, panel, looks)
        if number % columns == 0:
            axes.set_ylabel("Accuracy (%)")
        if number + columns >= len(made):
            axes.set_xlabel("Queries of a fit")
    handles, texts = _legend(made, looks)
    style.shared_legend(figure, handles, texts, "outside lower center")
    return figure


def _panel(axes: Axes, panel: Panel, looks: dict[str, style.Look]) -> None:
    for curve in panel.curves:
        look = looks[curve.method]
        xs, means, stds = curve.drawn()
        _, printed = curve.published()
        if curve.zero_shot:
            axes.axhline(means[-1], color=look.color, linewidth=1.0, linestyle=":", zorder=1.5)
            for level in printed:
                axes.axhline(level, color=look.color, linewidth=0.6, linestyle="--", zorder=1)
            continue
        axes.plot(xs, means, color=look.color, zorder=2)
        axes.errorbar(
            xs[-1:],
            means[-1:],
            yerr=stds[-1:],
            color=look.color,
            marker=look.marker,
            markersize=5,
            capsize=2,
            elinewidth=1.0,
            zorder=3,
        )
        axes.plot(xs[-1:] * len(printed), printed, "o", color=look.color, markerfacecolor="none")
    axes.set_xscale("log")
    furthest = max((x for curve in panel.curves for x, _ in curve.points), default=1)
    axes.set_xlim(0.8, max(10.0, 1.6 * furthest))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, min_n_ticks=3))
    axes.set_title(panel.title)
    style.say_missing(axes, panel.incomplete())


def _legend(
    made: tuple[Panel, ...], looks: dict[str, style.Look]
) -> tuple[list[Line2D], list[str]]:
    """Return the legend's handles and labels."""
    handles, texts = [], []
    for curve in methods_of(made).values():
        look = looks[curve.method]
        lines = {"linestyle": ":"} if curve.zero_shot else {"marker": look.marker, "markersize": 5}
        handles.append(Line2D([], [], color=look.color, **lines))
        texts.append(f"{curve.label} (no query)" if curve.zero_shot else curve.label)
    if any(curve.published()[0] for panel in made for curve in panel.curves):
        hollow = {"marker": "o", "markerfacecolor": "none"}
        handles.append(Line2D([], [], color=style.GREY, linestyle="none", **hollow))
        texts.append("published mean")
    return handles, texts
