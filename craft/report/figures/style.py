"""Style and saving of all figures: print sizes, colours for colour-blind readers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend

from craft.files.atomic import replacing

PAGE_WIDTH = 6.75  # inches, a page of two columns
COLUMN_WIDTH = 3.25  # inches, one of them
DPI = 200

RC = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 7.0,
    "text.parse_math": False,  # a dollar in a label is a dollar, as in the tables
    "axes.titlesize": 8.0,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,  # embedded as TrueType: text stays text
    "svg.hashsalt": "craft",
}

# Okabe and Ito's palette, without its yellow (too pale for a line on white).
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILION, PURPLE, GREY = "#0072B2", "#D55E00", "#CC79A7", "#888888"


@dataclass(frozen=True)
class Look:
    """Colour and marker of a method."""

    color: str
    marker: str


_KNOWN = {
    "zero-shot": Look(BLACK, "*"),
    "bbt": Look(BLUE, "s"),
    "craft": Look(VERMILION, "o"),
    "coop-16": Look(GREEN, "^"),
    "coop-4": Look(PURPLE, "v"),
}
_COLORS = (ORANGE, SKY, PURPLE, GREEN, GREY)
_MARKERS = ("D", "P", "X", "<", ">", "h", "d")


def looks(methods: Sequence[str]) -> dict[str, Look]:
    """Return a look for each method; known methods have fixed looks, others differ from all."""
    others = [method for method in methods if method not in _KNOWN]
    further = {
        method: Look(_COLORS[n % len(_COLORS)], _MARKERS[n % len(_MARKERS)])
        for n, method in enumerate(others)
    }
    return {method: _KNOWN.get(method) or further[method] for method in methods}


@contextmanager
def styled() -> Iterator[None]:
    """matplotlib's defaults, with ours on top, inside the block only."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, in inches, that fits its content by itself; needs no display."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def shared_legend(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], loc: str
) -> Legend:
    """Add a legend outside the panels, in as few rows as the figure's width allows.

    Labels are passed explicitly: matplotlib drops an artist whose label starts with an underscore.
    """
    for columns in range(len(handles), 0, -1):
        legend = figure.legend(handles=handles, labels=labels, loc=loc, ncols=columns)
        width = legend.get_window_extent(figure.canvas.get_renderer()).width
        if width <= figure.bbox.width or columns == 1:
            break
        legend.remove()
    return legend


def say_missing(axes: Axes, labels: Sequence[str]) -> None:
    """Name the methods with missing runs in a panel."""
    if labels:
        axes.text(
            0.98,
            0.02,
            "runs missing: " + ", ".join(labels),
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=6,
            color=VERMILION,
        )


def save(figure: Figure, prefix: str | os.PathLike[str]) -> None:
    """Write PREFIX.pdf and PREFIX.png whole; the same figure gives the same bytes."""
    for suffix, metadata in (("pdf", {"CreationDate": None}), ("png", {"Software": None})):
        drawn = io.BytesIO()  # a backend that cannot write to a file trips over its own half of it
        figure.savefig(drawn, format=suffix, dpi=DPI, metadata=metadata)
        with replacing(f"{os.fspath(prefix)}.{suffix}") as path:
            path.write_bytes(drawn.getvalue())
