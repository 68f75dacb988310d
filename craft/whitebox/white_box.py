"""What a baseline that needs gradients holds: the text tower itself, and image features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


class DifferentiableTower(Protocol):
    """A text tower whose features carry gradients to the context (white-box access)."""

    context_length: int
    context_width: int
    class_names: Sequence[str]
    logit_scale: float

    def with_context(self, vectors: torch.Tensor) -> DifferentiableTower:
        """Return the same tower with a wordless initial context, (M, D)."""
        ...

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """(P, M, D) -> unit features (P, K, E)."""
        ...


@dataclass(frozen=True)
class WhiteBox:
    """A model with its inside open: no query is counted, since none is asked."""

    tower: DifferentiableTower
    image_sets: Mapping[str, torch.Tensor]  # name -> (N, E) unit features
