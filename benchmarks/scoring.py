"""Memory and time of scores and losses: ``python -m benchmarks.scoring [--threads 2]``.

One generation of CraFT at ImageNet's size with 16 shots: 40 candidates, 16,000 images, 1,000
classes, 1,024 features. The text features are made up at once, so that scores, both losses and the
refinement are all that there is to measure, in a process of its own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import measure
from craft.blackbox.local_box import LocalBox
from craft.learner.collaborative import Collaborative
from craft.runtime.memory import peak_memory_mb, reset_peak_memory

SIZE = {"population": 40, "images": 16_000, "classes": 1_000, "features": 1_024}
SMALL = {"population": 4, "images": 300, "classes": 50, "features": 16}


class MadeUpTower:
    """Text features that move with the context, at the price of one small product."""

    context_length, context_width, embedding_std, logit_scale = 4, 512, 0.01, 100.0
    positions = 1

    def __init__(self, classes: int, features: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.class_names = [f"class {n}" for n in range(classes)]
        self._text = torch.randn(classes, features, generator=generator)
        width = self.context_length * self.context_width
        self._mix = torch.randn(width, features, generator=generator)

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """(P, L, D) -> (P, K, E)."""
        return F.normalize(self._text + (offsets.flatten(1) @ self._mix)[:, None], dim=-1)


def unit_rows(rows: int, width: int, seed: int = 1) -> torch.Tensor:
    """Random image features (N, E) of unit norm."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(rows, width, generator=generator), dim=-1)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run a child for each size and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--population", type=int, help="candidates (memory does not depend on it)")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    size = SMALL if given.smoke else SIZE
    size |= {"population": given.population} if given.population else {}
    if given.part:
        print(json.dumps(_generation(**size)))
        return {}
    options = ["--part", "generation", *["--smoke"] * given.smoke]
    options += ["--population", str(size["population"])]
    row = size | measure.child("benchmarks.scoring", given.threads, options)
    result = {"limit GB": 4.0, "peak GB": row["peak GB"]}
    measure.report(result, [row], given)
    return result | {"rows": [row]}


def _generation(population: int, images: int, classes: int, features: int) -> dict[str, float]:
    """Seconds of one generation and what it holds in memory."""
    image_set = unit_rows(images, features)
    labels = torch.arange(images) % classes
    box = LocalBox(MadeUpTower(classes, features), {"train": image_set})
    learner = Collaborative(budget=population, population=population)
    reset_peak_memory()
    taken = measure.seconds(lambda: learner.fit(box, labels, seed=1))
    hidden = learner.options.hidden
    products = 2 * classes * images * (population * (features + 2 * hidden) + 3 * 2 * hidden)
    return taken | {
        "peak GB": peak_memory_mb() / 1024,
        "scores held whole, GB": 4 * population * images * classes / 2**30,
        "GFLOP/s": products / taken["cpu"] / 1e9,
    }


if __name__ == "__main__":
    main()
