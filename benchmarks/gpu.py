"""CraFT on a GPU at ImageNet's size: ``python -m benchmarks.gpu [--dtype bfloat16]``.

1,000 classes, 16,000 images, RN50's text tower with random weights: generations per second, a whole
run of 8,000 queries, and how far the chosen type's answers are from float32's. ``--device cpu
--smoke`` runs the same code on a small problem.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from benchmarks import measure
from benchmarks.scoring import unit_rows
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.fit.inputs import device_name
from craft.learner.collaborative import Collaborative
from craft.learner.losses import cross_entropy

SIZE = {"classes": 1_000, "images": 16_000, "budget": 8_000, "population": 40}
SMALL = {"classes": 12, "images": 48, "budget": 16, "population": 8}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure on one device; returns what is written as JSON. Exits where there is no device."""
    parser = measure.parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16")
    given = parser.parse_args(arguments)
    device = torch.device(given.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "no CUDA device is here: nothing was measured\n")
    torch.set_num_threads(given.threads)
    size = SMALL if given.smoke else SIZE
    weights = measure.text_weights(None if given.smoke else "RN50-quickgelu")
    prompt = measure.tokens(measure.invented_names(size["classes"]))
    towers = {
        name: TextTower.from_tokens(weights, prompt, device=device, dtype=DTYPES[name])
        for name in dict.fromkeys(("float32", given.dtype))
    }
    tower = towers[given.dtype]
    width = tower.encode(torch.zeros(1, 4, tower.context_width)).shape[2]
    images = unit_rows(size["images"], width).to(device)
    labels = (torch.arange(size["images"]) % size["classes"]).to(device)
    answers = {}
    for name, each in towers.items():
        box = LocalBox(each, {"train": images})
        offsets = tower.embedding_std * torch.randn(
            8, 4, tower.context_width, generator=torch.Generator().manual_seed(2)
        )
        blocks = list(box.predict("train", offsets))
        loss = torch.cat([cross_entropy(block, labels) for block in blocks])
        answers[name] = (torch.cat([block.argmax(dim=-1) for block in blocks]), loss)
    (best, loss), (exact_best, exact_loss) = answers[given.dtype], answers["float32"]
    box = LocalBox(tower, {"train": images})
    population = size["population"]
    Collaborative(budget=population, population=population).fit(box, labels, seed=1)  # warm
    learner = Collaborative(budget=size["budget"], population=population)
    start = time.perf_counter()
    learner.fit(box, labels, seed=1)  # ends by reading numbers: nothing is left to wait for
    wall = time.perf_counter() - start
    row = {
        **size,
        "dtype": given.dtype,
        "run s": wall,
        "generations per s": learner.options.generations / wall,
        "same argmax": (best == exact_best).double().mean().item(),
        "largest difference of loss": (loss - exact_loss).abs().max().item(),
    }
    if device.type == "cuda":
        row["peak GB"] = torch.cuda.max_memory_allocated(device) / 2**30
    measure.report({"weights": "random"}, [row], given, device_name(device))
    return row


if __name__ == "__main__":
    main()
