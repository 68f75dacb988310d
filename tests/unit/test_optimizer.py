"""The optimisers against torch.optim's, and against themselves after an interruption."""

from __future__ import annotations

import pytest
import torch

from craft.learner.optimizer import SGD, Adam, Optimizer


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("decoupled", "algorithm"), [(True, torch.optim.AdamW), (False, torch.optim.Adam)]
)
def test_steps_are_those_of_torch(decoupled: bool, algorithm: type, decay: float) -> None:
    ours, theirs = network(), network()
    adam = Adam(ours.parameters(), learning_rate=0.01, weight_decay=decay, decoupled=decoupled)
    reference = algorithm(theirs.parameters(), lr=0.01, weight_decay=decay)
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        x = torch.randn(8, 5, generator=generator)
        adam.step(ours(x).square().sum())
        reference.zero_grad()
        theirs(x).square().sum().backward()
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-6)
    start = network()
    assert not torch.allclose(ours[0].weight, start[0].weight, atol=0.05)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_sgd_is_that_of_torch_also_at_a_rate_that_changes(momentum: float, decay: float) -> None:
    ours, theirs = network(), network()
    sgd = SGD(ours.parameters(), learning_rate=0.01, weight_decay=decay, momentum=momentum)
    reference = torch.optim.SGD(theirs.parameters(), 0.01, momentum, weight_decay=decay)
    generator = torch.Generator().manual_seed(1)
    for step in range(20):
        x = torch.randn(8, 5, generator=generator)
        sgd.rate = reference.param_groups[0]["lr"] = 0.01 / (1 + step)
        sgd.step(ours(x).square().sum())
        reference.zero_grad()
        theirs(x).square().sum().backward()
        reference.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(ours[0].weight, network()[0].weight)


def adam(parameters) -> Optimizer:
    return Adam(parameters, learning_rate=0.01, weight_decay=0.3, decoupled=True)


def sgd(parameters) -> Optimizer:
    return SGD(parameters, learning_rate=0.01, weight_decay=0.3, momentum=0.9)


@pytest.mark.parametrize("make", [adam, sgd])
def test_a_resumed_one_takes_the_same_steps(make) -> None:
    inputs = torch.randn(6, 8, 5, generator=torch.Generator().manual_seed(1))
    whole, first, second = network(), network(), network()
    optimizer, interrupted, resumed = (make(net.parameters()) for net in (whole, first, second))
    for x in inputs:
        optimizer.step(whole(x).square().sum())
    for x in inputs[:3]:
        interrupted.step(first(x).square().sum())
    resumed.resume({name: value.clone() for name, value in interrupted.state().items()})
    for x in inputs[3:]:
        resumed.step(second(x).square().sum())
    for mine, other in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(mine, other)
