"""Uploads in this process: encoded once when asked about, counted, forgotten; and their guard."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from craft.blackbox.guards.guard import BoxError
from craft.blackbox.guards.predictions import GuardedBox
from craft.blackbox.guards.uploads import GuardedUploadBox
from craft.blackbox.local_box import LocalBox
from craft.blackbox.upload_box import LocalUploadBox
from craft.learner.prompt_only import PromptOnly
from craft.protocol import BudgetExceeded, FeatureBox, QueryMeter, UploadBox, VisualBox
from tests.unit.test_local_box import Tower, images, offsets


class Side:
    """Features of 4 x 4 images by a fixed matrix; counts what it encodes."""

    size, std = 4, (0.3, 0.2, 0.1)

    def __init__(self) -> None:
        self.encoded = 0
        self._weight = torch.randn(48, 5, generator=torch.Generator().manual_seed(3))

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit features (n, 5)."""
        self.encoded += len(images)
        return F.normalize(images.flatten(1) @ self._weight, dim=-1)


def pixels(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(4))


def made(budget: int | None = None) -> tuple[LocalUploadBox, Side, Tower]:
    side, tower = Side(), Tower()
    meter = QueryMeter(budget=budget)
    return LocalUploadBox(tower, {"train": images()}, side, meter=meter), side, tower


def guarded(budget: int | None = None) -> tuple[GuardedUploadBox, Side]:
    box, side, _ = made(budget)
    return GuardedUploadBox(box), side


def test_boxes_and_guards_have_the_methods_of_their_level_alone() -> None:
    box, _, tower = made()
    plain = LocalBox(tower, {"train": images()})
    for each in (box, GuardedUploadBox(box)):
        assert isinstance(each, UploadBox)
        assert not isinstance(each, VisualBox | FeatureBox)
        assert (each.image_size, each.image_std) == (4, (0.3, 0.2, 0.1))
    assert not isinstance(plain, UploadBox)
    assert not isinstance(GuardedBox(box), UploadBox)  # of a richer box too


def test_an_upload_is_scored_as_its_features_are() -> None:
    box, _ = guarded()
    with box.upload(pixels()) as name:
        assert box.image_sets[name] == 6
        (scores,) = torch.cat(list(box.predict(name, offsets(1))))
    known = LocalBox(Tower(), {"same": Side().encode(pixels())})
    assert torch.equal(scores, next(known.predict("same", offsets(1)))[0])


def test_it_is_encoded_once_and_forgotten() -> None:
    box, side = guarded()
    with box.upload(pixels(), "evaluate") as name:
        assert side.encoded == 0
        for _ in range(3):
            list(box.predict(name, offsets(2), "evaluate"))
        assert side.encoded == 6
    assert dict(box.image_sets) == {"train": 7}
    with pytest.raises(KeyError, match="not uploaded"):
        box.predict(name, offsets(1))
    with box.upload(pixels()) as other:
        assert other != name


def test_the_meter_counts_queries_and_images() -> None:
    box, _ = guarded()
    with box.upload(pixels()) as name:
        list(box.predict(name, offsets(2)))
    with box.upload(pixels(3), "evaluate") as name:
        list(box.predict(name, offsets(1), "evaluate"))
    assert box.meter.counts == {"search": 2, "refine": 0, "evaluate": 1}
    assert box.meter.images == {"upload": 7, "search": 6, "refine": 0, "evaluate": 3}


def test_a_query_beyond_the_budget_encodes_nothing() -> None:
    box, side = guarded(budget=1)
    with box.upload(pixels()) as name, pytest.raises(BudgetExceeded):
        box.predict(name, offsets(2))
    assert side.encoded == 0 and box.meter.counts["search"] == 0


def test_a_context_that_is_asked_about_again_is_not_encoded_again() -> None:
    box, _, tower = made()
    for context in (offsets(1), offsets(1), 2 * offsets(1)):
        with box.upload(pixels()) as name:
            list(box.predict(name, context))
    assert tower.encoded == 2


def test_it_is_forgotten_where_the_question_fails() -> None:
    box, _ = guarded()
    with pytest.raises(RuntimeError), box.upload(pixels()):
        raise RuntimeError
    assert dict(box.image_sets) == {"train": 7}


@pytest.mark.parametrize(
    "wrong",
    [
        pixels()[:, :2],
        pixels()[..., :3],
        pixels()[:0],
        pixels() + 1,
        pixels() - 1,
        pixels() * torch.nan,
    ],
    ids=["channels", "size", "none", "above", "below", "nan"],
)
def test_wrong_images_are_refused_by_box_and_guard(wrong: torch.Tensor) -> None:
    box, side, _ = made()
    for each in (box, GuardedUploadBox(box)):
        with pytest.raises(ValueError, match="upload: expected"):
            each.upload(wrong)
        with pytest.raises(ValueError, match="purpose"):
            each.upload(pixels(), "training")
    assert side.encoded == sum(box.meter.images.values()) - 7 == 0


def test_features_that_are_not_finite_are_a_failure_of_the_box() -> None:
    box, side = guarded()
    side.encode = lambda images: torch.full((len(images), 5), torch.nan)
    with box.upload(pixels()) as name, pytest.raises(BoxError, match="not finite"):
        list(box.predict(name, offsets(1)))


def test_a_learner_of_predictions_has_the_same_bits_on_it() -> None:
    box, _, tower = made()
    labels = torch.arange(7) % 4
    options = {"budget": 40, "population": 10, "intrinsic_dim": 3}
    learners = [
        PromptOnly(**options).fit(each, labels, seed=1)
        for each in (box, LocalBox(tower, {"train": images()}))
    ]
    assert torch.equal(learners[0].offset_, learners[1].offset_)
