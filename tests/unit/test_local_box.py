"""The in-process box: scores as declared, queries charged first, memory bounded."""

import pytest
import torch
from torch.nn import functional as F

from craft.blackbox.local_box import LocalBox
from craft.protocol import BlackBox, BudgetExceeded, QueryMeter


class Tower:
    """Text features that are a known function of the offsets; counts what it encodes."""

    context_length, context_width, embedding_std, logit_scale = 2, 3, 0.1, 100.0
    class_names = ("cat", "dog", "hen", "fox")

    def __init__(self):
        weight = torch.randn(6, 4 * 5, generator=torch.Generator().manual_seed(0))
        self.weight, self.encoded = weight, 0

    def encode(self, offsets):
        self.encoded += len(offsets)
        return F.normalize((offsets.flatten(1) @ self.weight).view(-1, 4, 5), dim=-1)


def images(count=7, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, 5, generator=generator), dim=-1)


def offsets(count=6):
    return torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(2))


def test_it_is_a_black_box_that_declares_its_facts():
    box = LocalBox(Tower(), {"train": images(), "test": images(3)})
    assert isinstance(box, BlackBox)
    assert (box.context_length, box.context_width, box.embedding_std) == (2, 3, 0.1)
    assert box.class_names == Tower.class_names
    assert box.image_sets == {"train": 7, "test": 3}


@pytest.mark.parametrize("scale", [None, 20.0])
@pytest.mark.parametrize("max_block_bytes", [1, 600, 1 << 20])
def test_logits_are_scaled_cosines_whatever_the_blocks(scale, max_block_bytes):
    box = LocalBox(Tower(), {"train": images()}, scale=scale, max_block_bytes=max_block_bytes)
    expected = (scale or 100.0) * torch.einsum("ne,pke->pnk", images(), Tower().encode(offsets()))
    blocks = list(box.predict("train", offsets()))
    torch.testing.assert_close(torch.cat(blocks), expected, rtol=1e-5, atol=1e-4)
    for block in blocks:
        assert block.shape[1:] == (7, 4)
        assert len(block) == 1 or block.numel() * 4 <= max_block_bytes
    assert len(blocks) == {1: 6, 600: 2, 1 << 20: 1}[max_block_bytes]


def test_raw_norms_multiply_the_scores():
    norms = torch.linspace(5, 11, 7)[:, None]
    box = LocalBox(Tower(), {"unit": images(), "raw": images() * norms})
    unit, raw = (next(box.predict(name, offsets(1)))[0] for name in ("unit", "raw"))
    torch.testing.assert_close(raw, unit * norms)


def test_no_gradient_leaves_the_box():
    box = LocalBox(Tower(), {"train": images().requires_grad_()})
    assert not next(box.predict("train", offsets().requires_grad_())).requires_grad


def test_queries_are_charged_before_anything_is_computed():
    tower = Tower()
    box = LocalBox(tower, {"train": images()}, meter=QueryMeter(budget=6))
    blocks = box.predict("train", offsets(4))
    assert box.meter.counts["search"] == 4 and tower.encoded == 0
    list(blocks)
    assert tower.encoded == 4
    with pytest.raises(BudgetExceeded, match="7 search queries asked of a budget of 6"):
        box.predict("train", offsets(3))
    assert box.meter.counts["search"] == 4 and tower.encoded == 4
    box.predict("train", offsets(1), purpose="evaluate")
    assert box.meter.counts == {"search": 4, "refine": 0, "evaluate": 1}


@pytest.mark.parametrize(
    "bad", [torch.zeros(2, 3), torch.zeros(1, 3, 2), torch.full((1, 2, 3), float("nan"))]
)
def test_offsets_that_cannot_be_scored_are_refused_uncharged(bad):
    box = LocalBox(Tower(), {"train": images()})
    with pytest.raises(ValueError, match="context offsets"):
        box.predict("train", bad)
    assert box.meter.total == 0


def test_an_image_set_that_was_not_uploaded_is_refused_uncharged():
    box = LocalBox(Tower(), {"train": images()})
    with pytest.raises(KeyError, match="'test' is not uploaded; uploaded: train"):
        box.predict("test", offsets())
    assert box.meter.total == 0


@pytest.mark.parametrize(
    ("features", "named"),
    [
        (torch.zeros(0, 5), r"\(0, 5\)"),
        (torch.zeros(5), r"\(5,\)"),
        (torch.full((2, 5), float("inf")), "not finite"),
    ],
)
def test_features_that_are_none_are_refused(features, named):
    with pytest.raises(ValueError, match=named):
        LocalBox(Tower(), {"train": features})


def test_image_sets_share_their_width():
    with pytest.raises(ValueError, match="different feature widths"):
        LocalBox(Tower(), {"train": images(), "test": torch.ones(2, 6)})
