"""The paper's four architectures with random weights, through the files that a user's run has:
weights as published checkpoints lay them out, the backbone's YAML, both commands, the features."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image as Pillow
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from craft.blackbox.backbones import export_side
from craft.blackbox.backbones.description import read_backbone, tokenizer_of
from craft.blackbox.images import __main__ as images
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tokenise import PromptTokens
from craft.blackbox.text.weights import TextWeights
from craft.files.datasets import Image, Manifest
from craft.files.image_features import Features

#: Ragged: of StanfordCars, DTD, EuroSAT, OxfordPets, Flowers102 and UCF101.
NAMES = (
    "2012 Mercedes-Benz SL-Class Coupe",
    "polka-dotted",
    "Annual_Crop_Land",
    "pug",
    "hard-leaved pocket orchid",
    "Apply_Eye_Makeup",
)
SIZES = ((300, 250), (180, 260))  # height, width: to shrink, to enlarge


@dataclass(frozen=True)
class Real:
    """One architecture: open_clip's model, and the folder with its YAML, weights and images."""

    name: str
    model: nn.Module
    folder: Path


@pytest.fixture(scope="module", params=["RN50", "RN101", "ViT-B-32", "ViT-B-16"])
def real(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Real]:
    shipped = yaml.safe_load(Path(f"config/backbones/{request.param}.yaml").read_text())
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    model = open_clip.create_model(shipped["model"], pretrained=None).eval().requires_grad_(False)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.ndim == 1 and not name.startswith("visual"):  # starts at 0 or 1, and hides
                value += 0.1 * torch.randn_like(value)
    file = folder / "open_clip_model.safetensors"
    save_file(model.state_dict(), file)
    # As a user who brings the weights has it; the pins are those of the published files.
    own = shipped | {"weights": str(file), "sha256": None}
    (folder / "backbone.yaml").write_text(yaml.safe_dump(own))
    yield Real(request.param, model, folder)
    file.unlink()


def test_text_features_are_encode_texts(real: Real) -> None:
    """At the initial context, to 1e-5 of a unit vector."""
    out = real.folder / "text.safetensors"
    export_side.main(
        ["--backbone", str(real.folder / "backbone.yaml"), "--side", "text", "--out", str(out)]
    )
    tokenizer = tokenizer_of(read_backbone(real.folder / "backbone.yaml"))
    tokens = PromptTokens.tokenise(tokenizer, NAMES)
    assert len({len(ids) for ids in tokens.suffix_ids}) >= 4
    tower = TextTower(TextWeights.read(out), tokens)
    out.unlink()
    texts = [f"a photo of a {name.replace('_', ' ')}." for name in NAMES]
    theirs = real.model.encode_text(open_clip.get_tokenizer("RN50")(texts), normalize=True)
    ours = tower.encode(torch.zeros(1, 4, tower.context_width))[0]
    assert ours.shape == theirs.shape == (6, 1024 if real.name == "RN50" else 512)
    assert (ours - theirs).abs().max() < 1e-5
    # Classes differ by far more than that.
    assert (ours[0] - ours[1]).abs().max() > 1e-2


def test_image_features_are_encode_images(real: Real) -> None:
    """From the image files on, each through its own preprocessing."""
    rng = np.random.default_rng(0)
    listed = []
    for n, (height, width) in enumerate(SIZES):
        coarse = Pillow.fromarray(rng.integers(0, 256, (60, 60, 3), dtype=np.uint8))
        coarse.resize((width, height), Pillow.Resampling.BICUBIC).save(real.folder / f"{n}.png")
        listed.append(Image(f"{n}.png", n, f"class {n}", "test"))
    Manifest(tuple(listed)).write(real.folder / "m.csv")
    (real.folder / "d.yaml").write_text(yaml.safe_dump({"name": "two", "images": "."}))
    out = real.folder / "test.safetensors"
    at = real.folder
    images.main(
        f"--backbone {at}/backbone.yaml --manifest {at}/m.csv --root {at} --dataset {at}/d.yaml "
        f"--part test --out {out}".split()
    )
    features = Features.read(out)
    facts = PreprocessCfg(**real.model.visual.preprocess_cfg)
    transform = image_transform_v2(facts, is_train=False)
    batch = torch.stack([transform(Pillow.open(real.folder / image.path)) for image in listed])
    raw = real.model.encode_image(batch)
    ours = torch.from_numpy(features.features)
    assert (ours - F.normalize(raw, dim=-1)).abs().max() < 1e-5
    np.testing.assert_allclose(features.norms, raw.norm(dim=1), rtol=1e-4)
    assert features.weights_sha256 != read_backbone(f"config/backbones/{real.name}.yaml")["sha256"]


def test_the_yaml_counts_the_models_parameters(real: Real) -> None:
    shipped = read_backbone(f"config/backbones/{real.name}.yaml")
    assert shipped["parameters"] == sum(value.numel() for value in real.model.parameters())
