"""What a fit that uploads images reads beside the files of small_model.py, and its arguments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import open_clip
import torch

from craft.blackbox.images.vision_weights import VisionWeights
from craft.files.image_features import Features
from craft.files.pixels import PixelFacts, write_pixels
from craft.files.suite import JobRun
from tests.unit.small_model import EMBED, arguments, features, write_inputs

#: Of a BlackVIP whose decoder fits images of 8 x 8 pixels and codes of 8 numbers.
BLACKVIP = {
    "encoder": "encoder",
    "trigger": 8,  # 8 numbers of a code and these: 4 x 2 x 2
    "channels": "4",
    "repeats": 2,
    "batch_size": 4,
    "steps": 6,
}
SIZE, IMAGE = 8, {"size": 8, "mean": [0.5, 0.5, 0.5], "std": [0.3, 0.2, 0.1]}


def write_decoded(path: Path, of: Features) -> None:
    """Write random images of the paths of features."""
    shape = (len(of.paths), SIZE, SIZE, 3)
    rng = np.random.default_rng([len(of.paths), len(of.part), of.view])
    facts = {key: getattr(of, key) for key in PixelFacts.__dataclass_fields__}
    write_pixels(path, PixelFacts(**facts), SIZE, [rng.integers(0, 256, shape, dtype=np.uint8)])


def write_image_inputs(folder: Path) -> None:
    """Write the inputs of small_model.py, an image tower, pixels and codes of every image."""
    write_inputs(folder)
    torch.manual_seed(0)
    vision = {"layers": 1, "width": 8, "head_width": 4, "patch_size": 4, "image_size": SIZE}
    text = {"context_length": 16, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
    model = open_clip.CLIP(EMBED, vision, text).eval().requires_grad_(False)
    weights = VisionWeights.from_model(model, IMAGE)
    weights.write(folder / "image.safetensors", {"weights_sha256": "w"})
    for name, made in (
        ("train", features("train")),
        ("crop", features("train", view=1, kind="crop")),
        ("test", features("test")),
        ("shifted", features("test", dataset="s", classes=(1, 3))),
    ):
        write_decoded(folder / f"{name}-pixels.safetensors", made)
        made.write(folder / f"{name}.safetensors")
        codes = replace(made, backbone="encoder", weights_sha256="e", norms=made.norms * 2)
        codes.write(folder / f"{name}-codes.safetensors")


def image_arguments(files: Path, name: str, *runs: JobRun) -> list[str]:
    """Return arguments of the command as small_model.py does, with all of these files."""
    found = arguments(files, name, *runs)
    train = found.index("--train")
    found[train + 1 : train + 3] = [f"{files}/train.safetensors", f"{files}/crop.safetensors"]
    pixels = [f"{files}/{name}-pixels.safetensors" for name in ("train", "crop")]
    tested = [f"{n}={files}/{f}-pixels.safetensors" for n, f in (("toy", "test"), ("s", "shifted"))]
    found += ["--image-tower", f"{files}/image.safetensors", "--train-pixels", *pixels]
    codes = [f"{files}/{name}-codes.safetensors" for name in ("train", "crop", "test", "shifted")]
    return [*found, "--test-pixels", *tested, "--codes", *codes]
