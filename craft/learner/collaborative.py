"""CraFT: prompt generation and prediction refinement trained in turn (Section 3.3)."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Self

import numpy as np
import torch

from craft.learner.base import Progress
from craft.learner.checkpoint import Part
from craft.learner.divergence import BOX
from craft.learner.folds import folds_of
from craft.learner.losses import mean_over_images, search_loss
from craft.learner.options import Options
from craft.learner.prompt_search import generator_for, search_generation
from craft.learner.prompts import ask
from craft.learner.refiner import Refiner
from craft.learner.refining_learner import RefiningLearner
from craft.learner.workload import Work
from craft.protocol import BlackBox
from craft.runtime.gpu_kernels import fused_on_gpu


@fused_on_gpu
def refined_loss(
    logits: torch.Tensor,
    labels: torch.Tensor,
    refiner: Refiner | None,
    weight: float,
    options: Options,
) -> torch.Tensor:
    """Eq. 5 of logits (B, N, K), refined here so that a GPU's kernels do both at once -> (B,)."""
    return search_loss(
        logits,
        None if refiner is None else refiner(logits),
        labels,
        weight=weight,
        direction=options.kl_search,
        objective=options.search_loss,
    )


class Collaborative(RefiningLearner):
    """Each generation scores a population with Eq. 5, updates CMA-ES, then refines with Eq. 6.

    With ``lambda1 = lambda2 = 0`` the two modules alternate without consistency; ``residual``,
    ``head`` and ``search_loss`` give the paper's other ablations. With ``visual_tokens`` CMA-ES
    moves visual prompts too (CraFT+vp), and both modules see images with them.
    """

    ranks = True

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
        """Learn a context and a refiner; see :meth:`Learner.fit`."""
        options = self.options
        self._fit_gate(box, labels, train_set)
        rng = np.random.Generator(np.random.PCG64(seed))
        prompts = generator_for(box, options, rng)
        trainer = self._start(box, labels, seed)
        weight = options.weight("lambda1", len(box.class_names))
        needs_refined = self._scores_refined(weight)

        def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
            refiner = self.refiner_ if needs_refined else None
            return refined_loss(logits, labels, refiner, weight, options)

        folds = folds_of(train_set, labels, options.search_folds)
        cause = self._cause() if needs_refined else BOX
        parts: dict[str, Part] = {"prompts": prompts, "trainer": trainer}
        for generation in self._generations("collaboration", options.generations, **parts):
            searched_set, target = folds[generation % len(folds)]
            fitness = functools.partial(mean_over_images, loss, labels=target)
            searched = search_generation(prompts, box, searched_set, fitness, cause)
            self.queries_ += options.population
            chosen = prompts.chosen()
            self._use(chosen)
            if labels.device.type == "cuda":  # where the refinement leaves the processor free
                prompts.ask_ahead()
            image_set = refine_sets[generation % len(refine_sets)]
            (logits,) = torch.cat(list(ask(box, image_set, chosen, "refine")))
            refined = self._refine_once(trainer, logits, labels, generation)
            self._note(queries=self.queries_, **searched, **refined)
            if progress:
                progress(self)
        if options.solver == "convex":
            self._fit_head(box, labels, refine_sets[0], progress)
        _ = self.history_  # raises if the last refinement was on numbers that are not finite
        return self

    def _scores_refined(self, weight: float) -> bool:
        """Return whether Eq. 5 needs refined scores at that weight of its KL term."""
        return weight > 0 or self.options.search_loss == "refined"

    def work(self, images: int, classes: int) -> Work:
        """Return the search, and one score to refine per generation; see :meth:`Learner.work`."""
        options, base = self.options, super().work(images, classes)
        needed = self._scores_refined(options.weight("lambda1", classes))
        heads = int(options.solver == "convex")
        refined = options.generations + heads + int(self.gates)
        again = (refined - base.refine) * images if options.visual_tokens else 0
        return replace(
            base,
            generations=options.generations + heads,
            refine=refined,
            scored=base.search if needed else 0,
            passes=options.generations * options.passes,
            images=base.images + again,
        )
