"""SPSA with gradient correction, and the coordinator that BlackVIP trains by it."""

import pytest
import torch

from craft.learner.coordinator import Coordinator, Statistics, prompted
from craft.learner.optimizers import sgd
from craft.learner.spsa import Gains, perturbations, spsa_gradient

PAPER, SMALL = (768, 800, 224, (64, 32, 32, 16)), (64, 64, 32, (16, 8))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_perturbations_keep_away_from_zero() -> None:
    lengths = perturbations(2000, 5, generator()).abs()
    assert lengths.min() >= 0.5 and lengths.max() <= 1
    assert (lengths**-2).mean() == pytest.approx(2, rel=0.02)
    assert perturbations(2000, 5, generator()).sign().mean().abs() < 0.05


def test_spsa_is_unbiased_on_a_linear_loss() -> None:
    draws, slope = generator(), torch.linspace(-2, 3, 8)
    moves = perturbations(4000, 8, draws)
    estimates = torch.stack(
        [spsa_gradient(lambda w: w @ slope, torch.zeros(8), move[None], 0.1)[0] for move in moves]
    )
    # E[u^2] E[u^-2] = 7/12 * 2 for each of the other coordinates.
    variance = 7 / 6 * (slope @ slope - slope**2)
    error = (estimates.mean(0) - slope).abs() / (variance / len(moves)).sqrt()
    assert error.max() < 4
    torch.testing.assert_close(estimates.var(0), variance, rtol=0.1, atol=0)


def test_repeats_are_averaged_and_their_losses_too() -> None:
    moves, slope = perturbations(3, 5, generator()), torch.arange(5.0)
    loss = lambda w: w @ slope + 7  # noqa: E731
    each = [spsa_gradient(loss, torch.ones(5), move[None], 0.1)[0] for move in moves]
    whole, level = spsa_gradient(loss, torch.ones(5), moves, 0.1)
    torch.testing.assert_close(whole, torch.stack(each).mean(0))
    assert level.item() == pytest.approx(17)


def test_updates_are_those_of_the_corrected_gradient() -> None:
    """m <- b m + g, w <- w - a_t (g + b m), with m_1 = g_1."""
    gains, momentum = Gains(0.05, 1, 0.4, 0.01, 0.1), 0.9
    weights = torch.ones(10, requires_grad=True)
    descent = sgd([weights], gains.gain, 0.0, momentum, nesterov=True)
    expected, velocity = torch.ones(10), torch.zeros(10)
    for t, gradient in enumerate(torch.randn(6, 10, generator=generator()), 1):
        velocity = momentum * velocity + gradient
        expected = expected - 0.05 / (t + 1) ** 0.4 * (gradient + momentum * velocity)
        descent.set_rate(gains.rate(t))
        descent.step(weights @ gradient)
        torch.testing.assert_close(weights.detach(), expected)


def test_spsa_descends_a_quadratic() -> None:
    gains, curvature, draws = Gains(0.01, 1, 0.4, 0.01, 0.1), torch.linspace(1, 3, 50), generator()
    weights = torch.ones(50, requires_grad=True)
    descent = sgd([weights], gains.gain, 0.0, 0.9, nesterov=True)

    def loss(at: torch.Tensor) -> torch.Tensor:
        return (curvature * at**2).sum() / 2

    start = loss(weights).item()
    for t in range(1, 401):
        moves = perturbations(5, 50, draws)
        gradient, _ = spsa_gradient(loss, weights.detach(), moves, gains.distance(t))
        descent.set_rate(gains.rate(t))
        descent.step(weights @ gradient)
    assert loss(weights).item() < 1e-3 * start


@pytest.mark.parametrize(
    ("shape", "parameters", "size"), [(PAPER, 9920, 224), (SMALL, 752, 32)], ids=["paper", "small"]
)
def test_the_coordinator_has_the_size_of_the_specification(
    shape: tuple, parameters: int, size: int
) -> None:
    model = Coordinator(*shape, generator())
    assert len(model.weights) == parameters
    assert model(torch.zeros(2, shape[0])).shape == (2, 3, size, size)


def test_the_paper_sized_coordinator_has_the_layers_of_the_specification() -> None:
    """Each layer's parameters by stage: grouped, its bias, 1 x 1, batch norm; last and trigger."""
    counts = [p.numel() for p in Coordinator(*PAPER, generator()).parameters()]
    stages = [(256, 64, 4096, 64, 64), (256, 64, 2048, 32, 32)]
    stages += [(128, 32, 1024, 32, 32), (128, 32, 512, 16, 16)]
    assert counts == [800, *(n for stage in stages for n in stage), 192]


def test_the_coordinator_depends_on_its_generator_alone() -> None:
    torch.manual_seed(1)
    one = Coordinator(*SMALL, generator())
    torch.manual_seed(2)
    other = Coordinator(*SMALL, generator())
    assert torch.equal(one.weights, other.weights)
    assert len(one.weights.unique()) > 700
    assert one.trigger.min() >= 0 and one.trigger.max() <= 0.1


def test_coordinator_weights_round_trip() -> None:
    model = Coordinator(*SMALL, generator())
    weights = torch.randn(752, generator=generator())
    model.load(weights)
    assert torch.equal(model.weights, weights)


def test_running_statistics_move_with_each_forward_and_are_a_part_of_a_fit() -> None:
    first, second = (Coordinator(*SMALL, generator()) for _ in range(2))
    codes = torch.randn(8, 64, generator=generator())
    with torch.no_grad():
        first(codes), first(2 * codes)
        before = second.eval()(codes)
        second.train()
        Statistics(second).resume(Statistics(first).state())
        assert not torch.equal(second.eval()(codes), before)
        assert torch.equal(first.eval()(codes), second(codes))


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((60, 64, 32, (16, 8)), r"code \+ trigger to be a multiple of 16 .*got 60 \+ 64"),
        ((64, 64, 30, (16, 8)), "to 30, got 2 stages"),
        ((64, 64, 32, (8,) * 5), "to 32, got 5 stages"),
    ],
)
def test_a_coordinator_that_does_not_fit_its_images_is_refused(shape: tuple, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Coordinator(*shape, generator())


def test_prompted_pixels_are_those_of_normalised_images_clipped_to_0_and_1() -> None:
    pixels = torch.rand(2, 3, 8, 8, generator=generator())
    prompts = 10 * torch.randn(2, 3, 8, 8, generator=generator())
    mean, std = ((torch.tensor(v).view(1, 3, 1, 1)) for v in ((0.48, 0.46, 0.41), (0.3, 0.2, 0.1)))
    moved = prompted(pixels, prompts, 0.5, (0.3, 0.2, 0.1))
    low, high = (0 - mean) / std, (1 - mean) / std
    normalised = torch.clamp((pixels - mean) / std + 0.5 * prompts, low, high)
    torch.testing.assert_close((moved - mean) / std, normalised, rtol=0, atol=1e-5)
    assert moved.min() == 0 and moved.max() == 1
    assert torch.equal(prompted(pixels, prompts, 0.0, (0.3, 0.2, 0.1)), pixels)
