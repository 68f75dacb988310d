"""Models of an architecture's real size with weights that mean nothing, and their speed."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from craft.blackbox.backbones.description import tokenizer_of
from craft.blackbox.images.preprocess import Preprocess
from craft.blackbox.openclip import open_clip
from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.blackbox.text.prompts import PromptTokens
from craft.blackbox.text.weights import BLOCK, TextWeights
from craft.mini import backbone as mini
from craft.plan.stopwatch import Clock

#: A larger text tower is not timed but extrapolated to, in proportion to its positions.
LARGEST = 1000
#: Width and height of a photograph to decode, about ImageNet's mean, for a model that sees 224.
PHOTOGRAPH = (500, 375)
#: What open_clip takes where an architecture's text side does not say.
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}


def class_names(suite: Mapping[str, Any], dataset: str) -> list[str]:
    """Names of a data set's classes, or as many others where its manifest is not there yet."""
    manifest = Path(suite["results"]) / "manifests" / f"{dataset}.csv"
    if manifest.is_file():
        from craft.files.records import Manifest

        return list(Manifest.read(manifest).class_names().values())
    with open("config/imagenet_classes.csv", encoding="utf-8", newline="") as stream:
        known = list(dict.fromkeys(row["name"] for row in csv.DictReader(stream)))
    count = suite["facts"][dataset]["counts"]["classes"]
    return [f"{known[n % len(known)]}{'' if n < len(known) else n}" for n in range(count)]


def random_text(config: Mapping[str, Any]) -> TextWeights:
    """A text tower of an architecture with weights that mean nothing."""
    text, embed = TEXT | config["text_cfg"], config["embed_dim"]
    width, heads, layers = text["width"], text["heads"], text["layers"]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.empty(shape).uniform_(-0.05, 0.05, generator=generator)

    rows = {"qkv": 3 * width, "fc": 4 * width}
    columns = {"proj": 4 * width}
    tensors = {
        "token_embedding": draw(text["vocab_size"], width),
        "positional_embedding": draw(text["context_length"], width),
        "ln_final.weight": draw(width),
        "ln_final.bias": draw(width),
        "projection.weight": draw(embed, width),
    }
    for layer in range(layers):
        for name in BLOCK:
            part, kind = name.split(".")
            shape = [rows.get(part, width)]
            if kind == "weight" and not part.startswith("ln"):
                shape.append(columns.get(part, width))
            tensors[f"blocks.{layer}.{name}"] = draw(*shape)
    return TextWeights(tensors, layers, heads, 1e-5, "quick_gelu", "argmax", -1, 100.0, 0.01)


def text_seconds(
    fact: Mapping[str, Any],
    config: Mapping[str, Any],
    suite: Mapping[str, Any],
    datasets: Sequence[str],
    population: int,
    device: str,
    clock: Clock,
) -> tuple[dict[str, tuple[float, float]], float]:
    """Seconds of a context for each data set, and how much longer one with gradients takes."""
    weights, tokenizer = random_text(config), tokenizer_of(fact)
    towers = {
        name: TextTower.from_tokens(
            weights,
            PromptTokens.tokenise(tokenizer, class_names(suite, name)),
            device=device,
            dtype=DTYPES[suite["dtype"]],
        )
        for name in datasets
    }
    order = sorted(towers.values(), key=lambda tower: tower.positions)
    small = [tower for tower in order if tower.positions <= LARGEST] or order[:1]
    # The smallest, the largest that is quick, and two between: the others lie on the lines.
    picked = {round(n * (len(small) - 1) / 3) for n in range(4)}
    points = []
    with torch.no_grad():
        for tower in (small[n] for n in sorted(picked)):
            alone = clock.seconds(lambda t=tower: t.encode(_offsets(t, 1)))
            together = min(population, max(1, round(1.0 / alone)))
            each = clock.seconds(lambda t=tower, n=together: t.encode(_offsets(t, n))) / together
            points.append((tower.positions, alone, each))
    first = small[0]
    slow = clock.seconds(lambda: _backward(first))
    seconds = {name: _between(points, tower.positions) for name, tower in towers.items()}
    return seconds, slow / points[0][1]


def _offsets(tower: TextTower, count: int) -> torch.Tensor:
    return torch.zeros(count, tower.context_length, tower.context_width)


def _backward(tower: TextTower) -> None:
    offsets = _offsets(tower, 1).requires_grad_()
    tower.encode(offsets).sum().backward()


def _between(points: Sequence[tuple[int, float, float]], positions: int) -> tuple[float, float]:
    """Seconds at some number of positions; beyond the last point, in proportion."""
    beyond = max(1.0, positions / points[-1][0])
    at = [point[0] for point in points]
    alone, each = (
        float(np.interp(positions, at, [point[n] for point in points])) * beyond for n in (1, 2)
    )
    return alone, each


def image_seconds(fact: Mapping[str, Any], device: str, clock: Clock) -> float:
    """Decoding a photograph and encoding it, by the visual half of a model without weights."""
    preprocess = Preprocess.of(fact["image"])
    with torch.device("meta"):
        model = (
            mini.build(dict(fact))
            if fact["kind"] == "mini"
            else open_clip.create_model(
                fact["model"], load_weights=False, pretrained_text=False, device="meta"
            )
        )
    visual = model.visual.to_empty(device=device).eval()
    count = 4 if device == "cpu" else 64
    with torch.no_grad():
        for value in (*visual.parameters(), *visual.buffers()):
            value.fill_(0.01)
        batch = torch.rand(count, 3, preprocess.size, preprocess.size, device=device)
        encode = clock.seconds(lambda: visual(batch)) / count
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        noise = np.random.default_rng(0).integers(0, 255, (25, 20, 3), dtype=np.uint8)
        scale = min(1.0, preprocess.size / 224)
        shape = [round(scale * side) for side in PHOTOGRAPH]
        Image.fromarray(noise).resize(shape).save(path)
        return encode + clock.seconds(lambda: preprocess.read(path))
