import math

import pytest
import torch

from craft.learner.sphere_gradient import sphere_directions, sphere_gradient


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("size", "count"), [(512, 256), (64, 32)])
def test_the_sphere_gradients_cosine_and_length_are_the_formulas(size: int, count: int) -> None:
    slope, draws = torch.randn(size, generator=generator()), generator()
    cosines, lengths = [], []
    for _ in range(40):
        estimate = sphere_gradient(
            lambda points: points @ slope,
            torch.zeros(size),
            sphere_directions(count, size, draws),
            1 / size,
        )
        cosines.append(torch.cosine_similarity(estimate, slope, dim=0).item())
        lengths.append((estimate.norm() / slope.norm()).item())
    assert sum(cosines) / 40 == pytest.approx(math.sqrt(count / (count + size - 1)), rel=0.1)
    assert sum(lengths) / 40 == pytest.approx(math.sqrt(1 + (size - 1) / count), rel=0.1)


def test_orthogonal_directions_give_the_exact_gradient_of_a_linear_loss() -> None:
    slope = torch.randn(16, generator=generator(), dtype=torch.float64)
    estimate = sphere_gradient(
        lambda points: points @ slope,
        torch.zeros(16, dtype=torch.float64),
        torch.eye(16, dtype=torch.float64),
        0.01,
    )
    torch.testing.assert_close(estimate, slope)


def test_the_mean_of_many_estimates_is_the_gradient_of_a_curved_loss() -> None:
    point, draws = torch.randn(12, generator=generator()), generator()

    def losses(points: torch.Tensor) -> torch.Tensor:
        return points.sin().sum(dim=1) + points.square().sum(dim=1)

    estimates = [
        sphere_gradient(losses, point, sphere_directions(64, 12, draws), 0.01) for _ in range(200)
    ]
    mean = torch.stack(estimates).mean(0)
    assert torch.cosine_similarity(mean, point.cos() + 2 * point, dim=0) > 0.999
