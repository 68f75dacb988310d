"""Prompt generation to the end of its budget, then refinement of the frozen prompt."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np
import torch

from craft.learner.base import Progress
from craft.learner.prompt_only import PromptOnly
from craft.learner.refining_learner import RefiningLearner
from craft.learner.workload import Work
from craft.protocol import BlackBox


class Sequential(RefiningLearner, PromptOnly):
    """One reading of the paper's row "PG + PR" without collaboration; the other alternates."""

    def fit(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Learn a context, then a refiner; see :meth:`Learner.fit`."""
        self._search(box, labels, np.random.Generator(np.random.PCG64(seed)), train_set, progress)
        self._refine_to_end(box, labels, seed, refine_sets, progress)
        return self

    def work(self, images: int, classes: int) -> Work:
        """Return the search, then the refinement; see :meth:`Learner.work`."""
        base = super().work(images, classes)
        return replace(base, generations=self.options.generations + base.generations)
