"""The image tower with visual prompts against open_clip's own modules on concatenated tokens:
``python -m benchmarks.image_tower [--threads 1] [--candidates 8] [--images 5] [--device cuda]``.

Both sides get the same decoded images and prompts, and give unit features for every candidate and
image; weights are random. Sides take turns in one process, and a ratio is of the same turn: by
processor time, or by wall time on another device. There, features are held against the CPU's, too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks import measure
from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.images.vision_weights import VisionWeights

ARCHITECTURE = "ViT-B-16-quickgelu"
IMAGE = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
#: Tokens of Yu et al.
TOKENS = 5
#: What --smoke runs instead.
_SMALL = {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}
_TEXT = {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 1, "layers": 1}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure both sides in turn and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--candidates", type=int, default=8)
    parser.add_argument(
        "--images", type=int, default=5, help="of one block, the same on both sides"
    )
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    weights = VisionWeights.from_model(model := _model(given.smoke), IMAGE)
    model.to(device)
    tower = VisionTower(weights, device=device)
    tower.unit = given.images
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(given.images, 3, tower.size, tower.size, generator=generator)
    prompts = torch.randn(given.candidates, TOKENS, tower.width, generator=generator)
    on_cpu = images, prompts
    images, prompts = images.to(device), prompts.to(device)
    found: dict[str, torch.Tensor] = {}

    def own() -> None:
        found["own"] = tower.encode_prompted([images], prompts).cpu()

    @torch.no_grad()
    def plain() -> None:
        found["open_clip"] = torch.stack([_plain(model, images, each) for each in prompts]).cpu()

    sides = {"open_clip": plain, "own": own}
    for run in sides.values():
        run()  # what is set up once
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(1 if given.smoke else given.rounds):
        for side, run in sides.items():
            turns[side].append(measure.seconds(run))
    pairs = given.candidates * given.images
    clock = "cpu" if device.type == "cpu" else "wall"
    rows = [
        {"side": side, "ms per pair": 1e3 * min(turn[clock] for turn in done) / pairs}
        for side, done in turns.items()
    ]
    together = zip(turns["open_clip"], turns["own"], strict=True)
    ratios = sorted(theirs[clock] / ours[clock] for theirs, ours in together)
    result = {
        "architecture": "small" if given.smoke else ARCHITECTURE,
        "candidates": given.candidates,
        "images": given.images,
        "tokens": TOKENS,
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "largest difference": (found["own"] - found["open_clip"]).abs().max().item(),
    }
    if device.type != "cpu":
        reference = VisionTower(weights).encode_prompted([on_cpu[0]], on_cpu[1])
        result["largest difference from the CPU"] = (found["own"] - reference).abs().max().item()
    measure.report(result, rows, given)
    return result | {"rows": rows}


def _plain(model: torch.nn.Module, images: torch.Tensor, prompt: torch.Tensor) -> torch.Tensor:
    """Return unit features (n, E) by open_clip's modules, prompt tokens (V, W) at the end."""
    visual, count = model.visual, len(images)
    mean, std = (images.new_tensor(IMAGE[name]).view(3, 1, 1) for name in ("mean", "std"))
    patches = visual.conv1((images - mean) / std).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(count, 1, -1)
    own = torch.cat([first, patches], dim=1) + visual.positional_embedding
    x = visual.ln_pre(torch.cat([own, prompt.expand(count, -1, -1)], dim=1))
    pooled = visual.ln_post(visual.transformer(x)[:, 0])
    return F.normalize(pooled @ visual.proj, dim=-1)


def _model(smoke: bool) -> torch.nn.Module:
    import open_clip

    torch.manual_seed(0)
    if smoke:
        model = open_clip.CLIP(8, _SMALL, _TEXT, quick_gelu=True)
    else:
        config = open_clip.get_model_config(ARCHITECTURE)
        model = open_clip.CLIP(config["embed_dim"], config["vision_cfg"], _TEXT, quick_gelu=True)
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    main()
