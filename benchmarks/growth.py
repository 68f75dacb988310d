"""Seconds per generation against classes, images and population: ``python -m benchmarks.growth``.

Generations of CraFT on RN50's text tower with random weights and made-up class names. The text
forward does not depend on the number of images, so that the exponent of N is of what does: scores,
losses and refinement. ``--plot FILE`` draws the three lines.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks import measure
from benchmarks.scoring import MadeUpTower, unit_rows
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.learner.base import Learner
from craft.learner.collaborative import Collaborative

AXES: dict[str, dict[str, Any]] = {
    "classes": {"sizes": (10, 30, 100, 300, 1000), "population": 4, "images": 1000},
    "images": {"sizes": (1000, 2000, 4000, 8000, 16000), "population": 40, "classes": 100},
    "population": {"sizes": (5, 10, 20, 40, 80), "classes": 10, "images": 160},
}
SMALL: dict[str, dict[str, Any]] = {
    "classes": {"sizes": (3, 6), "population": 4, "images": 12},
    "images": {"sizes": (10, 20), "population": 4, "classes": 3},
    "population": {"sizes": (4, 8), "classes": 3, "images": 12},
}
FEATURES, GENERATIONS = 1024, 3


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure the three lines and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="wall")
    parser.add_argument("--plot", type=Path, help="PNG that gets the plot")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    weights = measure.text_weights(None if given.smoke else "RN50-quickgelu")
    rows = []
    for axis, fixed in (SMALL if given.smoke else AXES).items():
        for size in fixed["sizes"]:
            sizes = {name: value for name, value in fixed.items() if name != "sizes"}
            sizes[axis] = size
            names = measure.invented_names(sizes["classes"])
            features = FEATURES
            if axis == "images":
                tower: Any = MadeUpTower(len(names), features)
            else:
                tower = TextTower(weights, measure.tokens(names))
                features = tower.encode(torch.zeros(1, 4, tower.context_width)).shape[2]
            taken = _generation(tower, sizes, features, given.clock)
            rows.append({"axis": axis, **sizes, "s per generation": taken})
    exponents = {}
    for axis in AXES:
        line = [row for row in rows if row["axis"] == axis]
        values = [row["s per generation"] for row in line]
        exponents[axis] = measure.exponent([row[axis] for row in line], values)
    result = {"clock": given.clock, "exponents": exponents}
    measure.report(result, rows, given)
    if given.plot:
        _plot(rows, exponents, given.plot)
    return result | {"rows": rows}


def _generation(tower: Any, sizes: dict[str, int], features: int, clock: str) -> float:
    """Seconds of the fastest of a few generations, the first excepted."""
    images = unit_rows(sizes["images"], features)
    labels = torch.arange(len(images)) % sizes["classes"]
    read = time.perf_counter if clock == "wall" else time.process_time
    ends: list[float] = []

    def progress(learner: Learner) -> None:
        ends.append(read())

    population = sizes["population"]
    learner = Collaborative(budget=population * GENERATIONS, population=population)
    learner.fit(LocalBox(tower, {"train": images}), labels, seed=1, progress=progress)
    return min(after - before for before, after in itertools.pairwise(ends))


def _plot(rows: list[dict[str, Any]], exponents: dict[str, float], path: Path) -> None:
    """One panel to an axis, log-log, with the fitted exponent."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullLocator

    figure, panels = plt.subplots(1, len(exponents), figsize=(9, 3), layout="constrained")
    for panel, (axis, slope) in zip(panels, exponents.items(), strict=True):
        line = [row for row in rows if row["axis"] == axis]
        sizes = [row[axis] for row in line]
        panel.loglog(sizes, [row["s per generation"] for row in line], "o-")
        panel.set(xlabel=axis, title=f"exponent {slope:.2f}")
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds per generation")
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
