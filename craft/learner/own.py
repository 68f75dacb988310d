"""The user's own side of a fit: images and codes that no service sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch


class Pixels(Protocol):
    """Decoded images in a fixed order; they need not fit into memory."""

    def __len__(self) -> int:
        """Return the number of images N."""
        ...

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return images ``rows`` (n,) as (n, S, S, 3) uint8, in the model's size."""
        ...


@dataclass(frozen=True)
class Own:
    """The images of one set, and their codes by a public encoder."""

    pixels: Pixels
    codes: torch.Tensor  # (N, Z), as the encoder gives them

    def images(self, rows: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Return images ``rows`` (n,) as (n, 3, S, S) float32 in 0..1."""
        decoded = torch.from_numpy(self.pixels.read(rows.cpu().numpy()))
        return decoded.to(device).permute(0, 3, 1, 2).to(torch.float32) / 255
