"""Accuracy by class and confusion matrix of a run on its test part."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from craft.files.atomic import replacing, write_text

PER_CLASS, CONFUSION, CONFUSION_PLOT = "per_class.csv", "confusion.csv", "confusion.png"
#: Largest number of classes whose names and counts are legible in the plot.
_LEGIBLE = 30


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (K, K) of images by label (rows) and predicted label; both are (N,)."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def write_evaluation(folder: Path, counts: np.ndarray, names: Sequence[str]) -> None:
    """Write the table by class, and the confusion matrix as CSV and PNG; ``counts`` is (K, K)."""
    tested = counts.sum(axis=1)
    rows = [
        [name, int(n), f"{100.0 * int(right) / int(n):.2f}" if n else ""]
        for name, n, right in zip(names, tested, counts.diagonal(), strict=True)
    ]
    _write_csv(folder / PER_CLASS, ["class", "test_images", "accuracy"], rows)
    table = [[name, *map(int, row)] for name, row in zip(names, counts, strict=True)]
    _write_csv(folder / CONFUSION, ["class", *names], table)
    with replacing(folder / CONFUSION_PLOT) as temporary:
        _plot(counts, names).savefig(temporary, format="png", dpi=150)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_text(path, buffer.getvalue())


def _plot(counts: np.ndarray, names: Sequence[str]) -> Figure:
    """Draw shares of each class's images, with counts if they are legible."""
    shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    classes, legible = len(names), len(names) <= _LEGIBLE
    side = 3.0 + (0.4 * classes if legible else 5.0)
    figure = Figure(figsize=(side + 1.0, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the class's test images")
    kind = "class" if legible else "class, by its number"
    axes.set(xlabel=f"predicted {kind}", ylabel=kind)
    if legible:
        labels = [name if len(name) <= 24 else f"{name[:23]}…" for name in names]
        # A class name may contain $, which Matplotlib would read as mathematical text.
        axes.set_xticks(range(classes), labels, rotation=90, parse_math=False)
        axes.set_yticks(range(classes), labels, parse_math=False)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour, size=8)
    return figure
