"""ZS-CLIP: the data set's hand-written template, nothing learned."""

from __future__ import annotations

from typing import Self

import torch

from craft.learner.base import Learner, Progress
from craft.learner.workload import Work
from craft.protocol import BlackBox


class ZeroShot(Learner):
    """Answers with the black box's logits at its initial context; spends no search query."""

    prompts = "template"

    def fit(
        self,
        box: BlackBox,
        labels: torch.Tensor | None = None,
        *,
        seed: int = 0,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = (),
        progress: Progress | None = None,
    ) -> Self:
        """Set the zero offset; labels, seed and image sets are not used."""
        del labels, seed, train_set, refine_sets
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        if progress:
            progress(self)
        return self

    @property
    def gates(self) -> bool:
        """Return False: zero-shot answers need no gate."""
        return False

    def work(self, images: int, classes: int) -> Work:
        """Return no work: zero-shot is not fitted."""
        del images, classes
        return Work()
