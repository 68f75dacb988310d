"""The model of a figure: panels of curves, also written as CSV."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from craft.report.tables.table import Cell
from craft.report.tables.tidy_csv import cell_fields, csv_text


@dataclass(frozen=True)
class Curve:
    """A method's numbers along the x axis of a panel; x is shots or queries."""

    method: str
    label: str
    points: tuple[tuple[int, Cell], ...]
    zero_shot: bool = False

    def drawn(self) -> tuple[list[int], list[float], list[float]]:
        """Return x, mean and deviation (0 for a single run); a missing run is NaN, a gap."""
        cells = [cell for _, cell in self.points]
        means = [math.nan if cell.value is None else cell.value for cell in cells]
        return [x for x, _ in self.points], means, [cell.std or 0.0 for cell in cells]

    @property
    def empty(self) -> bool:
        """Return whether no point is there."""
        return all(cell.value is None for _, cell in self.points)

    def published(self) -> tuple[list[int], list[float]]:
        """Return x and the published number of the points that have one."""
        there = [(x, cell.published) for x, cell in self.points if cell.published is not None]
        return [x for x, _ in there], [number for _, number in there]

    @property
    def incomplete(self) -> bool:
        """Return whether a run of some point is missing."""
        return any(cell.missing for _, cell in self.points)


@dataclass(frozen=True)
class Panel:
    """The curves of one backbone on one data set (or on the average), and at one number of shots.

    ``shots`` is None where they are the x axis, or the same in every panel.
    """

    backbone: str
    dataset: str
    title: str
    curves: tuple[Curve, ...]
    shots: int | None = None

    def incomplete(self) -> list[str]:
        """Return the labels of the curves with missing runs."""
        return [curve.label for curve in self.curves if curve.incomplete]


def methods_of(panels: Iterable[Panel]) -> dict[str, Curve]:
    """Return a curve of each method over all panels, in order."""
    return {curve.method: curve for panel in panels for curve in panel.curves}


def plotted(artefact: str, x: str, panels: Sequence[Panel]) -> str:
    """Return every point, drawn or missing, as CSV; ``x`` names the x column."""
    return csv_text(
        [
            {
                "artefact": artefact,
                "backbone": panel.backbone,
                "dataset": panel.dataset,
                **({} if panel.shots is None else {"shots": str(panel.shots)}),
                "method": curve.method,
                "label": curve.label,
                x: str(position),
                **cell_fields(cell),
            }
            for panel in panels
            for curve in panel.curves
            for position, cell in curve.points
        ]
    )
