import math

import pytest
import torch

from craft.learner import ridge_path
from craft.learner.gate import Gate
from craft.learner.head import Head
from craft.learner.probe import Probe
from craft.learner.probe_options import ProbeOptions
from craft.learner.score_space import Whitening, centred, summed_cross_entropy, temperature
from tests.conformance.toy import ToyBox

OPTIONS = ProbeOptions.resolve({})


def shots(per_class: int = 8, classes: int = 5, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    scores = torch.randn(len(labels), classes, generator=generator, dtype=torch.float64)
    return scores + 1.5 * torch.nn.functional.one_hot(labels, classes), labels


def problem(penalty: float, per_class: int = 8) -> tuple[ridge_path._Fit, torch.Tensor]:
    scores, labels = shots(per_class)
    features = torch.cat([Whitening.fit(scores, 0.5)(scores), torch.ones(len(labels), 1)], dim=1)
    return ridge_path._Fit(features, scores, labels, penalty), torch.zeros(6, 5).double()


@pytest.mark.parametrize("penalty", ridge_path.PENALTIES)
def test_a_solution_is_certified_and_does_not_depend_on_its_start(penalty: float) -> None:
    fit, zero = problem(penalty)
    one = ridge_path.solve(fit.features, fit.anchor, fit.labels, penalty, zero)
    other = ridge_path.solve(fit.features, fit.anchor, fit.labels, penalty, zero + 1)
    assert fit.gradient(one).norm() <= ridge_path.CERTIFICATE
    torch.testing.assert_close(one, other, atol=1e-3, rtol=0)


def test_the_gradient_and_curvature_are_autograds() -> None:
    fit, zero = problem(0.3)
    weights = (zero + 0.2).requires_grad_()
    loss = summed_cross_entropy(fit.anchor + fit.features @ weights, fit.labels)
    loss = loss + 0.15 * weights.square().sum()
    (gradient,) = torch.autograd.grad(loss, weights, create_graph=True)
    torch.testing.assert_close(gradient.detach(), fit.gradient(weights.detach()))
    direction = torch.randn_like(zero)
    (curved,) = torch.autograd.grad((gradient * direction).sum(), weights)
    _, probabilities = fit.residuals(weights.detach())
    torch.testing.assert_close(curved, fit.curvature(probabilities, direction))


def test_a_strong_penalty_leaves_the_box_as_it_is() -> None:
    fit, zero = problem(1e9)
    weights = ridge_path.solve(fit.features, fit.anchor, fit.labels, 1e9, zero)
    assert (fit.features @ weights).abs().max() < 1e-6


def test_a_fit_that_stops_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ridge_path, "_MOST_STEPS", 1)
    fit, zero = problem(0.01)
    with pytest.raises(ridge_path.NotSolved, match=r"expected a gradient of at most 0\.0001"):
        ridge_path.solve(fit.features, fit.anchor, fit.labels, 0.01, zero)


def test_folds_hold_each_shot_out_once() -> None:
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 1])
    assert ridge_path.folds_of(labels, 4).tolist() == [0, 0, 1, 1, 2, 2, 0]
    assert ridge_path.folds_of(torch.tensor([0, 1, 2]), 4).tolist() == [0, 0, 0]


def test_one_shot_mixes_by_the_prior_alone() -> None:
    kept = dict(ridge_path.mixture([0.0] * len(ridge_path.PENALTIES)))
    costs = [math.exp(-(math.log10(p) ** 2)) for p in ridge_path.PENALTIES]
    assert kept == pytest.approx({n: c / sum(costs) for n, c in enumerate(costs)})


def test_losses_of_the_best_candidate_decide_and_small_weights_are_dropped() -> None:
    losses = [50.0] * len(ridge_path.PENALTIES)
    losses[4] = 10.0
    assert ridge_path.mixture(losses) == [(4, 1.0)]


def test_a_constant_for_all_classes_changes_nothing() -> None:
    scores, labels = shots()
    moved = scores + 7 * torch.randn(len(scores), 1)
    one, other = (Head.fit(s[None], labels, OPTIONS) for s in (scores, moved))
    torch.testing.assert_close(
        one.probabilities(scores[None]), other.probabilities(scores[None]), atol=1e-6, rtol=0
    )


def test_biases_of_classes_are_penalised_less_where_shots_can_be_held_out() -> None:
    for per_class, bias in ((1, 1.0), (2, 2.0)):
        scores, labels = shots(per_class)
        assert float(Head.fit(scores[None], labels, OPTIONS).state()["head.bias"]) == bias


def test_permuted_classes_permute_the_answer() -> None:
    scores, labels = shots()
    order = torch.tensor([3, 0, 4, 1, 2])
    place = order.argsort()
    one = Head.fit(scores[None], labels, OPTIONS).probabilities(scores[None])
    permuted = scores[:, order]
    other = Head.fit(permuted[None], place[labels], OPTIONS).probabilities(permuted[None])
    torch.testing.assert_close(one[:, order], other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("per_class", [1, 2, 4])
def test_few_shots_of_two_classes_are_fitted(per_class: int) -> None:
    scores, labels = shots(per_class, classes=2)
    answer = Head.fit(scores[None], labels, OPTIONS).probabilities(scores[None])
    torch.testing.assert_close(answer.sum(dim=1), torch.ones(len(labels)).double())


def test_equal_scores_stay_finite() -> None:
    labels = torch.arange(3).repeat(4)
    scores = torch.zeros(12, 3).double()
    answer = Head.fit(scores[None], labels, OPTIONS).probabilities(scores[None])
    torch.testing.assert_close(answer, torch.full((12, 3), 1 / 3).double())


def test_the_temperature_is_the_minimum_of_its_cost() -> None:
    scores, labels = shots()
    scores = centred(5 * scores)

    def cost(tau: float) -> float:
        return float(summed_cross_entropy(tau * scores, labels)) + 2 * math.log(tau) ** 2

    tau = temperature(scores, labels)
    assert cost(tau) <= min(cost(tau * 1.01), cost(tau / 1.01))
    # Shots that are all right ask for no infinite factor.
    assert temperature(100.0 * torch.eye(4).double(), torch.arange(4)) < 1e6


def test_whitened_scores_have_about_unit_covariance() -> None:
    scores, _ = shots(50)
    white = Whitening.fit(scores, 0.0)(scores)
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(5).double())


def test_the_gate_gives_a_shot_the_learners_answer_and_a_far_image_the_boxs() -> None:
    scores, labels = shots(8)
    gate = Gate.fit(scores, labels)
    answer = torch.nn.functional.one_hot(labels, 5).double() * 0.96 + 0.008
    torch.testing.assert_close(gate(scores, answer), answer, atol=1e-6, rtol=0)
    far = scores + 100 * torch.randn_like(scores)
    own = (gate.tau * centred(far)).softmax(dim=1)
    torch.testing.assert_close(gate(far, answer), own, atol=1e-6, rtol=0)


def test_the_gate_closes_with_distance() -> None:
    scores, labels = shots(8)
    gate = Gate.fit(scores, labels)
    weights = [
        gate.weights(scores[:1] + distance * torch.eye(5)[:1], labels[:1]).item()
        for distance in (0.0, 1.0, 2.0, 4.0, 8.0)
    ]
    assert weights == sorted(weights, reverse=True)


def test_one_query_is_the_first_of_several_where_differences_have_no_share() -> None:
    scores, labels = shots(1)
    several = torch.stack([scores, scores + 1e-3 * torch.randn_like(scores)])
    one = Head.fit(scores[None], labels, OPTIONS).probabilities(scores[None])
    many = Head.fit(several, labels, OPTIONS).probabilities(several)
    torch.testing.assert_close(one, many, atol=1e-6, rtol=0)


def test_queries_are_one_for_each_context() -> None:
    box = ToyBox()
    learner = Probe(queries=3).fit(box, box.labels["train"], seed=1)
    learner.predict(box, "test")
    assert box.meter.counts == {"search": 0, "refine": 3, "evaluate": 3}
    assert torch.equal(learner.offset_[0], torch.zeros(2, 3))


@pytest.mark.parametrize("labels", [torch.zeros(4).long(), torch.tensor([0, 0, 2, 2])])
def test_a_class_without_shots_is_refused(labels: torch.Tensor) -> None:
    box = ToyBox(classes=3)
    with pytest.raises(ValueError, match="expected at least 1 of each class, got none of class 1"):
        Probe().fit(box, labels, seed=1)


def test_a_task_of_one_class_is_refused() -> None:
    box = ToyBox(classes=1)
    with pytest.raises(ValueError, match="expected at least 2"):
        Probe().fit(box, box.labels["train"], seed=1)
