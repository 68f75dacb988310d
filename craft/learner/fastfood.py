"""Fastfood: random linear maps made of signs, a permutation, Gaussians and Hadamard transforms.

Le et al., ICML 2013. ZIP maps the trained numbers of a token to its embedding by Fastfood.
"""

from __future__ import annotations

import torch


def hadamard(rows: torch.Tensor) -> torch.Tensor:
    """Return rows (..., L) times the Walsh-Hadamard matrix of entries +-1, L a power of two."""
    length = rows.shape[-1]
    if length & (length - 1):
        raise ValueError(f"hadamard: expected a power of two, got {length}")
    shape, size = rows.shape, 1
    while size < length:
        pairs = rows.reshape(*shape[:-1], -1, 2, size)
        first, second = pairs[..., 0, :], pairs[..., 1, :]
        rows = torch.stack([first + second, first - second], dim=-2).reshape(shape)
        size *= 2
    return rows


def fastfood(inputs: int, outputs: int, generator: torch.Generator) -> torch.Tensor:
    """Return a random map (n, D) that keeps the mean square length of vectors x (n,), x @ map.

    x, padded with zeros to the power of two L >= D, goes through H G P H B, B random signs, P a
    permutation, G Gaussians; the first D numbers count. Raises ValueError for n > L.
    """
    length = 1 << (outputs - 1).bit_length()
    if inputs > length:
        raise ValueError(f"fastfood: expected at most {length} inputs for {outputs}, got {inputs}")
    signs = 2.0 * torch.randint(0, 2, (length,), generator=generator) - 1
    order = torch.randperm(length, generator=generator)
    gaussians = torch.randn(length, generator=generator)
    mixed = hadamard(torch.eye(inputs, length) * signs)[:, order]
    norm = (length * gaussians.square().sum() * outputs / length).sqrt()
    return hadamard(mixed * gaussians)[:, :outputs] / norm
