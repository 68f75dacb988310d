"""The image encoder of a masked autoencoder: read from the hub's layout, checked by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch.nn import functional as F

from craft.blackbox.backbones import mae
from craft.blackbox.backbones.description import BackboneError, architecture, read_backbone
from craft.blackbox.backbones.pretrained import load
from craft.config.schema import schema_problems
from craft.files import yaml12

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"image_size": 16, "patch_size": 4, "width": 12, "layers": 2, "heads": 3}
CONFIG = {
    "name": "small-mae",
    "label": "small MAE",
    "kind": "mae",
    "vision": SMALL,
    "image": {"size": 16, "mean": [0.5] * 3, "std": [0.3] * 3},
}


def hub_weights(vision: dict[str, int], scale: float = 0.3) -> dict[str, torch.Tensor]:
    """Random weights under the names of the hub's file, with parts of a decoder."""
    generator = torch.Generator().manual_seed(0)
    width, patch = vision["width"], vision["patch_size"]
    tokens = 1 + (vision["image_size"] // patch) ** 2
    shapes = {
        "vit.embeddings.cls_token": (1, 1, width),
        "vit.embeddings.position_embeddings": (1, tokens, width),
        "vit.embeddings.patch_embeddings.projection.weight": (width, 3, patch, patch),
        "vit.embeddings.patch_embeddings.projection.bias": (width,),
        "vit.layernorm.weight": (width,),
        "vit.layernorm.bias": (width,),
        "decoder.mask_token": (1, 1, 5),
    }
    layers = {
        **{f"attention.attention.{part}": (width, width) for part in ("query", "key", "value")},
        "attention.output.dense": (width, width),
        "intermediate.dense": (4 * width, width),
        "output.dense": (width, 4 * width),
        "layernorm_before": (width,),
        "layernorm_after": (width,),
    }
    for n in range(vision["layers"]):
        for name, shape in layers.items():
            shapes[f"vit.encoder.layer.{n}.{name}.weight"] = shape
            shapes[f"vit.encoder.layer.{n}.{name}.bias"] = shape[:1]
    return {name: scale * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def by_hand(w: dict[str, torch.Tensor], vision: dict[str, int], x: torch.Tensor) -> torch.Tensor:
    """Return the class token behind the last block, its norm left out, step by step."""
    width, heads = vision["width"], vision["heads"]
    patches = F.conv2d(
        x,
        w["vit.embeddings.patch_embeddings.projection.weight"],
        w["vit.embeddings.patch_embeddings.projection.bias"],
        stride=vision["patch_size"],
    )
    first = w["vit.embeddings.cls_token"].expand(len(x), -1, -1)
    tokens = torch.cat([first, patches.flatten(2).mT], 1) + w["vit.embeddings.position_embeddings"]
    for n in range(vision["layers"]):

        def linear(name: str, value: torch.Tensor, n: int = n) -> torch.Tensor:
            at = f"vit.encoder.layer.{n}.{name}"
            return value @ w[f"{at}.weight"].T + w[f"{at}.bias"]

        def norm(name: str, value: torch.Tensor, n: int = n) -> torch.Tensor:
            at = f"vit.encoder.layer.{n}.{name}"
            centred = value - value.mean(-1, keepdim=True)
            deviation = (centred.square().mean(-1, keepdim=True) + 1e-12).sqrt()
            return centred / deviation * w[f"{at}.weight"] + w[f"{at}.bias"]

        normed = norm("layernorm_before", tokens)
        q, k, v = (
            linear(f"attention.attention.{part}", normed).unflatten(2, (heads, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        attention = (q @ k.mT / math.sqrt(width // heads)).softmax(-1) @ v
        tokens = tokens + linear("attention.output.dense", attention.transpose(1, 2).flatten(2))
        hidden = linear("intermediate.dense", norm("layernorm_after", tokens))
        exact = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
        tokens = tokens + linear("output.dense", exact)
    return tokens[:, 0]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(hub_weights(SMALL), path)
    return path


def test_codes_are_those_of_the_published_layers(weights: Path) -> None:
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    backbone = load(CONFIG, weights, "cpu")
    codes = backbone.model.encode_image(images)
    expected = by_hand(hub_weights(SMALL), SMALL, images)
    torch.testing.assert_close(codes, expected, rtol=1e-5, atol=1e-5)
    assert backbone.tokenizer is None
    assert not codes.requires_grad
    assert architecture(backbone.config)["embed_dim"] == 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda w: w.pop("vit.encoder.layer.1.output.dense.bias"), "layer.1.output.dense.bias"),
        (lambda w: w.update({"vit.pooler.weight": torch.zeros(3)}), "vit.pooler.weight"),
        (lambda w: w.update({"vit.encoder.layer.2.output.dense.bias": torch.zeros(3)}), "layer.2"),
        (
            lambda w: w.update({"vit.embeddings.position_embeddings": torch.zeros(1, 5, 12)}),
            "pos_embed",
        ),
    ],
    ids=["missing", "foreign", "deeper", "larger"],
)
def test_other_weights_are_refused_by_name(change: object, said: str, tmp_path: Path) -> None:
    changed = hub_weights(SMALL)
    change(changed)
    save_file(changed, tmp_path / "w.safetensors")
    with pytest.raises(BackboneError, match=said):
        load(CONFIG, tmp_path / "w.safetensors")


def test_the_description_is_that_of_the_paper() -> None:
    path = ROOT / "config/backbones/MAE-ViT-B-16.yaml"
    found, clip = read_backbone(path), read_backbone(ROOT / "config/backbones/ViT-B-16.yaml")
    assert found["vision"] == {
        "image_size": 224,
        "patch_size": 16,
        "width": 768,
        "layers": 12,
        "heads": 12,
    }
    for key in ("size", "mean", "std"):  # as BlackVIP's authors hand it the images
        assert found["image"][key] == clip["image"][key]
    model = mae.MaskedAutoencoder(found["vision"])
    # As published, but for the final norm, which is left out.
    assert sum(p.numel() for p in model.parameters()) == 85_798_656 - 2 * 768


@pytest.mark.parametrize("missing", ["vision", "image", "hub"])
def test_a_description_that_lacks_something_is_refused(missing: str) -> None:
    described = yaml12.read(ROOT / "config/backbones/MAE-ViT-B-16.yaml")
    assert not list(schema_problems(described, "backbone"))
    described.pop(missing)
    assert list(schema_problems(yaml.safe_load(yaml.safe_dump(described)), "backbone"))
