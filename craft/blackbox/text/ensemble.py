"""Text features averaged over templates (LFA on ImageNet): a text tower without a context."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn import functional as F

from craft.blackbox.text.tower import Tower


class TemplateMean:
    """A tower whose features of a class are the mean of its unit features by template, of length 1.

    Templates share no words to shift, so the context has no token. Offsets (P, 0, D) only state how
    many times to return the features.
    """

    context_length = 0

    def __init__(self, towers: Sequence[Tower]) -> None:
        """Average over towers of the same classes, one for each template, at their own words."""
        first, self._towers = towers[0], towers
        self.context_width, self.embedding_std = first.context_width, first.embedding_std
        self.class_names, self.logit_scale = first.class_names, first.logit_scale

    @property
    def positions(self) -> int:
        """Positions that the transformer runs for all templates."""
        return sum(tower.positions for tower in self._towers)

    def with_context(self, context: torch.Tensor) -> Tower:
        """Raise ValueError: the tower has no context."""
        raise ValueError(f"context: expected none, as templates differ, got {tuple(context.shape)}")

    def leading(self, words: int) -> Tower:
        """Raise ValueError: the tower has no context words."""
        raise ValueError(f"context words: expected none, as templates differ, got {words}")

    def encode(self, offsets: torch.Tensor) -> torch.Tensor:
        """Return unit text features (P, K, E), float32, for offsets (P, 0, D)."""
        features = [
            tower.encode(torch.zeros(1, tower.context_length, tower.context_width))
            for tower in self._towers
        ]
        mean = F.normalize(torch.cat(features).mean(dim=0), dim=-1)  # (K, E)
        return mean.expand(len(offsets), -1, -1)
