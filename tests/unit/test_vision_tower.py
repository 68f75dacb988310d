"""The image tower of a fit: open_clip's own numbers, and what visual prompts do to them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import open_clip
import pytest
import torch
from torch.nn import functional as F

from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.images.vision_weights import UnsupportedImageTower, VisionWeights
from craft.data.normalisation import normalise
from craft.files.atomic import RecordError

IMAGE = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28]}
TEXT = {"context_length": 16, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}
VISION = {"layers": 3, "width": 32, "head_width": 8, "patch_size": 8, "image_size": 32}


def model(quick_gelu: bool = True, **vision) -> open_clip.CLIP:
    torch.manual_seed(0)
    made = open_clip.CLIP(24, VISION | vision, TEXT, quick_gelu=quick_gelu).eval()
    with torch.no_grad():  # away from the initial ones and zeros, which would hide a mistake
        for parameter in made.visual.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def reference(clip: open_clip.CLIP, images: torch.Tensor, prompts: torch.Tensor) -> torch.Tensor:
    """open_clip's own modules on concatenated tokens: unit features (N, E) for prompts (V, W)."""
    visual, count = clip.visual, len(images)
    patches = visual.conv1(images).flatten(2).transpose(1, 2)
    first = visual.class_embedding.expand(count, 1, -1)
    own = torch.cat([first, patches], dim=1) + visual.positional_embedding
    x = torch.cat([own, prompts.expand(count, -1, -1)], dim=1)
    x = visual.transformer(visual.ln_pre(x))
    x = x[:, : own.shape[1]]  # prompts are not read out
    if visual.final_ln_after_pool:
        pooled = visual.ln_post(x[:, 0] if visual.pool_type == "tok" else x[:, 1:].mean(1))
    else:
        x = visual.ln_post(x)
        pooled = x[:, 0] if visual.pool_type == "tok" else x[:, 1:].mean(1)
    return F.normalize(pooled @ visual.proj, dim=-1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 32, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def images(pixels) -> torch.Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def clip() -> open_clip.CLIP:
    return model()


@pytest.fixture(scope="module")
def tower(clip) -> VisionTower:
    made = VisionTower(VisionWeights.from_model(clip, IMAGE))
    made.unit = 3  # several blocks, of unequal size
    return made


def blocks(tower: VisionTower, images: torch.Tensor) -> list[torch.Tensor]:
    return list(images.tensor_split(-(-len(images) // tower.unit)))


def prompts(contexts: int, tokens: int = 5, width: int = 32) -> torch.Tensor:
    return torch.randn(contexts, tokens, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("quick_gelu", "vision"),
    [
        (True, {}),
        (False, {"pool_type": "avg"}),
        (True, {"pool_type": "avg", "final_ln_after_pool": True}),
        (False, {"pos_embed_type": "sin_cos_2d", "layers": 1}),
        (True, {"layers": 1, "pool_type": "avg", "pos_embed_type": "sin_cos_2d"}),
        (False, {"ls_init_value": 0.1}),
    ],
)
def test_features_are_open_clips_on_concatenated_tokens(quick_gelu, vision, pixels, images):
    clip = model(quick_gelu, **vision)
    tower = VisionTower(VisionWeights.from_model(clip, IMAGE))
    tower.unit = 3
    own = normalise(pixels, IMAGE["mean"], IMAGE["std"])
    asked = prompts(2)
    with torch.no_grad():
        plain = clip.encode_image(own, normalize=True)
        prompted = torch.stack([reference(clip, own, each) for each in asked])
        assert torch.allclose(reference(clip, own, asked[0, :0]), plain, atol=1e-6)
    assert (tower.encode(images) - plain).abs().max() < 1e-5
    found = tower.encode_prompted(blocks(tower, images), asked)
    assert found.shape == (2, 7, 24)
    assert (found - prompted).abs().max() < 1e-5
    assert (found - plain).abs().max() > 1e-2  # a prompt is seen


def test_a_prompt_has_neither_scale_nor_offset_nor_order(tower, images):
    asked = prompts(1)
    same = [0.3 * asked, 100 * asked, asked + 3, asked - 2, asked[:, [4, 2, 0, 1, 3]]]
    found = tower.encode_prompted(blocks(tower, images), torch.cat([asked, *same]))
    assert (found[1:] - found[0]).abs().max() < 1e-5


def test_bits_depend_on_no_other_candidate(tower, images):
    asked = prompts(4)
    together = tower.encode_prompted(blocks(tower, images), asked)
    alone = [tower.encode_prompted(blocks(tower, images), each[None]) for each in asked]
    backwards = tower.encode_prompted(blocks(tower, images), asked.flip(0)).flip(0)
    assert torch.equal(together, torch.cat(alone))
    assert torch.equal(together, backwards)


def test_bits_depend_on_no_number_of_cores(tower, images):
    asked, threads = prompts(3), torch.get_num_threads()
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            found.append(tower.encode_prompted(blocks(tower, images), asked))
            found.append(tower.encode(images))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


def test_half_precision_is_close_with_its_features_in_single_precision(clip, images):
    weights = VisionWeights.from_model(clip, IMAGE)
    half = VisionTower(weights, dtype=torch.bfloat16).encode(images)
    assert half.dtype == torch.float32
    assert 0 < (half - VisionTower(weights).encode(images)).abs().max() < 0.05


def test_a_written_tower_is_read_back(clip, tmp_path):
    weights = VisionWeights.from_model(clip, IMAGE)
    weights.write(tmp_path / "image.safetensors", {"backbone": "toy"})
    read = VisionWeights.read(tmp_path / "image.safetensors")
    for field in fields(VisionWeights):
        if field.name != "tensors":
            assert getattr(read, field.name) == getattr(weights, field.name)
    assert read.tensors.keys() == weights.tensors.keys()
    assert all(torch.equal(read.tensors[name], weights.tensors[name]) for name in read.tensors)


@pytest.mark.parametrize("lacking", ["ln_pre.weight", "blocks.2.fc.bias"])
def test_a_file_without_a_tensor_is_refused_by_its_name(clip, tmp_path, lacking):
    weights = VisionWeights.from_model(clip, IMAGE)
    del weights.tensors[lacking]
    weights.write(tmp_path / "image.safetensors", {})
    with pytest.raises(RecordError, match=lacking):
        VisionWeights.read(tmp_path / "image.safetensors")


@pytest.mark.parametrize(
    ("vision", "what"),
    [
        ({"layers": [1, 1, 1, 1], "width": 8}, "ModifiedResNet"),
        ({"no_ln_pre": True}, "ln_pre"),
        ({"attentional_pool": True, "attn_pooler_heads": 2}, "attention pooling"),
        ({"pool_type": "none"}, "none"),
        ({"image_size": (32, 64)}, "32 x 64"),
    ],
)
def test_an_unsupported_tower_is_refused_by_what_it_has(vision, what):
    with pytest.raises(UnsupportedImageTower, match=what):
        VisionWeights.from_model(model(**vision), IMAGE)
