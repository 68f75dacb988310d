"""An optimiser of torch.optim as a part of a fit: interrupted, it goes on to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from safetensors.torch import load, save

from craft.learner.checkpoint import Descent

ALGORITHMS: dict[str, Callable] = {
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.3),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.01, 0.9, weight_decay=0.3),
    "sgd without momentum": lambda parameters: torch.optim.SGD(parameters, 0.01),
}


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))


def advance(model: torch.nn.Module, descent: Descent, steps: range) -> None:
    for step in steps:
        x = torch.randn(8, 5, generator=torch.Generator().manual_seed(step))
        descent.set_rate(0.01 / (1 + step))
        descent.step(model(x).square().sum())


@pytest.mark.parametrize("after", [0, 1, 6])
@pytest.mark.parametrize("name", ALGORITHMS)
def test_its_state_in_a_file_is_all_that_it_needs(name: str, after: int) -> None:
    models = [network() for _ in range(3)]
    whole, first, second = (Descent(ALGORITHMS[name](model.parameters())) for model in models)
    advance(models[0], whole, range(10))
    advance(models[1], first, range(after))
    with torch.no_grad():
        models[2][0].weight.zero_()
    second.resume(load(save(deepcopy(first.state()))))
    advance(models[2], second, range(after, 10))
    for mine, other in zip(models[0].parameters(), models[2].parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(models[0][0].weight, network()[0].weight)
