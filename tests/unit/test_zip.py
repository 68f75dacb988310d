"""ZIP's parts against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from craft.learner.fastfood import fastfood, hadamard
from craft.learner.zip import ZIP, Prompt
from craft.learner.zip_options import ZIPOptions
from craft.protocol import QueryMeter

PAPER = ZIPOptions.resolve({})


def matrix(length: int) -> torch.Tensor:
    """Return the Walsh-Hadamard matrix by its recursion."""
    if length == 1:
        return torch.ones(1, 1)
    half = matrix(length // 2)
    return torch.cat([torch.cat([half, half], dim=1), torch.cat([half, -half], dim=1)])


def test_the_transform_is_the_hadamard_matrix() -> None:
    rows = torch.randn(3, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(hadamard(rows), rows @ matrix(16))
    with pytest.raises(ValueError, match="power of two, got 12"):
        hadamard(rows[:, :12])


@pytest.mark.parametrize("width", [16, 12])
def test_a_map_is_the_product_of_its_matrices(width: int) -> None:
    """Drawn in the same order: signs, permutation, Gaussians."""
    found = fastfood(5, width, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    signs = torch.diag(2.0 * torch.randint(0, 2, (16,), generator=generator) - 1)
    permuted = torch.eye(16)[torch.randperm(16, generator=generator)]
    gaussians = torch.randn(16, generator=generator)
    whole = matrix(16) @ torch.diag(gaussians) @ permuted @ matrix(16) @ signs
    norm = math.sqrt(16 * float(gaussians.square().sum())) * math.sqrt(width / 16)
    torch.testing.assert_close(found.T, whole[:width, :5] / norm)


@pytest.mark.parametrize("width", [32, 24])
def test_a_map_keeps_lengths_on_average(width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vector = torch.randn(20, generator=generator)
    lengths = [(vector @ fastfood(20, width, generator)).square().sum() for _ in range(3000)]
    assert torch.stack(lengths).mean() == pytest.approx(float(vector.square().sum()), rel=0.02)


def test_more_numbers_than_a_map_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 16 inputs for 9, got 17"):
        fastfood(17, 9, torch.Generator())


def test_the_papers_prompt_has_417_numbers_and_starts_at_the_drawn_context() -> None:
    prompt = Prompt((8, 512), PAPER, 1.0, torch.Generator().manual_seed(0))
    assert prompt.weights.shape == (417,)
    (start,) = prompt.offsets(prompt.weights[None])
    drawn = 0.02 * torch.randn(8, 512, generator=torch.Generator().manual_seed(0))
    assert torch.equal(start, drawn)
    assert PAPER.steps == 500


def test_numbers_are_of_low_rank_and_shared() -> None:
    prompt = Prompt((8, 64), PAPER, 1.0, torch.Generator().manual_seed(0))
    weights = torch.randn(417, generator=torch.Generator().manual_seed(1))
    u, s, v, shift = weights.split([40, 5, 310, 62])
    numbers = u.view(8, 5) @ torch.diag(s) @ v.view(62, 5).T + shift
    expected = prompt._start + torch.stack(
        [row @ each for row, each in zip(numbers, prompt._maps, strict=True)]
    )
    torch.testing.assert_close(prompt.offsets(weights[None])[0], expected)


class Quadratic:
    """Scores of two classes that grow apart as the context nears a target."""

    context_length, context_width, embedding_std = 8, 64, 0.015
    class_names = ("a", "b")

    def __init__(self, images: int = 300) -> None:
        self.labels = torch.arange(images) % 2
        self.image_sets, self.meter = {"train": images}, QueryMeter()
        self.sizes: list[int] = []
        self._target = 0.3 * torch.randn(8, 64, generator=torch.Generator().manual_seed(5))

    def predict(self, image_set: str, offsets: torch.Tensor, purpose: str = "search"):
        self.meter.charge(purpose, len(offsets))
        self.sizes.append(len(offsets))
        far = (offsets - self._target).square().sum(dim=(1, 2))  # (P,)
        hot = torch.nn.functional.one_hot(self.labels, 2).float()
        yield (2 - far)[:, None, None] * hot


def test_it_descends_by_ten_queries_a_step_asked_at_once() -> None:
    box = Quadratic()
    learner = ZIP(budget=2000).fit(box, box.labels, seed=1)
    assert set(box.sizes) == {10}
    assert learner.queries_ == box.meter.counts["search"] == 2000
    losses = [row["loss"] for row in learner.history_]
    assert losses[-1] < 0.85 * losses[0]
    assert learner.offset_.shape == (1, 8, 64)


def test_a_step_is_at_most_the_rate_times_the_root_of_the_weights() -> None:
    """The box's scale makes gradients huge; clipped steps keep their length."""

    class Steep(Quadratic):
        def predict(self, *args):
            for scores in super().predict(*args):
                yield 1e4 * scores

    def moved(**options) -> float:
        box, kept = Steep(), []
        ZIP(budget=20, **options).fit(
            box,
            box.labels,
            seed=1,
            progress=lambda learner: kept.append(
                learner.checkpoint().tensors["prompt/weights"].clone()
            ),
        )
        return float((kept[1] - kept[0]).norm())

    rate = 0.01 / 3**0.4
    assert moved() == pytest.approx(rate * math.sqrt(417), rel=1e-4)
    assert moved(clip=False) > 10 * rate * math.sqrt(417)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"gate": True}, "gate"), ({"budget": 9}, "budget"), ({"dimension": 5}, "dimension")],
)
def test_what_cannot_be_is_refused(options: dict, named: str) -> None:
    with pytest.raises(ValueError, match=f"option {named}: expected"):
        ZIP(**options)
