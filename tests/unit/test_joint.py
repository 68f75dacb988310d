"""Context and head moved together, against what they are by definition."""

from __future__ import annotations

import pytest
import torch

from craft.learner import ridge_path
from craft.learner.gauss_newton import GaussNewton
from craft.learner.head import Head
from craft.learner.joint import WithHead, joint_minimum
from craft.learner.probe_options import ProbeOptions
from craft.learner.score_space import summed_cross_entropy
from tests.conformance.toy import ToyBox


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores (40, 4), their derivative along three directions, labels, a prior's slopes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(10)
    scores = torch.randn(40, 4, generator=generator).double()
    scores += torch.nn.functional.one_hot(labels, 4)
    tangent = torch.randn(3, 40, 4, generator=generator).double()
    return scores, tangent, labels, torch.tensor([0.3, -0.2, 0.1]).double()


def test_a_joint_minimum_has_no_gradient_in_context_or_head() -> None:
    scores, tangent, labels, slopes = problem()
    features = torch.cat([scores, torch.ones(40, 1).double()], dim=1)
    start = torch.zeros(5, 4).double(), torch.zeros(3).double()
    found = joint_minimum(scores, features, tangent, labels, 0.5, slopes, 0.7, start)
    weights, c = (value.clone().requires_grad_() for value in found)
    moved = scores + features @ weights + torch.tensordot(c, tangent, dims=1)
    loss = summed_cross_entropy(moved, labels) + 0.25 * weights.square().sum()
    (loss + slopes @ c + 0.35 * c.square().sum()).backward()
    assert weights.grad.norm() < 1e-2 and c.grad.norm() < 1e-2


def test_refined_scores_move_as_their_derivative_says() -> None:
    """The head's features move with the scores: differences of refined scores agree."""
    scores, tangent, labels, _ = problem()
    head = Head.fit(scores[None], labels, ProbeOptions())
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(5, 4, generator=generator).double()

    def refined(at: torch.Tensor) -> torch.Tensor:
        anchor, features = head.anchored(at)
        return anchor + features @ weights

    change = (refined(scores + 1e-6 * tangent[0]) - refined(scores)) / 1e-6
    found = head.refine_tangent_(tangent.clone(), weights)[0]
    torch.testing.assert_close(found, change, atol=1e-6, rtol=1e-6)


def test_a_candidate_costs_what_its_best_head_leaves() -> None:
    scores, _, labels, _ = problem()
    objective = WithHead(labels)
    cost = objective.begin(scores)
    head = Head.fit(scores[None], labels, ProbeOptions())
    anchor, features = head.anchored(scores)
    weights = torch.zeros(5, 4).double().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = summed_cross_entropy(anchor + features @ weights, labels)
        value = value + head.penalty / 2 * weights.square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    assert cost == pytest.approx(loss().item(), rel=1e-6)


def test_the_penalty_is_the_geometric_mean_of_those_mixed() -> None:
    scores, _, labels, _ = problem()
    head = Head.fit(scores[None], labels, ProbeOptions())
    state = head.state()
    penalties, weights = state["head.penalties"], state["head.weights"]
    assert set(penalties.tolist()) <= set(ridge_path.PENALTIES) and len(penalties) > 1
    assert head.penalty == pytest.approx(float((penalties**weights).prod()))


def test_a_joint_search_ends_in_a_better_head_than_the_untouched_contexts() -> None:
    box = ToyBox()
    labels = box.labels["train"]
    learner = GaussNewton(budget=100, head="joint").fit(box, labels, seed=1)
    losses = [row["search_loss_best"] for row in learner.history_]
    assert losses == sorted(losses, reverse=True)
    assert learner.queries_ == box.meter.counts["search"] == learner.options.searched
    untouched = torch.zeros(1, box.context_length, box.context_width)
    (scores,) = next(box.predict("train", untouched))
    start = WithHead(labels).begin(scores.double()) / len(labels)
    assert losses[-1] < 0.8 * start


def test_a_joint_search_continues_from_its_state() -> None:
    scores, tangent, labels, slopes = problem()
    one, other = WithHead(labels), WithHead(labels)
    one.begin(scores)
    one.accept(scores + 0.1 * tangent[0])
    other.resume(one.state())
    again = one.steps(scores, tangent.clone(), slopes, [3.0, 0.3])
    for first, second in zip(again, other.steps(scores, tangent, slopes, [3.0, 0.3]), strict=True):
        assert torch.equal(first, second)
