"""The in-process box of visual prompts: images encoded anew, charged first, bits alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from craft.blackbox.guards.predictions import GuardedBox
from craft.blackbox.guards.visual_prompts import GuardedVisualBox
from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.images.vision_weights import VisionWeights
from craft.blackbox.visual_box import LocalVisualBox
from craft.files.pixels import PixelRows
from craft.protocol import BlackBox, BudgetExceeded, QueryMeter, VisualBox

from .test_local_box import offsets
from .test_vision_tower import IMAGE, model, prompts


class Tower:
    """Text features that are a known function of the offsets."""

    context_length, context_width, embedding_std, logit_scale = 2, 3, 0.1, 20.0
    class_names = ("cat", "dog", "hen", "fox")

    def __init__(self):
        self.weight = torch.randn(6, 4 * 24, generator=torch.Generator().manual_seed(0))

    def encode(self, offsets):
        texts = (offsets.flatten(1) @ self.weight).view(-1, 4, 24)
        return torch.nn.functional.normalize(texts, dim=-1)


@pytest.fixture(scope="module")
def vision():
    tower = VisionTower(VisionWeights.from_model(model(), IMAGE))
    tower.unit = 3
    return tower


@pytest.fixture(scope="module")
def pixels():
    images = np.random.default_rng(0).integers(0, 256, (9, 32, 32, 3), dtype=np.uint8)
    return PixelRows(images, np.array([8, 1, 2, 3, 4, 5, 6]))


@pytest.fixture
def box(vision, pixels):
    features = vision.encode(torch.from_numpy(pixels.read(slice(None))).permute(0, 3, 1, 2) / 255)
    meter = QueryMeter(budget=6)
    return LocalVisualBox(Tower(), {"train": features}, vision, {"train": pixels}, meter=meter)


def scores(box, count=6, visual=None, purpose="search"):
    return torch.cat(list(box.predict("train", offsets()[:count], purpose, visual)))


def test_it_is_a_box_of_both_levels(box):
    assert isinstance(box, VisualBox) and isinstance(box, BlackBox)
    assert box.visual.width == 32


def test_logits_are_scaled_cosines_of_prompted_images(box, vision, pixels):
    visual = prompts(6)
    images = torch.from_numpy(pixels.read(slice(None))).permute(0, 3, 1, 2) / 255
    features = vision.encode_prompted(images.tensor_split(3), visual)
    expected = 20.0 * torch.einsum("pne,pke->pnk", features, Tower().encode(offsets()))
    torch.testing.assert_close(scores(box, visual=visual), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("most", [1, 2_000, 1 << 20])
def test_bits_depend_on_no_block_and_no_other_candidate(box, most):
    visual, whole = prompts(6), None
    whole = scores(box, visual=visual, purpose="refine")
    box._max_block_bytes = most
    assert torch.equal(scores(box, visual=visual, purpose="refine"), whole)
    for n in (0, 5):
        (block,) = box.predict("train", offsets()[n : n + 1], "refine", visual[n : n + 1])
        assert torch.equal(block[0], whole[n])


def test_every_image_is_charged_for_every_candidate_and_none_without_prompts(box):
    scores(box, 2, prompts(2))
    scores(box, 1, prompts(1), "evaluate")
    scores(box, 3)
    assert box.meter.counts == {"search": 5, "refine": 0, "evaluate": 1}
    assert box.meter.images == {"upload": 7, "search": 14, "refine": 0, "evaluate": 7}


def test_a_question_beyond_the_budget_encodes_nothing(box, vision, monkeypatch):
    monkeypatch.setattr(vision, "encode_prompted", lambda *_: pytest.fail("encoded"))
    scores(box, 2)
    with pytest.raises(BudgetExceeded):
        box.predict("train", offsets()[:5], "search", prompts(5))
    assert box.meter.images["search"] == 0


def test_a_search_may_be_in_other_arithmetic_than_what_follows(box, pixels):
    weights = VisionWeights.from_model(model(), IMAGE)
    vision = VisionTower(weights, search_dtype=torch.bfloat16)
    vision.unit = vision.searching.unit = 3
    features = {"train": torch.ones(7, 24)}
    mixed = LocalVisualBox(Tower(), features, vision, {"train": pixels}, meter=QueryMeter())
    visual = prompts(2)
    exact, rough = (scores(mixed, 2, visual, purpose) for purpose in ("refine", "search"))
    assert torch.equal(exact, scores(box, 2, visual, "refine"))
    assert rough.dtype == torch.float32
    assert 0 < (rough - exact).abs().max() < 1


@pytest.mark.parametrize(
    "visual", [prompts(5), prompts(6, width=31), prompts(6)[0], prompts(6, 257), prompts(6) / 0]
)
@pytest.mark.parametrize("guarded", [False, True])
def test_prompts_that_cannot_be_are_refused_unasked(box, visual, guarded):
    asked = GuardedVisualBox(box) if guarded else box
    with pytest.raises(ValueError, match="visual prompts: expected"):
        asked.predict("train", offsets(), "search", visual)
    assert box.meter.total == 0


def test_a_guard_has_the_methods_of_its_level_alone(box):
    guarded = GuardedVisualBox(box)
    assert isinstance(guarded, VisualBox)
    assert not isinstance(GuardedBox(box), VisualBox)
    visual = prompts(6)
    assert torch.equal(scores(guarded, visual=visual), scores(box, visual=visual, purpose="refine"))
    assert box.meter.images["search"] == 42


def test_pixels_of_other_images_are_refused(vision, pixels):
    with pytest.raises(ValueError, match="pixels of 3 images, got 7"):
        LocalVisualBox(Tower(), {"train": torch.ones(3, 24)}, vision, {"train": pixels})
