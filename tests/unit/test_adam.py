"""The refiner's optimiser against torch.optim's."""

from __future__ import annotations

import pytest
import torch

from craft.learner.adam import Adam


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
