"""A guarded box that accepts visual prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from craft.blackbox.guards.predictions import GuardedBox
from craft.protocol import VisualBox, check_question, check_visual_prompts


class GuardedVisualBox(GuardedBox):
    """A guarded box that accepts visual prompts; see craft.protocol.VisualBox."""

    def __init__(self, box: VisualBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.visual = box.visual
        self._visual_box = box

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K); see :meth:`GuardedBox.predict`."""
        if visual_prompts is None:
            return super().predict(image_set, context_offsets, purpose)
        check_question(self, image_set, context_offsets)
        contexts, prompts = len(context_offsets), visual_prompts
        check_visual_prompts(self.visual, prompts, contexts)
        box = self._visual_box

        def ask(done: int) -> Iterator[torch.Tensor]:
            return box.predict(image_set, context_offsets[done:], purpose, prompts[done:])

        encoded = contexts * self.image_sets[image_set]
        return self._scores(image_set, contexts, purpose, ask, encoded)
