"""Prediction refinement on the untouched prompt (the paper's row "PR")."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch

from craft.learner.base import Progress
from craft.learner.refining_learner import RefiningLearner
from craft.learner.workload import Work
from craft.protocol import BlackBox


class RefineOnly(RefiningLearner):
    """Trains the refiner at the box's initial context for as many generations as CraFT would."""

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
        """Learn a refiner; see :meth:`Learner.fit`. Only the gate uses ``train_set``."""
        self._fit_gate(box, labels, train_set)
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        self._refine_to_end(box, labels, seed, refine_sets, progress)
        return self

    def work(self, images: int, classes: int) -> Work:
        """Return the refinement alone; see :meth:`Learner.work`."""
        return replace(
            super().work(images, classes), search=0, images=0, predict=1, predict_images=0
        )
