"""Caching image features against the bare model: ``python -m benchmarks.images [--threads 2]``.

Both sides see the same photographs: one from JPEG files to a features file, shards and all, the
other as tensors that lie in memory, ready for the model. The bare model gets the better of two ways
to use the cores, one batch on all of them or a batch on each. Sides take turns in one process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from benchmarks import measure
from craft.blackbox.images.encode import Encoder, Pictures, batch_size, encode
from craft.blackbox.images.partial import Shards
from craft.blackbox.images.preprocess import Preprocess
from craft.files.datasets import Image

ARCHITECTURE = "RN50-quickgelu"
DECODING = "decoding, on one core"
#: What --smoke runs instead.
_SMALL = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 8, "image_size": 32}
_TEXT = {"context_length": 8, "vocab_size": 16, "width": 8, "heads": 1, "layers": 1}
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure both sides in turn and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="turns of each side")
    parser.add_argument("--images", type=int, default=96)
    given = parser.parse_args(arguments)
    count = 10 if given.smoke else given.images
    with tempfile.TemporaryDirectory() as name:
        return _measured(given, Path(name), count)


def _measured(given: Any, folder: Path, count: int) -> dict[str, Any]:
    size = 32 if given.smoke else 224
    pictures = Pictures(_photographs(folder, count), folder, Preprocess(size, _MEAN, _STD))
    encoder = Encoder(_model(given.smoke), pictures.preprocess)
    together = 4 if given.smoke else batch_size(size)
    ready = [
        pictures.preprocess.normalise(
            np.stack([pictures.read(n) for n in range(first, min(first + together, count))])
        )
        for first in range(0, count, together)
    ]
    found: dict[str, Any] = {}

    def cache(workers: int) -> None:
        shards = Shards(folder / "features", {"workers": workers})
        found[f"features by {workers}"], _ = encode(
            encoder,
            pictures,
            batch_size=together,
            workers=workers,
            shards=shards,
        )
        shards.drop()

    @torch.no_grad()
    def forward(batch: torch.Tensor) -> torch.Tensor:
        return encoder.model.encode_image(batch)

    def bare() -> None:
        with ThreadPoolExecutor(given.threads) as pool:
            found["bare"] = torch.cat(list(pool.map(forward, ready)))

    def bare_together() -> None:
        torch.set_num_threads(given.threads)
        for batch in ready:
            forward(batch)
        torch.set_num_threads(1)

    def decode() -> None:
        for number in range(count):
            pictures.read(number)

    sides: dict[str, Callable[[], None]] = {
        "bare, a batch on each core": bare,
        "bare, each batch on all cores": bare_together,
        "files to features": lambda: cache(given.threads),
        DECODING: decode,
    }
    torch.set_num_threads(1)
    forward(ready[0])  # what is set up once
    turns: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for _ in range(1 if given.smoke else given.rounds):
        for side, run in sides.items():
            turns[side].append(measure.seconds(run))
    least = {
        side: {clock: min(turn[clock] for turn in done) for clock in ("wall", "cpu")}
        for side, done in turns.items()
    }
    best = {
        clock: min(least[side][clock] for side in sides if side.startswith("bare"))
        for clock in ("wall", "cpu")
    }
    rows = [
        {
            "side": side,
            "images per s": count / taken["wall"],
            "core ms per image": 1e3 * taken["cpu"] / count,
            "rate, of bare": best["wall"] / taken["wall"],
            "rate by core time, of bare": best["cpu"] / taken["cpu"],
        }
        for side, taken in least.items()
        if side != DECODING
    ]
    cache(1)
    raw = found["bare"]
    unit = (raw / raw.norm(dim=1, keepdim=True)).numpy()
    whole = next(row for row in rows if row["side"] == "files to features")
    result = {
        "images": count,
        "batch": together,
        "bytes per image": sum(path.stat().st_size for path in folder.glob("*.jpg")) / count,
        "decoding, core ms per image": 1e3 * least[DECODING]["cpu"] / count,
        "share of bare": whole["rate, of bare"],
        "share of bare by core time": whole["rate by core time, of bare"],
        "largest difference": float(np.abs(unit - found[f"features by {given.threads}"]).max()),
        "same bits by one worker": bool(
            np.array_equal(found["features by 1"], found[f"features by {given.threads}"])
        ),
    }
    measure.report(result, rows, given)
    return result | {"rows": rows}


def _photographs(folder: Path, count: int) -> list[tuple[int, Image]]:
    """JPEGs of 500 x 375 pixels with about a photograph's detail: 60 to 70 kB each."""
    for number in range(count):
        rng = np.random.default_rng(number)
        coarse = Pillow.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((500, 375), Pillow.Resampling.BICUBIC), dtype=np.int16)
        grainy = smooth + rng.integers(-12, 13, smooth.shape, dtype=np.int16)
        image = Pillow.fromarray(grainy.clip(0, 255).astype(np.uint8))
        image.save(folder / f"{number}.jpg", quality=90)
    return [(n, Image(f"{n}.jpg", 0, "photograph", "test")) for n in range(count)]


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
