"""The image tower of CLIP models in float32, bfloat16 and float16 on a CPU:
``python -m benchmarks.precision [--threads 2]``.

All precisions of a model have the same random weights and see the same batch, in turn in one
process; a ratio is of the same turn. A process for each instruction set that oneDNN may use shows
what processors without the newest one would do.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import measure

ARCHITECTURES = ("RN50-quickgelu", "ViT-B-32-quickgelu")
PRECISIONS = ("fp32", "bf16", "fp16")
#: oneDNN's names; the first sets no bound.
INSTRUCTION_SETS = ("DEFAULT", "AVX512_CORE_BF16", "AVX2")
#: What --smoke runs instead.
_SMALL = "ViT-S-32"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure each instruction set in a process and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--batch", type=int, default=8, help="images at a time")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each precision")
    given = parser.parse_args(arguments)
    if given.part:
        print(json.dumps({"rows": _rows(given)}))
        return {}
    options = ["--part", "one", "--batch", str(given.batch), "--rounds", str(given.rounds)]
    rows = []
    for name in INSTRUCTION_SETS[:1] if given.smoke else INSTRUCTION_SETS:
        os.environ["ONEDNN_MAX_CPU_ISA"] = name
        done = measure.child(
            "benchmarks.precision", given.threads, options + ["--smoke"] * given.smoke
        )
        rows += [{"instruction set": name} | row for row in done["rows"]]
    result = {"batch": given.batch}
    measure.report(result, rows, given)
    return result | {"rows": rows}


@torch.no_grad()
def _rows(given: Any) -> list[dict[str, Any]]:
    import open_clip

    torch.set_num_threads(given.threads)
    rows = []
    for architecture in (_SMALL,) if given.smoke else ARCHITECTURES:
        towers = {}
        for precision in PRECISIONS:
            torch.manual_seed(0)
            model = open_clip.create_model(architecture, precision=precision, pretrained=None)
            towers[precision] = model.eval().visual
        size = open_clip.get_model_config(architecture)["vision_cfg"]["image_size"]
        images = torch.rand(given.batch, 3, size, size, generator=torch.Generator().manual_seed(0))
        inputs = {name: images.to(each.conv1.weight.dtype) for name, each in towers.items()}
        features = {name: towers[name](inputs[name]).float() for name in PRECISIONS}
        turns: dict[str, list[float]] = {name: [] for name in PRECISIONS}
        for _ in range(1 if given.smoke else given.rounds):
            for name in PRECISIONS:
                run = functools.partial(towers[name], inputs[name])
                turns[name].append(measure.seconds(run)["wall"])
        for name in PRECISIONS:
            ratios = [a / b for a, b in zip(turns["fp32"], turns[name], strict=True)]
            cosine = F.cosine_similarity(features["fp32"], features[name]).min().item()
            rows.append(
                {
                    "model": architecture,
                    "precision": name,
                    "s per batch": min(turns[name]),
                    "rate, of fp32": statistics.median(ratios),
                    "lowest cosine": cosine,
                }
            )
    return rows


if __name__ == "__main__":
    main()
