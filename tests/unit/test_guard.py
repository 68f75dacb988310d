"""A black box that misbehaves: a clear error naming the thing, and no query charged twice."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from craft.blackbox.guards.guard import BoxError
from craft.blackbox.guards.predictions import GuardedBox
from craft.learner.collaborative import Collaborative
from craft.protocol import BlackBox, BudgetExceeded
from tests.conformance.toy import ToyBox

OFFSETS = torch.zeros(6, 2, 3)


class Misbehaving(ToyBox):
    """Does to some of its answers, in order of asking, what it is given to do."""

    def __init__(self, *changes: Callable | None, budget: int | None = None) -> None:
        super().__init__(budget=budget)
        self.changes = list(changes)

    def predict(self, image_set, context_offsets, purpose="search") -> Iterator[torch.Tensor]:
        blocks = super().predict(image_set, context_offsets, purpose)
        change = self.changes.pop(0) if self.changes else None
        return change(blocks) if change else blocks


def each(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable:
    return lambda blocks: (change(block) for block in blocks)


def rounded(block: torch.Tensor) -> torch.Tensor:
    """One score for all classes of an image, but for what rounding makes of equal prompts."""
    return block[..., :1] * (1 + 1e-6 * torch.arange(block.shape[-1]))


def dies(blocks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    yield next(blocks)
    raise ConnectionError("gone away")


def hangs(blocks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
    yield next(blocks)
    threading.Event().wait(30)


def ask(box: BlackBox) -> torch.Tensor:
    return torch.cat(list(box.predict("train", OFFSETS, "search")))


def test_it_is_a_box_and_changes_no_answer() -> None:
    plain, guarded = ToyBox(), GuardedBox(ToyBox())
    assert isinstance(guarded, BlackBox)
    assert torch.equal(ask(guarded), ask(plain))
    assert guarded.meter.counts == plain.meter.counts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (each(lambda b: b * float("nan")), "answered with numbers that are not finite"),
        (each(lambda b: b.index_fill(2, torch.tensor([1]), float("inf"))), "not finite"),
        (each(lambda b: torch.full_like(b, 2.5)), "answered with 2.5 for every image and class"),
        (each(lambda b: b[:, :-1]), r"shape \(2, 79, 4\), not \(at most 6 contexts, 80 images, 4"),
        (each(lambda b: b[..., :3]), r"shape \(2, 80, 3\)"),
        (each(lambda b: b[0]), r"shape \(80, 4\)"),
        (each(lambda b: b.tolist()), "a list of no numbers, not with a torch.Tensor of real"),
        (each(lambda b: b.numpy()), "a ndarray of float32, not with a torch.Tensor of real"),
        (each(lambda b: b + 0j), "a Tensor of torch.complex64, not with a torch.Tensor of real"),
        (each(lambda b: b.long()), "a Tensor of torch.int64, not with a torch.Tensor of real"),
        (
            each(lambda b: b[..., :1].expand_as(b)),
            "answered with one number for all classes of each",
        ),
        (each(rounded), "one number for all classes of each image: they differ by at most"),
        (lambda blocks: [*blocks], "failed at context 1 of 6: TypeError: 'list' object"),
        (each(lambda b: torch.cat([b] * 4)), r"shape \(8, 80, 4\), not \(at most 6"),
        (lambda blocks: iter([next(blocks)]), "answered for 2 of 6 contexts"),
        (dies, "failed at context 3 of 6: ConnectionError: gone away"),
    ],
)
def test_what_cannot_be_an_answer_is_named(change: Callable, message: str) -> None:
    with pytest.raises(BoxError, match=message) as caught:
        ask(GuardedBox(Misbehaving(change)))
    assert str(caught.value).startswith("the black box, asked for search on 'train', ")


def test_a_small_difference_between_classes_is_an_answer() -> None:
    small = each(lambda b: 1 + 1e-4 * torch.sigmoid(b))
    assert len(ask(GuardedBox(Misbehaving(small)))) == 6


def test_a_learner_stops_at_a_box_that_dies_on_its_way() -> None:
    box = Misbehaving(*[None] * 5, dies)
    options = {"budget": 400, "population": 20, "intrinsic_dim": 6, "hidden": 16}
    with pytest.raises(BoxError, match="asked for refine on 'train', failed at context 2 of 1"):
        Collaborative(**options).fit(GuardedBox(box), box.labels["train"], seed=1)


def test_what_failed_is_asked_again_and_charged_once() -> None:
    box = Misbehaving(dies, dies, budget=6)
    answer = ask(GuardedBox(box, retries=2, pause=0))
    assert torch.equal(answer, ask(ToyBox()))
    assert [contexts for _, contexts, _ in box.asked] == [6, 4, 2]  # what was yielded is not lost
    assert box.meter.counts["search"] == 6
    with pytest.raises(BoxError, match="failed at context 5 of 6"):
        ask(GuardedBox(Misbehaving(dies, dies), retries=1, pause=0))


@pytest.mark.parametrize("error", [KeyError("scores"), ValueError("Expecting value: line 1")])
def test_what_a_box_raises_before_it_answers_is_a_failure_as_any_other(error: Exception) -> None:
    """A box that is no generator: a page in place of JSON, a key that its answer lacks."""

    def fails(blocks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        next(blocks)  # it was charged
        raise error

    box = Misbehaving(fails, fails)
    assert torch.equal(ask(GuardedBox(box, retries=2, pause=0)), ask(ToyBox()))
    assert box.meter.counts["search"] == 6
    box = Misbehaving(*[fails] * 3, budget=6)
    name = type(error).__name__
    with pytest.raises(BoxError, match=f"failed at context 1 of 6: {name}: .*{error.args[0]}"):
        ask(GuardedBox(box, retries=2, pause=0))
    assert len(box.asked) == 3 and box.meter.counts["search"] == 6


@pytest.mark.parametrize(
    ("offsets", "purpose", "said"),
    [
        (torch.zeros(6, 2, 4), "search", r"offsets of shape \(6, 2, 4\), not \(P, 2, 3\)"),
        (torch.zeros(2, 3), "search", r"offsets of shape \(2, 3\), not"),
        (torch.full((1, 2, 3), float("inf")), "search", "offsets that are not finite"),
        (OFFSETS, "play", "purpose: expected one of search, refine, evaluate, got 'play'"),
    ],
)
def test_a_wrong_question_is_not_asked(offsets: torch.Tensor, purpose: str, said: str) -> None:
    box = ToyBox()
    with pytest.raises(ValueError, match=said):
        GuardedBox(box, retries=3).predict("train", offsets, purpose)
    assert box.asked == [] and box.meter.total == 0


def test_a_box_that_does_not_answer_in_time_is_asked_again_then_given_up() -> None:
    box = Misbehaving(hangs)
    guarded = GuardedBox(box, timeout=0.5, retries=1, pause=0)
    assert torch.equal(ask(guarded), ask(ToyBox()))
    assert box.meter.counts["search"] == 6
    with pytest.raises(BoxError, match=r"context 3 of 6: TimeoutError: no answer within 0.5 s"):
        ask(GuardedBox(Misbehaving(hangs), timeout=0.5))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout", value) for value in (0, -1, math.nan, math.inf)),
        *(("retries", value) for value in (-1, 0.5)),
        *(("pause", value) for value in (-1, math.nan)),
    ],
)
def test_invalid_waits_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: expected .*, got {value}$"):
        GuardedBox(ToyBox(), **{name: value})


def test_a_refusal_is_no_failure() -> None:
    box = ToyBox(budget=5)
    with pytest.raises(BudgetExceeded):
        ask(GuardedBox(box, retries=3))
    with pytest.raises(KeyError, match="not uploaded"):
        GuardedBox(box).predict("nowhere", OFFSETS)
    assert box.asked == []


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("CUDA out of memory.")])
@pytest.mark.parametrize("timeout", [None, 10.0])
def test_a_lack_of_memory_is_not_blamed_on_the_box(error: Exception, timeout: float | None) -> None:
    def fails(blocks: Iterator[torch.Tensor]) -> Iterator[torch.Tensor]:
        yield next(blocks)
        raise error

    box = Misbehaving(fails)
    with pytest.raises(type(error), match=str(error)):
        ask(GuardedBox(box, retries=3, pause=0, timeout=timeout))
