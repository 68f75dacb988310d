"""BBT: prompt generation without refinement (the paper's baseline and its row "PG")."""

from __future__ import annotations

import functools
from typing import Self

import numpy as np
import torch

from craft.learner.base import Learner, Progress
from craft.learner.folds import folds_of
from craft.learner.losses import cross_entropy, mean_over_images
from craft.learner.prompt_search import generator_for, search_generation
from craft.protocol import BlackBox


class PromptOnly(Learner):
    """CMA-ES minimises the cross-entropy of the black box's own logits (Eq. 1).

    It moves a context and, with the option ``visual_tokens``, visual prompts beside it.
    """

    ranks = True

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
        """Learn prompts; see :meth:`Learner.fit`. ``refine_sets`` are not used."""
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
        options = self.options
        prompts = generator_for(box, options, rng)
        folds = folds_of(train_set, labels, options.search_folds)
        for generation in self._generations("search", options.generations, prompts=prompts):
            image_set, target = folds[generation % len(folds)]
            fitness = functools.partial(mean_over_images, cross_entropy, labels=target)
            searched = search_generation(prompts, box, image_set, fitness)
            self.queries_ += options.population
            self._use(prompts.chosen())
            self._note(queries=self.queries_, **searched)
            if progress:
                progress(self)
