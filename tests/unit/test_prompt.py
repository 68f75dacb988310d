"""CMA-ES in the random subspace: scale, rules, bounds, independence of global state."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from craft.learner.options import Options
from craft.learner.prompt_search import PromptGenerator

SHAPE = (4, 32)


def generator(seed: int = 0, **options) -> PromptGenerator:
    given = {"intrinsic_dim": 64, "population": 40, "budget": 400} | options
    return PromptGenerator(*SHAPE, 0.05, Options.resolve(given), np.random.default_rng(seed))


@pytest.mark.parametrize("sigma", [1.0, 0.02])
def test_first_population_is_at_the_scale_of_an_embedding(sigma: float) -> None:
    offsets = generator(sigma=sigma).ask().context
    assert offsets.shape == (40, *SHAPE)
    assert offsets.dtype == torch.float32
    assert offsets.std().item() == pytest.approx(0.05, rel=0.05)


def test_projection_std_is_the_std_of_the_entries_of_a() -> None:
    offsets = generator(projection_std=0.2).ask().context
    assert offsets.std().item() == pytest.approx(0.2 * math.sqrt(64), rel=0.05)


def test_a_uniform_a_has_the_same_scale_and_no_tails() -> None:
    flat, normal = (
        generator(projection=kind, projection_std=0.2) for kind in ("uniform", "normal")
    )
    assert flat.ask().context.std().item() == pytest.approx(0.2 * math.sqrt(64), rel=0.05)
    axes = torch.eye(64).numpy()
    assert flat._prompts(axes).context.abs().max().item() <= 0.2 * math.sqrt(3) + 1e-6
    assert normal._prompts(axes).context.abs().max().item() > 0.2 * math.sqrt(3)


def test_contexts_span_a_d_dimensional_subspace() -> None:
    prompts = generator(intrinsic_dim=5)
    assert torch.linalg.matrix_rank(prompts.ask().context.reshape(40, -1), rtol=1e-4) == 5


def quadratic(offsets: torch.Tensor) -> torch.Tensor:
    return (offsets - 0.03).square().sum(dim=(1, 2))


def test_best_rule_gives_the_best_candidate_ever_told() -> None:
    prompts = generator(context_rule="best")
    best, lowest = None, math.inf
    for _ in range(6):
        offsets = prompts.ask().context
        losses = quadratic(offsets)
        prompts.tell(losses)
        if losses.min() < lowest:
            lowest, best = losses.min(), offsets[losses.argmin()]
    assert torch.allclose(prompts.chosen().context[0], best, atol=1e-6)


def test_mean_rule_gives_less_noise_than_a_fresh_population() -> None:
    contexts = {}
    for rule in ("mean", "fresh-mean"):
        prompts = generator(context_rule=rule)
        prompts.tell(quadratic(prompts.ask().context))
        contexts[rule] = prompts.chosen().context
        assert torch.equal(prompts.chosen().context, contexts[rule])  # stable within a generation
    spread = (contexts["mean"] - contexts["fresh-mean"]).std().item()
    assert spread == pytest.approx(0.05 / math.sqrt(40), rel=0.3)


@pytest.mark.parametrize("after", [1, 4, 11])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"context_rule": "fresh-mean"},
        {"bound": 0.5, "context_rule": "best"},
        {"covariance": "diagonal", "context_rule": "fresh-mean"},
    ],
)
def test_a_resumed_generator_is_the_one_that_was_interrupted(after: int, options: dict) -> None:
    def advance(prompts: PromptGenerator, generations: int) -> list[torch.Tensor]:
        seen = []
        for _ in range(generations):
            offsets = prompts.ask().context
            prompts.tell(quadratic(offsets))
            seen += [offsets, prompts.chosen().context, torch.tensor(prompts.sigma)]
        return seen

    # At this size CMA-ES decomposes its matrix in every third generation only.
    whole, interrupted, resumed = (
        generator(intrinsic_dim=256, population=20, **options) for _ in range(3)
    )
    assert len(set(map(float, advance(whole, after)[2::3]))) == after
    advance(interrupted, after)
    resumed.resume(interrupted.state())
    assert torch.equal(resumed.chosen().context, interrupted.chosen().context)
    for mine, other in zip(advance(whole, 6), advance(resumed, 6), strict=True):
        assert torch.equal(mine, other)


def test_a_diagonal_covariance_at_512_dimensions_scales_coordinates_and_nothing_else() -> None:
    scales = torch.logspace(0, 4, 512, dtype=torch.float64)
    spread = {}
    for kind in ("full", "diagonal"):
        prompts = generator(intrinsic_dim=512, covariance=kind)
        for _ in range(20):
            prompts.ask()
            z = torch.from_numpy(np.stack(prompts._asked)) + 1
            prompts.tell((scales * z.square()).sum(dim=1))
        stds = prompts._es.stds
        spread[kind] = stds[:64].mean() / stds[-64:].mean()
    assert spread["full"] == pytest.approx(1, abs=0.002) and spread["diagonal"] > 1.02
    # Nothing of D x D is held: the distribution is its mean, its deviations and one step size.
    held = [name for name, value in vars(prompts._es.sm).items() if np.size(value) >= 512**2]
    assert held == []


def test_bound_holds_for_candidates_and_mean() -> None:
    free, bound = generator(sigma=3.0), generator(sigma=3.0, bound=0.1)
    assert bound.ask().context.abs().max() < free.ask().context.abs().max() / 5
    bound.tell(quadratic(bound.ask().context))
    assert bound.chosen().context.abs().max() < free.ask().context.abs().max() / 5


def test_other_users_of_numpys_generator_change_nothing() -> None:
    np.random.seed(1)
    first = generator().ask().context
    np.random.seed(2)
    assert torch.equal(first, generator().ask().context)
    assert not torch.equal(first, generator(seed=1).ask().context)


@pytest.mark.parametrize("rule", ["mean", "fresh-mean", "best"])
def test_a_population_drawn_ahead_is_the_one_that_would_be_asked_for(rule: str) -> None:
    at_once, ahead = generator(context_rule=rule), generator(context_rule=rule)
    for _ in range(4):
        expected, given = at_once.ask().context, ahead.ask().context
        assert torch.equal(expected, given)
        for search in (at_once, ahead):
            search.tell(expected.flatten(1).square().sum(dim=1))
        assert torch.equal(at_once.chosen().context, ahead.chosen().context)
        ahead.ask_ahead()
    resumed = generator(context_rule=rule)
    resumed.resume(ahead.state())
    assert torch.equal(resumed.ask().context, ahead.ask().context)
