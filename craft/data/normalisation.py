"""Decoded images as a model's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def normalise(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Return (n, height, width, 3) uint8 as (n, 3, height, width) float32.

    ``mean`` and ``std`` are by channel, of values in 0..1.
    """
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(torch.float32) / 255
    means, stds = (torch.tensor(values).view(1, 3, 1, 1) for values in (mean, std))
    return (images - means) / stds
