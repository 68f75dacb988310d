"""Base of the learners whose result is a refiner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch

from craft.learner.base import Learner, Progress, percent_right, query
from craft.learner.checkpoint import Part
from craft.learner.divergence import BOX, lower
from craft.learner.head import Asked, Head
from craft.learner.probe_options import ProbeOptions
from craft.learner.prompts import Prompts
from craft.learner.refiner import Refiner, RefinerTrainer
from craft.learner.workload import Work
from craft.protocol import BlackBox


class Scores:
    """The black box's logits (N, K) on uploads at one prompt, queried once and cached."""

    def __init__(self, box: BlackBox, prompts: Prompts, image_sets: tuple[str, ...]) -> None:
        self._box, self._prompts, self._image_sets = box, prompts, image_sets
        self._kept: dict[str, torch.Tensor] = {}

    def of(self, number: int) -> torch.Tensor:
        """Return the logits of the upload of that number."""
        name = self._image_sets[number]
        if name not in self._kept:
            self._kept[name] = query(self._box, name, self._prompts, "refine")
        return self._kept[name]

    def state(self) -> dict[str, torch.Tensor]:
        """Return the scores so far, by upload."""
        return dict(self._kept)

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state`."""
        device = self._prompts.context.device
        self._kept = {name: logits.to(device) for name, logits in state.items()}


class RefiningLearner(Learner):
    """A learner whose answer is ``refiner_`` applied to the black box's logits.

    With the option ``solver: convex`` it is ``head_``, once that is fitted.
    """

    refiner_: Refiner | None = None
    head_: Head | None = None

    def _cause(self) -> str:
        """Return the message that the refiner has diverged or the box failed."""
        names = ("learning_rate", "weight_decay", "lambda1", "lambda2")
        return f"{lower('the refiner', self.options, *names)}; or {BOX}"

    def _start(self, box: BlackBox, labels: torch.Tensor, seed: int) -> RefinerTrainer:
        """Return a new refiner on the labels' device; ``seed`` decides start and shuffling."""
        generator = torch.Generator().manual_seed(seed)
        self.head_ = None
        self.refiner_ = Refiner(len(box.class_names), self.options, generator).to(labels.device)
        return RefinerTrainer(self.refiner_, self.options, generator)

    def _refine_once(
        self, trainer: RefinerTrainer, logits: torch.Tensor, labels: torch.Tensor, generation: int
    ) -> dict[str, torch.Tensor]:
        """Run one generation of refinement (Eq. 6) on scores (N, K), labels (N,)."""
        options = self.options
        spent = (generation + 1) * options.population  # as the released code counts it
        active = spent <= round(options.lambda2_share * options.budget, 6)
        weight = options.weight("lambda2", logits.shape[-1]) if active else 0.0
        loss = trainer.train(logits, labels, weight=weight)
        with torch.no_grad():
            reached = percent_right(self.refine(logits), labels)
        return {"refine_loss": loss, "train_accuracy": reached}

    def _refine_to_end(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        seed: int,
        refine_sets: tuple[str, ...],
        progress: Progress | None,
    ) -> None:
        """Run CraFT's number of refinement generations at the frozen context ``offset_``.

        The context does not move, so each upload is scored once and the scores are cached. With
        ``solver: convex``, fit the head instead.
        """
        assert self.offset_ is not None, "set by the caller"
        if self.options.solver == "convex":
            self._fit_head(box, labels, refine_sets[0], progress)
            return
        trainer = self._start(box, labels, seed)
        scores = Scores(box, Prompts(self.offset_, self.visual_), refine_sets)
        parts: dict[str, Part] = {"scores": scores, "trainer": trainer}
        for generation in self._generations("refinement", self.options.generations, **parts):
            logits = scores.of(generation % len(refine_sets))
            refined = self._refine_once(trainer, logits, labels, generation)
            self._note(queries=self.queries_, **refined)
            if progress:
                progress(self)

    def _fit_head(
        self, box: BlackBox, labels: torch.Tensor, image_set: str, progress: Progress | None
    ) -> None:
        """Fit the convex head on the scores of an upload at ``offset_``, by one query."""
        assert self.offset_ is not None, "set by the caller"
        asked = Asked()
        for _ in self._generations("head", 1, asked=asked):
            asked.scores = query(box, image_set, Prompts(self.offset_, self.visual_), "refine")
            self.head_ = Head.fit(asked.scores[None], labels, ProbeOptions())
            reached = percent_right(self.refine(asked.scores), labels)
            self._note(queries=self.queries_, train_accuracy=reached)
            if progress:
                progress(self)
        if self.head_ is None:  # resumed after the query
            self.head_ = Head.fit(asked.scores[None], labels, ProbeOptions())

    def work(self, images: int, classes: int) -> Work:
        """Return that, and the training on one score per upload; see :meth:`Learner.work`."""
        options, base = self.options, super().work(images, classes)
        convex = options.solver == "convex"
        uploads = 1 if convex else min(max(1, options.views), options.generations)
        return replace(
            base,
            generations=1 if convex else base.generations,
            refine=base.refine + uploads,
            images=base.images + (uploads * images if options.visual_tokens else 0),
            passes=0 if convex else options.generations * options.passes,
        )

    def refine(self, logits: torch.Tensor) -> torch.Tensor:
        """Return refined logits (..., N, K), or the head's log-probabilities of logits (N, K)."""
        if self.head_ is not None:
            return self.head_.probabilities(logits[None]).log()
        return logits if self.refiner_ is None else self.refiner_(logits)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        if self.head_ is not None:
            return super().state() | self.head_.state()
        weights = self.refiner_.state_dict() if self.refiner_ else {}
        return super().state() | {f"refiner.{name}": value for name, value in weights.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        if self.options.solver == "convex":
            self.head_ = Head.restore(state)
            return self
        weights = {
            name.removeprefix("refiner."): value
            for name, value in state.items()
            if name.startswith("refiner.")
        }
        if "head.0.weight" not in weights:
            raise ValueError(f"state of a refining learner: expected 'refiner.*', got {[*state]}")
        classes = weights["head.0.weight"].shape[1]
        self.refiner_ = Refiner(classes, self.options, torch.Generator())
        try:
            self.refiner_.load_state_dict(weights)
        except RuntimeError as error:
            raise ValueError(f"state: expected tensors of these options ({error})") from error
        return self
