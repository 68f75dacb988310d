"""The losses against sums written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from craft.learner import losses
from craft.learner.losses import cross_entropy, mean_over_images, refine_loss, search_loss

LOGITS = torch.tensor([[[0.0, math.log(3.0)], [math.log(4.0), 0.0]]])  # p = (1/4, 3/4), (4/5, 1/5)
REFINED = torch.tensor([[[0.0, 0.0], [0.0, math.log(9.0)]]])  # p = (1/2, 1/2), (1/10, 9/10)
LABELS = torch.tensor([1, 0])


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_cross_entropy_is_the_mean_over_images_of_each_candidate() -> None:
    both = torch.cat([LOGITS, REFINED])
    expected = [
        -(math.log(3 / 4) + math.log(4 / 5)) / 2,
        -(math.log(1 / 2) + math.log(1 / 10)) / 2,
    ]
    assert cross_entropy(both, LABELS).tolist() == pytest.approx(expected)


TERMS = {  # each direction's KL, summed over classes, mean over the two images
    "refined||black-box": (
        kl([1 / 2, 1 / 2], [1 / 4, 3 / 4]) + kl([1 / 10, 9 / 10], [4 / 5, 1 / 5])
    )
    / 2,
    "black-box||refined": (
        kl([1 / 4, 3 / 4], [1 / 2, 1 / 2]) + kl([4 / 5, 1 / 5], [1 / 10, 9 / 10])
    )
    / 2,
}


@pytest.mark.parametrize("direction", TERMS)
@pytest.mark.parametrize(("objective", "logits"), [("black-box", LOGITS), ("refined", REFINED)])
def test_search_loss(direction: str, objective: str, logits: torch.Tensor) -> None:
    loss = search_loss(
        LOGITS, REFINED, LABELS, weight=0.3, direction=direction, objective=objective
    )
    expected = cross_entropy(logits, LABELS).item() + 0.3 * TERMS[direction]
    assert loss.tolist() == pytest.approx([expected])
    plain = search_loss(LOGITS, REFINED, LABELS, weight=0.0, direction="", objective=objective)
    assert torch.equal(plain, cross_entropy(logits, LABELS))


@pytest.mark.parametrize("direction", TERMS)
def test_refine_loss(direction: str) -> None:
    loss = refine_loss(LOGITS[0], REFINED[0], LABELS, weight=0.3, direction=direction)
    expected = cross_entropy(REFINED[0], LABELS).item() + 0.3 * TERMS[direction]
    assert loss.item() == pytest.approx(expected)


def test_equal_predictions_have_no_divergence() -> None:
    loss = search_loss(LOGITS, LOGITS, LABELS, weight=5.0, direction="black-box||refined")
    assert torch.allclose(loss, cross_entropy(LOGITS, LABELS))


def test_unknown_direction_is_named() -> None:
    with pytest.raises(ValueError, match=r"direction: expected .*, got 'sideways'"):
        search_loss(LOGITS, REFINED, LABELS, weight=1.0, direction="sideways")


def test_no_gradient_reaches_the_black_box() -> None:
    scores = LOGITS[0].clone().requires_grad_()
    change = REFINED[0].clone().requires_grad_()
    refined = scores.detach() + change
    refine_loss(scores, refined, LABELS, weight=1.0, direction="black-box||refined").backward()
    assert scores.grad is None
    assert change.grad.abs().sum() > 0


def test_few_images_at_a_time_give_the_mean_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 11, 5, generator=generator)
    labels = torch.randint(5, (11,), generator=generator)
    seen = []

    def loss(part: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(part.shape[1])
        return cross_entropy(part, target)

    whole = mean_over_images(loss, logits, labels)
    assert torch.equal(whole, cross_entropy(logits, labels))
    monkeypatch.setitem(losses.CHUNK_BYTES, "cpu", 4 * 3 * 5 * 4)
    torch.testing.assert_close(mean_over_images(loss, logits, labels), whole)
    assert seen == [11, 4, 4, 3]
