"""Prompts of a question: contexts, and visual prompts if there are any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import torch

from craft.protocol import BlackBox, VisualBox


class Prompts(NamedTuple):
    """P candidates; row i of both belongs to candidate i."""

    context: torch.Tensor  # (P, L, D), offsets
    visual: torch.Tensor | None = None  # (P, V, W)


def ask(box: BlackBox, image_set: str, prompts: Prompts, purpose: str) -> Iterator[torch.Tensor]:
    """Return the box's logits in blocks (B, N, K); see craft.protocol.VisualBox.predict."""
    if prompts.visual is None:
        return box.predict(image_set, prompts.context, purpose)
    return cast("VisualBox", box).predict(image_set, prompts.context, purpose, prompts.visual)


def visual_width(box: BlackBox, tokens: int) -> int:
    """Return the width W of a visual prompt token, 0 where there are no ``tokens``.

    Raises ValueError for a box that does not accept so many.
    """
    if not tokens:
        return 0
    if not isinstance(box, VisualBox):
        raise ValueError("visual_tokens: expected a box that takes visual prompts, got another")
    if tokens > box.visual.most_tokens:
        raise ValueError(
            f"visual_tokens: expected at most {box.visual.most_tokens}, the box's own bound, got "
            f"{tokens}"
        )
    return box.visual.width
