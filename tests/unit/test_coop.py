"""CoOp on a linear toy tower: schedule, initialisation, learning."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from craft.learner.batches import whole_batches
from craft.learner.optimizers import delayed_cosine
from craft.whitebox.coop import CoOp, default_epochs
from craft.whitebox.white_box import WhiteBox


class ToyTower:
    """Text feature of class k: unit vector of name_k + M_k applied to the mean context vector."""

    context_width, logit_scale = 6, 20.0
    class_names = ("a", "b", "c")

    def __init__(self, context: torch.Tensor | None = None) -> None:
        generator = torch.Generator().manual_seed(3)
        self.names = torch.randn(3, 8, generator=generator)
        self.mixing = torch.randn(3, 8, 6, generator=generator)
        self.context = torch.zeros(4, 6) if context is None else context

    def with_context(self, vectors: torch.Tensor) -> ToyTower:
        return ToyTower(vectors)

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        context = (self.context + offsets).mean(dim=1)  # (P, D)
        mixed = torch.einsum("ked,pd->pke", self.mixing, context)
        return F.normalize(self.names + 5 * mixed, dim=-1)


def box(per_class: int = 8) -> tuple[WhiteBox, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(per_class)
    centres = torch.randn(3, 8, generator=generator)
    features = F.normalize(centres[labels] + 0.1 * torch.randn(len(labels), 8, generator=generator))
    return WhiteBox(ToyTower(), {"train": features, "test": features}), labels


def test_it_learns_what_the_initial_context_does_not_know() -> None:
    white_box, labels = box()
    coop = CoOp(context_tokens=4, learning_rate=0.05, epochs=60, batch_size=8)
    coop.fit(white_box, labels, seed=1)
    assert coop.offset_.shape == (1, 4, 6)
    losses = [row["loss"] for row in coop.history_]
    assert losses[-1] < 0.5 * losses[0]
    assert coop.history_[-1]["train_accuracy"] > 80


def test_schedule_is_coops_as_printed_in_a_public_training_log() -> None:
    rates = [delayed_cosine(epoch, 50, 0.002, 1e-5) for epoch in (0, 45, 49)]
    assert rates[0] == CoOp().options.warmup_rate == 1e-5
    assert rates[1:] == pytest.approx([7.022e-5, 7.885e-6], rel=1e-3)


@pytest.mark.parametrize(("shots", "epochs"), [(1, 50), (2, 100), (3, 100), (4, 100), (16, 200)])
def test_epochs_follow_the_shots(shots: int, epochs: int) -> None:
    assert default_epochs(shots) == epochs


def test_the_last_incomplete_batch_is_dropped_unless_it_is_the_only_one() -> None:
    generator = torch.Generator()
    assert [len(b) for b in whole_batches(25, 10, generator)] == [10, 10]
    assert [len(b) for b in whole_batches(7, 10, generator)] == [7]


def test_same_seed_same_bits_and_round_trip() -> None:
    white_box, labels = box()
    options = {"context_tokens": 16, "epochs": 3}
    first = CoOp(**options).fit(white_box, labels, seed=1)
    torch.manual_seed(9)
    second = CoOp(**options).fit(white_box, labels, seed=1)
    copy = CoOp(**options).restore(first.state())
    for other in (second, copy):
        assert torch.equal(first.predict(white_box, "test"), other.predict(white_box, "test"))
    assert not torch.equal(CoOp(**options).fit(white_box, labels, seed=2).offset_, first.offset_)


def test_its_work_is_known_beforehand() -> None:
    made, labels = box()
    tower, calls = made.tower, []

    class Counting(type(tower)):
        def encode(self, offsets: torch.Tensor) -> torch.Tensor:
            calls.append(torch.is_grad_enabled())
            return super().encode(offsets)

        def with_context(self, vectors: torch.Tensor) -> Counting:
            return Counting(vectors)

    coop = CoOp(context_tokens=4, epochs=5, batch_size=5)
    coop.fit(WhiteBox(Counting(), made.image_sets), labels, seed=1)
    work = coop.work(len(labels), len(tower.class_names))
    assert (work.generations, work.gradients) == (5, sum(calls))


def test_no_epoch_is_no_word_for_the_default() -> None:
    with pytest.raises(ValueError, match="option epochs: expected at least 1"):
        CoOp(epochs=0)


def test_epochs_take_crops_in_turn_and_as_many_as_epochs_are_new_in_each() -> None:
    assert CoOp(crops=3).options.refine_copies == ("crop-1", "crop-2", "crop-3")
    assert CoOp(crops=1, views=2).options.copies == ("crop-1",)
    assert CoOp(views=2).options.refine_copies == ("view-1", "view-2")
    white_box, labels = box()
    names = tuple(f"crop-{n}" for n in range(4))
    asked = []

    class Watched(dict):
        def __getitem__(self, name: str) -> torch.Tensor:
            asked.append(name)
            return white_box.image_sets["train"]

    watched = WhiteBox(white_box.tower, Watched())
    CoOp(epochs=4, batch_size=8).fit(watched, labels, seed=1, refine_sets=names)
    assert asked[:4] == list(names)
