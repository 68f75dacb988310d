import numpy as np
import pytest
import scipy.linalg
import torch

from craft.learner.procrustes import (
    adaptive_reranking_loss,
    chosen_shrinkage,
    orthogonal_map,
    shrunk,
    unit,
)


def rows(n: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return unit(torch.randn(n, width, generator=generator, dtype=torch.float64))


def test_the_orthogonal_map_is_scipys_where_it_is_unique() -> None:
    x, y = rows(80, 12), rows(80, 12, seed=1)
    expected, _ = scipy.linalg.orthogonal_procrustes(x.numpy(), y.numpy())
    torch.testing.assert_close(orthogonal_map(x, y), torch.from_numpy(expected), atol=1e-8, rtol=0)


def test_fewer_classes_than_dimensions_give_the_solution_nearest_to_the_identity() -> None:
    prototypes, labels = rows(5, 32, seed=1), torch.arange(40) % 5
    x, y = rows(40, 32), prototypes[labels]
    found = orthogonal_map(x, y)
    other, _ = scipy.linalg.orthogonal_procrustes(x.numpy(), y.numpy())
    other = torch.from_numpy(other)
    identity = torch.eye(32, dtype=torch.float64)
    torch.testing.assert_close(found.T @ found, identity, atol=1e-10, rtol=0)
    residual = torch.linalg.matrix_norm(x @ found - y)
    torch.testing.assert_close(residual, torch.linalg.matrix_norm(x @ other - y))
    torch.testing.assert_close(x @ found @ prototypes.T, x @ other @ prototypes.T)
    norm = torch.linalg.matrix_norm
    assert norm(found - identity) < norm(other - identity)
    shrinking = [scipy.linalg.polar((x.T @ y + d * identity).numpy())[0] for d in (1e-4, 1e-7)]
    assert norm(found - torch.from_numpy(shrinking[1])) < 1e-4


def test_a_planted_rotation_is_recovered() -> None:
    turned = torch.linalg.qr(rows(24, 24, seed=2)).Q
    x = rows(100, 24)
    torch.testing.assert_close(orthogonal_map(x, x @ turned), turned, atol=1e-10, rtol=0)
    assert torch.equal(shrunk(turned, 1.0), torch.eye(24, dtype=torch.float64))


def test_shrinkage_goes_to_the_identity_where_alignment_cannot_help() -> None:
    prototypes = rows(4, 16, seed=3)
    labels = torch.arange(64) % 4
    aligned = prototypes[labels] + 0.01 * rows(64, 16)
    rng = np.random.default_rng(0)
    assert chosen_shrinkage(unit(aligned), prototypes, labels, 25, 3, rng) == 0.0  # all right
    noise = rows(64, 16, seed=5)
    chosen = chosen_shrinkage(noise, prototypes, labels, 25, 3, np.random.default_rng(0))
    assert 0 <= chosen <= 1


def by_loops(v, c, labels, neighbours, scale):
    total = 0.0
    for n in range(len(v)):
        d = [(v[n] - other).norm().item() for other in c]
        y = int(labels[n])
        for j in sorted(range(len(c)), key=d.__getitem__)[:neighbours]:
            margin = (1 - (c[j] @ c[y]).item()) / scale
            total += max(0.0, d[y] + margin - d[j])
    return total / (len(v) * min(neighbours, len(c)))


@pytest.mark.parametrize("classes", [2, 6])
def test_the_reranking_loss_is_the_loop_over_images_and_classes(classes: int) -> None:
    v, c = rows(7, 8), rows(classes, 8, seed=4)
    labels = torch.arange(7) % classes
    loss = adaptive_reranking_loss(v, c, labels, neighbours=3, margin_scale=4)
    assert loss.item() == pytest.approx(by_loops(v, c, labels, 3, 4), rel=1e-6)


def test_the_reranking_loss_vanishes_at_perfect_separation_and_has_its_gradient() -> None:
    c = torch.eye(4, dtype=torch.float64)
    labels = torch.arange(4)
    assert adaptive_reranking_loss(c, c, labels, neighbours=3, margin_scale=4) == 0
    v = rows(6, 5).requires_grad_()
    prototypes, labels = rows(4, 5, seed=6), torch.arange(6) % 4
    assert torch.autograd.gradcheck(
        lambda x: adaptive_reranking_loss(x, prototypes, labels, neighbours=3, margin_scale=4), v
    )
