"""The losses against sums written out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from craft.learner.losses import (
    consistency,
    cross_entropy,
    divergence,
    refine_loss,
    search_loss,
)

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


def test_divergence_sums_classes_and_averages_images() -> None:
    expected = (kl([1 / 4, 3 / 4], [1 / 2, 1 / 2]) + kl([4 / 5, 1 / 5], [1 / 10, 9 / 10])) / 2
    assert divergence(LOGITS, REFINED).tolist() == pytest.approx([expected])
    assert divergence(LOGITS, LOGITS).tolist() == pytest.approx([0.0], abs=1e-7)


@pytest.mark.parametrize(
    ("direction", "pair"),
    [("refined||black-box", (REFINED, LOGITS)), ("black-box||refined", (LOGITS, REFINED))],
)
def test_directions(direction: str, pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    assert consistency(LOGITS, REFINED, direction).item() == pytest.approx(divergence(*pair).item())
    assert divergence(REFINED, LOGITS).item() != pytest.approx(divergence(LOGITS, REFINED).item())


def test_unknown_direction_is_named() -> None:
    with pytest.raises(ValueError, match="'sideways' is neither"):
        consistency(LOGITS, REFINED, "sideways")


def test_search_loss_adds_the_weighted_term_to_the_black_boxs_cross_entropy() -> None:
    loss = search_loss(LOGITS, REFINED, LABELS, weight=0.3, direction="refined||black-box")
    expected = cross_entropy(LOGITS, LABELS) + 0.3 * divergence(REFINED, LOGITS)
    assert torch.allclose(loss, expected)
    refined = search_loss(
        LOGITS, REFINED, LABELS, weight=0.0, direction="refined||black-box", objective="refined"
    )
    assert torch.allclose(refined, cross_entropy(REFINED, LABELS))


def test_no_gradient_reaches_the_black_box() -> None:
    scores = LOGITS[0].clone().requires_grad_()
    change = REFINED[0].clone().requires_grad_()
    refined = scores.detach() + change
    refine_loss(scores, refined, LABELS, weight=1.0, direction="black-box||refined").backward()
    assert scores.grad is None
    assert change.grad.abs().sum() > 0
