"""What a figure is before it is drawn: panels of curves, also written as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from craft.design.runs import Design
from craft.report.tables.labels import backbone_label
from craft.report.tables.model import Cell
from craft.report.tables.tidy_csv import VALUES, cell_fields


@dataclass(frozen=True)
class Curve:
    """A method's numbers along the x axis of a panel; x is shots or queries."""

    method: str
    label: str
    points: tuple[tuple[int, Cell], ...]

    def drawn(self) -> tuple[list[int], list[float], list[float]]:
        """x, mean and deviation (0 for a single run); NaN, a gap in the line, where missing."""
        cells = [cell for _, cell in self.points]
        means = [math.nan if cell.value is None else cell.value for cell in cells]
        return [x for x, _ in self.points], means, [cell.std or 0.0 for cell in cells]

    @property
    def empty(self) -> bool:
        """Whether no point is there."""
        return all(cell.value is None for _, cell in self.points)

    def published(self) -> tuple[list[int], list[float]]:
        """x and published number of the points that have one."""
        there = [(x, cell.published) for x, cell in self.points if cell.published is not None]
        return [x for x, _ in there], [number for _, number in there]

    @property
    def incomplete(self) -> bool:
        """Whether a run of some point is missing."""
        return any(cell.missing for _, cell in self.points)


@dataclass(frozen=True)
class Panel:
    """The curves of one backbone on one data set (or on the average)."""

    backbone: str
    dataset: str
    title: str
    curves: tuple[Curve, ...]

    def incomplete(self) -> list[str]:
        """Labels of the curves of which runs are missing."""
        return [curve.label for curve in self.curves if curve.incomplete]


def title(design: Design, artefact: str, backbone: str, dataset: str) -> str:
    """A panel's title; names the backbone where the figure has several."""
    if len(design.backbones(artefact)) == 1:
        return dataset
    return f"{backbone_label(design, backbone)}: {dataset}"


def methods_of(panels: Iterable[Panel]) -> dict[str, str]:
    """Method -> label over all panels, in order."""
    return {curve.method: curve.label for panel in panels for curve in panel.curves}


def plotted(artefact: str, x: str, panels: Sequence[Panel]) -> str:
    """CSV text of every point, drawn or missing; ``x`` names the x column."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["artefact", "backbone", "dataset", "method", "label", x, *VALUES])
    for panel in panels:
        for curve in panel.curves:
            for position, cell in curve.points:
                ids = (panel.backbone, panel.dataset, curve.method, curve.label, position)
                writer.writerow([artefact, *ids, *cell_fields(cell)])
    return buffer.getvalue()
