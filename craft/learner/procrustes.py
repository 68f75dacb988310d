"""Orthogonal alignment of image features with text prototypes, and its refinement (LFA).

Ouali et al., ICCV 2023. Rows are vectors: X (n, E) unit image features, C (K, E) unit prototypes.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F


def orthogonal_map(
    features: torch.Tensor, targets: torch.Tensor, *, nearest: bool = True
) -> torch.Tensor:
    """Return the orthogonal W (E, E), float64, that minimises |X W - Y|_F for X, Y (n, E).

    W is not unique where X^T Y has a rank r below E, as with K < E prototypes: it is arbitrary on
    the E - r dimensions that are left. Of the solutions this is the ``nearest`` to the identity,
    or else the one of the singular vectors as they come.
    """
    cross = features.double().T @ targets.double()  # (E, E)
    u, s, vh = torch.linalg.svd(cross)
    if not nearest:
        return u @ vh
    rank = int((s > s[0] * len(s) * torch.finfo(s.dtype).eps).sum())
    spanned = u[:, :rank] @ vh[:rank]
    if rank == len(s):
        return spanned
    left, right = u[:, rank:], vh[rank:].T  # (E, E - r) each
    a, _, bh = torch.linalg.svd(left.T @ right)
    return spanned + left @ (a @ bh) @ right.T


def shrunk(orthogonal: torch.Tensor, shrinkage: float) -> torch.Tensor:
    """Return (1 - b) W + b I for a shrinkage b towards the identity."""
    identity = torch.eye(len(orthogonal), dtype=orthogonal.dtype, device=orthogonal.device)
    return (1 - shrinkage) * orthogonal + shrinkage * identity


def chosen_shrinkage(
    features: torch.Tensor,
    prototypes: torch.Tensor,
    labels: torch.Tensor,
    values: int,
    splits: int,
    rng: np.random.Generator,
) -> float:
    """Return the b of ``values`` even steps in 0..1 with the best accuracy on held-out shots.

    Each b gets ``splits`` random splits of its own, 80 % to align and 20 % to score by the largest
    inner product; the first of equal ones wins. A single image is aligned and scored alike.
    """
    n = len(labels)
    held_out = max(1, round(0.2 * n))
    means = []
    grid = np.linspace(0, 1, values)
    for shrinkage in grid:
        scores = []
        for _ in range(splits):
            order = torch.from_numpy(rng.permutation(n)).to(labels.device)
            aside, kept = order[:held_out], order[held_out:] if n > held_out else order
            aligned = shrunk(
                orthogonal_map(features[kept], prototypes[labels[kept]]), float(shrinkage)
            )
            inner = unit(features[aside].double() @ aligned) @ prototypes.double().T
            scores.append((inner.argmax(dim=1) == labels[aside]).double().mean().item())
        means.append(float(np.mean(scores)))
    return float(grid[int(np.argmax(means))])


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Return rows (..., E) of unit length."""
    return F.normalize(rows, dim=-1)


def adaptive_reranking_loss(
    aligned: torch.Tensor,
    prototypes: torch.Tensor,
    labels: torch.Tensor,
    *,
    neighbours: int,
    margin_scale: float,
) -> torch.Tensor:
    """Return the mean over images and their nearest prototypes of relu(d_y + margin - d_j).

    ``aligned`` (n, E) and ``prototypes`` (K, E) are unit rows, ``labels`` (n,). d_j is the distance
    to the j-th of the min(``neighbours``, K) nearest prototypes, d_y that to the label's; the
    margin is (1 - c_j . c_y) / ``margin_scale``. A label among its neighbours adds 0.
    """
    similarity = aligned @ prototypes.T  # (n, K)
    # Unit rows: |v - c|^2 = 2 - 2 v.c; the floor keeps the root's gradient finite.
    distances = (2 - 2 * similarity).clamp_min(1e-12).sqrt()
    nearest, which = distances.topk(min(neighbours, len(prototypes)), dim=1, largest=False)
    to_label = distances.gather(1, labels[:, None])  # (n, 1)
    margins = (1 - (prototypes @ prototypes.T)[labels].gather(1, which)) / margin_scale
    hinge = F.relu(to_label + margins - nearest)
    return torch.where(which == labels[:, None], torch.zeros_like(hinge), hinge).mean()
