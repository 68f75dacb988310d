"""Learners that end in a refiner: what they share around the network itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch

from craft.learner.base import Learner, Progress, accuracy, query
from craft.learner.refiner import Refiner, RefinerTrainer
from craft.learner.work import Work
from craft.protocol import BlackBox


class RefiningLearner(Learner):
    """A learner whose answer is ``refiner_`` applied to the black box's logits."""

    refiner_: Refiner | None = None

    def _start(self, box: BlackBox, labels: torch.Tensor, seed: int) -> RefinerTrainer:
        """A new refiner, where the labels are; its start and shuffling depend on ``seed`` only."""
        generator = torch.Generator().manual_seed(seed)
        self.refiner_ = Refiner(len(box.class_names), self.options, generator).to(labels.device)
        return RefinerTrainer(self.refiner_, self.options, generator)

    def _refine_once(
        self, trainer: RefinerTrainer, logits: torch.Tensor, labels: torch.Tensor, generation: int
    ) -> dict[str, float]:
        """One generation of refinement on scores (N, K), labels (N,): the passes of Eq. 6."""
        options = self.options
        active = generation < options.lambda2_share * options.generations
        weight = options.weight("lambda2", logits.shape[-1]) if active else 0.0
        loss = trainer.train(logits, labels, weight=weight)
        with torch.no_grad():
            reached = accuracy(self.refine(logits), labels)
        return {"refine_loss": loss, "train_accuracy": reached}

    def _refine_to_end(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        seed: int,
        refine_sets: tuple[str, ...],
        progress: Progress | None,
    ) -> None:
        """As many generations of refinement as CraFT has, at the frozen context ``offset_``.

        The context does not move, so each upload is scored once and its scores are kept.
        """
        trainer = self._start(box, labels, seed)
        scores = [query(box, name, self.offset_, "refine") for name in refine_sets]
        for generation in range(self.options.generations):
            logits = scores[generation % len(scores)]
            refined = self._refine_once(trainer, logits, labels, generation)
            self.history_.append({"queries": self.queries_, **refined})
            if progress:
                progress(self)

    def work(self, images: int, classes: int) -> Work:
        """That, and a refiner trained on one score of each upload; see :meth:`Learner.work`."""
        options = self.options
        return replace(
            super().work(images, classes),
            refine=max(1, options.views),
            passes=options.generations * options.passes,
        )

    def refine(self, logits: torch.Tensor) -> torch.Tensor:
        """Refined logits (..., N, K)."""
        return logits if self.refiner_ is None else self.refiner_(logits)

    def state(self) -> dict[str, torch.Tensor]:
        """Tensors that make up the fitted learner, for safetensors."""
        weights = self.refiner_.state_dict() if self.refiner_ else {}
        return super().state() | {f"refiner.{name}": value for name, value in weights.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        weights = {
            name.removeprefix("refiner."): value
            for name, value in state.items()
            if name.startswith("refiner.")
        }
        if "head.0.weight" not in weights:
            raise ValueError("the state of a refining learner must hold 'refiner.*'")
        classes = weights["head.0.weight"].shape[1]
        self.refiner_ = Refiner(classes, self.options, torch.Generator())
        try:
            self.refiner_.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"the state does not fit the options: {error}") from error
        return self
