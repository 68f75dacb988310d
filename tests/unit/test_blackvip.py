"""BlackVIP: what it asks for, where its steps come from, and its sizes in the paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from craft.learner.batches import BatchQueue
from craft.learner.blackvip import BlackVIP
from craft.learner.blackvip_options import BlackVIPOptions
from craft.learner.declaration import OptionError
from craft.learner.own import Own
from craft.protocol import BudgetExceeded
from tests.conformance.toy import ToyPixels, ToyUploadBox

SMALL = {"trigger": 4, "channels": "6,4", "repeats": 2, "batch_size": 80, "step_decay": 0.1}


class PaperBox(ToyUploadBox):
    """Images of 224 x 224 with codes of 768, K = 47."""

    def __init__(self) -> None:
        super().__init__(classes=47, per_class=1)
        generator = torch.Generator().manual_seed(1)
        for name, labels in self.labels.items():
            large = torch.nn.functional.interpolate(self._images[name], size=224)
            pixels = (255 * large).to(torch.uint8).permute(0, 2, 3, 1).numpy()
            codes = torch.randn(len(labels), 768, generator=generator)
            self.own[name] = Own(ToyPixels(name, pixels, self.asked), codes)
        self.image_size = 224

    def predict(self, image_set, context_offsets, purpose="search"):
        """Score images of any size at 8 x 8 pixels."""
        images = self._images[image_set]
        self._images[image_set] = torch.nn.functional.adaptive_avg_pool2d(images, 8)
        return super().predict(image_set, context_offsets, purpose)


def fitted(box: ToyUploadBox, **options) -> BlackVIP:
    return BlackVIP(**options).fit(box, box.labels["train"], seed=1, own=box.own)


def test_it_learns_on_the_toy_box() -> None:
    box = ToyUploadBox()
    learner = fitted(box, **SMALL, steps=40, prompt_scale=1.0)
    labels = box.labels["test"]
    before = next(box.predict("test", torch.zeros(1, 1, 4)))[0]
    after = learner.predict(box, "test", own=box.own)
    accuracies = [(scores.argmax(1) == labels).double().mean() for scores in (before, after)]
    assert accuracies[1] > accuracies[0] + 0.1
    losses = [row["loss"] for row in learner.history_]
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_prompt_of_no_weight_gives_the_scores_of_the_images_exactly() -> None:
    box = ToyUploadBox()
    learner = fitted(box, **SMALL, steps=2, prompt_scale=0.0)
    plain = next(box.predict("test", torch.zeros(1, 1, 4)))[0]
    assert torch.equal(learner.predict(box, "test", own=box.own), plain)


def test_each_step_uploads_one_batch_twice_for_each_repeat() -> None:
    box = ToyUploadBox()
    fitted(box, **SMALL | {"batch_size": 30}, steps=4)
    assert box.meter.counts == {"search": 16, "refine": 0, "evaluate": 0}
    assert box.meter.images == {"upload": 0, "search": 480, "refine": 0, "evaluate": 0}
    assert [count for _, count, _ in box.asked] == [30] * 4  # pixels are read once a step
    assert set(box.image_sets) == {"train", "test"}  # uploads are forgotten


def test_all_its_queries_are_about_the_one_context_that_its_work_counts() -> None:
    box, asked = ToyUploadBox(), set()
    answer = box.predict

    def noted(image_set, context_offsets, purpose="search"):
        asked.update(tuple(each.flatten().tolist()) for each in context_offsets)
        return answer(image_set, context_offsets, purpose)

    box.predict = noted
    learner = fitted(box, **SMALL, steps=2, gate=True)
    learner.predict(box, "test", own=box.own)
    assert len(asked) == learner.work(80, 4).contexts == 1


def test_a_prediction_uploads_every_image_once() -> None:
    box = ToyUploadBox(per_class=60)
    learner = fitted(box, **SMALL, steps=1)
    first = learner.predict(box, "test", own=box.own)
    assert box.meter.images["evaluate"] == 240 and box.meter.counts["evaluate"] == 3
    assert torch.equal(first, learner.predict(box, "test", own=box.own))


def test_epochs_take_the_uploads_in_turn() -> None:
    box = ToyUploadBox()
    crop = ToyPixels("train-crop-1", box.own["train"].pixels.read(np.arange(80)), box.asked)
    own = {**box.own, "train-crop-1": Own(crop, box.own["train"].codes)}
    learner = BlackVIP(**SMALL | {"batch_size": 40}, steps=6)
    box.asked.clear()
    sets = ("train", "train-crop-1")
    learner.fit(box, box.labels["train"], seed=1, own=own, refine_sets=sets)
    taken = [name for name, _, _ in box.asked]
    assert taken == [*["train"] * 2, *["train-crop-1"] * 2, *["train"] * 2]


@pytest.mark.parametrize(
    ("images", "expected"),
    [(592, 20_000), (1632, 60_000), (752, 25_000), (160, 5000), (10, 5000), (80, 5000)],
)
def test_steps_are_those_of_the_epochs(images: int, expected: int) -> None:
    """16 shots of Pets, Flowers, DTD and EuroSAT; EuroSAT with 1 and 8 shots takes 5,000 too."""
    learner = BlackVIP()
    work = learner.work(images, 10)
    assert (work.generations, work.search) == (expected, 10 * expected)
    assert learner.budget(images, 10) == 10 * expected
    assert BlackVIP(steps=7).work(images, 10).search == 70


def test_it_stops_at_the_boxs_budget() -> None:
    box = ToyUploadBox(budget=9)
    with pytest.raises(BudgetExceeded):
        fitted(box, **SMALL, steps=4)
    assert box.meter.counts["search"] == 9
    assert set(box.image_sets) == {"train", "test"}


def test_codes_are_scaled_where_the_options_say_so() -> None:
    box, plain = ToyUploadBox(), ToyUploadBox()
    for side in box.own.values():
        side.codes.mul_(3)
    one, other = (fitted(each, **SMALL, steps=2, code_length=8.0) for each in (box, plain))
    torch.testing.assert_close(one.coordinator_.weights, other.coordinator_.weights)
    raw = fitted(box, **SMALL, steps=2)
    assert not torch.equal(raw.coordinator_.weights, other.coordinator_.weights)


def test_channels_are_checked_before_any_job() -> None:
    assert BlackVIPOptions.resolve({"channels": "64,32"}).stages == (64, 32)
    for wrong in ("", "64,", "64;32", "0,3", "64, 32"):
        with pytest.raises(OptionError, match="channels"):
            BlackVIPOptions.resolve({"channels": wrong})


def test_a_batch_queue_resumes_within_an_epoch() -> None:
    generator = torch.Generator().manual_seed(3)
    whole = BatchQueue(10, 3, generator)
    drawn = [whole.next().tolist() for _ in range(7)]
    again = torch.Generator().manual_seed(3)
    first = BatchQueue(10, 3, again)
    assert [first.next().tolist() for _ in range(4)] == drawn[:4]
    second = BatchQueue(10, 3, again)
    second.resume(first.state())
    assert [second.next().tolist() for _ in range(3)] == drawn[4:]
    assert second.epoch == whole.epoch == 2
    assert len({row for batch in drawn[:3] for row in batch}) == 9


def test_it_fits_at_the_papers_sizes() -> None:
    box = PaperBox()
    learner = fitted(box, steps=1, repeats=1, batch_size=8)
    assert len(learner.coordinator_.weights) == 9920
    assert learner.state()["coordinator.trigger"].shape == (800,)
    assert learner.predict(box, "train", own=box.own).shape == (47, 47)
    assert box.meter.images["search"] == 2 * 8
