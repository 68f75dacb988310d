"""BBT: prompt generation without refinement (the paper's baseline and its row "PG")."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch

from craft.learner.base import Learner, Progress
from craft.learner.losses import cross_entropy, mean_over_images
from craft.learner.prompt_search import PromptGenerator, search_generation
from craft.protocol import BlackBox


class PromptOnly(Learner):
    """CMA-ES minimises the cross-entropy of the black box's own logits (Eq. 1)."""

    def fit(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = (),
        progress: Progress | None = None,
    ) -> Self:
        """Learn a context; see :meth:`Learner.fit`. ``refine_sets`` are not used."""
        del refine_sets
        self._search(box, labels, np.random.Generator(np.random.PCG64(seed)), train_set, progress)
        return self

    def _search(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        rng: np.random.Generator,
        train_set: str,
        progress: Progress | None,
    ) -> None:
        self._fit_gate(box, labels, train_set)
        prompts = PromptGenerator(
            box.context_length, box.context_width, box.embedding_std, self.options, rng
        )
        for _ in self._generations("search", self.options.generations, prompts=prompts):
            searched = search_generation(
                prompts,
                box,
                train_set,
                lambda logits: mean_over_images(cross_entropy, logits, labels),
            )
            self.queries_ += self.options.population
            self.offset_ = prompts.context()
            self._note(queries=self.queries_, **searched)
            if progress:
                progress(self)
