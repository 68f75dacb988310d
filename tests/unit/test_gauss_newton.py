from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

from craft.learner import gauss_newton, joint, tangent
from craft.learner.gauss_newton import GaussNewton, TooCoarse, relative_noise
from craft.learner.gauss_newton_options import GaussNewtonOptions
from craft.learner.head import Head
from craft.learner.score_space import Whitening, summed_cross_entropy
from craft.learner.tangent import tangent_minimum
from craft.protocol import QueryMeter
from craft.runtime.memory import peak_memory_mb, reset_peak_memory
from tests.conformance.toy import ToyBox


class LinearBox:
    """A box whose scores are linear in the offset."""

    context_length, context_width, embedding_std = 2, 4, 0.5
    class_names = ("a", "b", "c")

    def __init__(self, digits: int | None = None) -> None:
        generator = torch.Generator().manual_seed(3)
        self.labels = torch.arange(3).repeat(10)
        self.slopes = torch.randn(8, 30, 3, generator=generator)
        self.start = torch.randn(30, 3, generator=generator)
        self.image_sets, self.meter = {"train": 30}, QueryMeter()
        self._digits = digits

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        self.meter.charge(purpose, len(context_offsets))
        moved = torch.tensordot(context_offsets.flatten(1), self.slopes, dims=1)
        scores = self.start + moved
        yield scores if self._digits is None else scores.round(decimals=self._digits)


def optimum(box: LinearBox, prior: float) -> float:
    """Return the least penalised loss over all offsets, by another optimiser."""
    x = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([x], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        scores = box.start + torch.tensordot(0.5 * x, box.slopes.double(), dims=1)
        value = summed_cross_entropy(scores, box.labels) + prior / 2 * x.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return loss().item()


def test_one_round_in_full_dimension_reaches_the_optimum_of_linear_scores() -> None:
    box = LinearBox()
    learner = GaussNewton(budget=20).fit(box, box.labels, seed=1)
    reached = learner.history_[-1]["search_loss_best"] * len(box.labels)
    assert reached == pytest.approx(optimum(box, 0.01), rel=1e-4)


def test_the_loss_never_rises_and_queries_are_the_meters() -> None:
    box = ToyBox()
    learner = GaussNewton(budget=300).fit(box, box.labels["train"], seed=1)
    losses = [row["search_loss_best"] for row in learner.history_]
    assert losses == sorted(losses, reverse=True)
    assert learner.queries_ == box.meter.counts["search"] == learner.options.searched <= 300


def test_the_tangent_minimum_has_no_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(12, 4, generator=generator, dtype=torch.float64)
    jacobian = torch.randn(6, 12, 4, generator=generator, dtype=torch.float64)
    labels, slopes = torch.arange(12) % 4, torch.linspace(-1, 1, 6, dtype=torch.float64)
    found = tangent_minimum(scores, jacobian, labels, slopes, 0.3, torch.zeros(6).double())
    c = found.clone().requires_grad_()
    loss = summed_cross_entropy(scores + torch.tensordot(c, jacobian, dims=1), labels)
    (loss + slopes @ c + 0.15 * c.square().sum()).backward()
    assert c.grad.norm() < 1e-5


@pytest.mark.parametrize("digits", [1, 2])
def test_answers_of_few_digits_are_refused(digits: int) -> None:
    box = LinearBox(digits)
    with pytest.raises(TooCoarse, match=r"expected differences exact to 0\.01"):
        GaussNewton(budget=40).fit(box, box.labels, seed=1)


def test_answers_of_five_digits_are_accepted() -> None:
    box = LinearBox(5)
    assert GaussNewton(budget=40).fit(box, box.labels, seed=1).queries_ > 0


def test_noise_is_told_from_curvature() -> None:
    t = torch.tensor([0.0, 0.0, 1.0, 2.0, 3.0])[:, None, None]
    smooth = (t + 0.1 * t**2) * torch.ones(1, 50, 4)
    assert relative_noise(smooth, 4.0) < 1e-6
    noisy = smooth + 0.04 * torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    assert relative_noise(noisy, 4.0) == pytest.approx(0.04 / (3.9 * 4 / 3), rel=0.3)


@pytest.mark.parametrize("head", ["probe", "joint"])
def test_a_curve_of_answers_without_their_head_is_refused(head: str) -> None:
    with pytest.raises(ValueError, match=f"curve_points: expected 0 where head is {head}"):
        GaussNewtonOptions.resolve({"head": head, "curve_points": 10})
    assert GaussNewtonOptions.resolve({"curve_points": 10}).curve_points == 10


def test_rounds_fit_the_budget() -> None:
    options = GaussNewtonOptions.resolve({"budget": 500})
    assert options.searched <= 500 < options.searched + 32 + 7
    assert [options.directions(n) for n in range(4)] == [8, 16, 32, 32]


def of_imagenet() -> tuple[SimpleNamespace, torch.Tensor]:
    """A box of 1,000 classes that answers nothing, and labels of 16 shots."""
    names = tuple(map(str, range(1000)))
    box = SimpleNamespace(class_names=names, context_length=4, context_width=512, embedding_std=1)
    return box, torch.arange(1000).repeat(16)


@pytest.mark.parametrize("head", ["none", "joint"])
def test_scores_that_memory_cannot_hold_are_refused_before_a_query(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gauss_newton, "memory_limit", lambda: 6 * 10**9)
    box, labels = of_imagenet()
    with pytest.raises(MemoryError, match=r"expected at most 6\.0 GB, got 6\.1 GB"):
        GaussNewton(head=head).fit(box, labels, seed=1)


def test_scores_that_memory_holds_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gauss_newton, "memory_limit", lambda: 7 * 10**9)
    box, labels = of_imagenet()
    with pytest.raises(AttributeError, match="predict"):
        GaussNewton().fit(box, labels, seed=1)


def test_the_second_derivative_is_the_same_by_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    jacobian = torch.randn(8, 94, 47, generator=generator, dtype=torch.float64)
    scores = torch.randn(94, 47, generator=generator, dtype=torch.float64)
    labels = torch.arange(47).repeat(2)

    def loss(c: torch.Tensor) -> torch.Tensor:
        return summed_cross_entropy(scores + torch.tensordot(c, jacobian, dims=1), labels)

    expected = torch.func.hessian(loss)(torch.zeros(8, dtype=torch.float64))
    for numbers in (1 << 24, 8 * 47 * 10):  # all images at once; ten at a time, four at the end
        monkeypatch.setattr(tangent, "_BLOCK", numbers)
        found = tangent.second_derivative(jacobian, scores.softmax(dim=1))
        torch.testing.assert_close(found, expected)


@pytest.mark.exhaustive
def test_the_derivative_of_the_scores_is_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """At 1,000 classes and 32 directions: steps of either kind take 0.7 of it besides."""
    monkeypatch.setattr(tangent, "_NEWTON_STEPS", 1)
    monkeypatch.setattr(joint, "_STEPS", 1)
    labels = torch.arange(1000).repeat(2)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2000, 1000, generator=generator, dtype=torch.float64)
    jacobian = torch.randn(32, 2000, 1000, generator=generator, dtype=torch.float64)
    weights = torch.zeros(1001, 1000, dtype=torch.float64)
    head = Head(
        torch.tensor(1.0),
        torch.tensor(2.0),
        [Whitening.fit(scores, 0.5)],
        *([torch.ones(1, dtype=torch.float64)] * 3),
        weights[None],
    )
    reset_peak_memory()
    before = peak_memory_mb()
    slopes = torch.zeros(32, dtype=torch.float64)
    tangent_minimum(scores, jacobian, labels, slopes, 100.0, slopes)
    head.refine_tangent_(jacobian, weights)
    anchor, features = head.anchored(scores)
    joint.joint_minimum(anchor, features, jacobian, labels, 1.0, slopes, 100.0, (weights, slopes))
    # Less than one more copy of it, which each step would make if it held a second.
    assert peak_memory_mb() - before < 0.7 * jacobian.nbytes / 2**20
