"""LFA: image features aligned with text prototypes by an orthogonal map (Ouali et al., ICCV 2023).

Needs features. The map is found in closed form, shrunk towards the identity, and refined by a
ranking loss. Two queries: the features of the shots and those of the class names.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import torch

from craft.learner.base import Answer, Progress
from craft.learner.checkpoint import Draws, Part
from craft.learner.divergence import lower
from craft.learner.feature_learner import FeatureLearner, Shots, image_features, prototypes_of
from craft.learner.feature_options import LFAOptions
from craft.learner.optimizers import adam
from craft.learner.procrustes import (
    adaptive_reranking_loss,
    chosen_shrinkage,
    orthogonal_map,
    shrunk,
    unit,
)
from craft.learner.workload import Work
from craft.protocol import FeatureBox

#: Learning rate at the end of the cosine schedule.
_LAST_RATE = 1e-7
#: Share of the centre crop among five; the four corners are two distinct views, twice each.
_CENTRE = 0.2


class LFA(FeatureLearner):
    """Learns W (E, E); the answer is scale * unit(x W) . c for prototypes c."""

    prompts = "ensemble"
    Options: ClassVar[type[LFAOptions]] = LFAOptions
    options: LFAOptions
    weight_: torch.Tensor | None = None

    def fit(  # type: ignore[override]  # the box of another access level
        self,
        box: FeatureBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Align features (N, E) with labels (N,); ``refine_sets`` are the centre and both ends."""
        options = self.options
        rng = np.random.Generator(np.random.PCG64(seed))
        generator = torch.Generator().manual_seed(seed)
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        shots = Shots(box)
        weight = torch.empty(box.feature_width, box.feature_width, requires_grad=True)
        descent = adam([weight], options.learning_rate, options.weight_decay, decoupled=True)
        parts: dict[str, Part] = {"map": descent, "draws": Draws(generator), "shots": shots}
        for _ in self._generations("alignment", 1, **parts):
            views = [shots.images(name) for name in refine_sets]
            prototypes = shots.prototypes()
            self._set_gate(box.logit_scale * views[0] @ prototypes.T, labels)
            aligned = self._aligned(views, prototypes, labels, rng)
            weight.data.copy_(aligned)
            self._noted(weight, progress)
        for step in self._generations("refinement", options.iterations, **parts):
            views, prototypes = [shots.images(name) for name in refine_sets], shots.prototypes()
            descent.set_rate(self._rate(step))
            features, targets = self._batch(views, labels, generator)
            loss = adaptive_reranking_loss(
                unit(self._augmented(features, generator) @ weight),
                prototypes,
                targets,
                neighbours=options.neighbours,
                margin_scale=options.margin_scale,
            )
            descent.step(loss)
            self._noted(weight, progress, refine_loss=loss.detach())
        self.weight_ = weight.detach().clone()
        _ = self.history_  # raises for a loss that is not finite
        return self

    def _noted(
        self, weight: torch.Tensor, progress: Progress | None, **values: torch.Tensor
    ) -> None:
        """Take the map over and report a step."""
        self.weight_ = weight.detach().clone()
        self._note(queries=self.queries_, **values)
        if progress:
            progress(self)

    def _aligned(
        self,
        views: list[torch.Tensor],
        prototypes: torch.Tensor,
        labels: torch.Tensor,
        rng: np.random.Generator,
    ) -> torch.Tensor:
        """Return the shrunk closed-form map (E, E); it is found on all crops where b is given."""
        options = self.options
        nearest = options.completion == "nearest"
        if options.shrinkage is None:
            shrinkage = chosen_shrinkage(
                views[0], prototypes, labels, options.shrinkage_values, options.splits, rng
            )
            rows, targets = views[0], prototypes[labels]
        else:
            shrinkage = options.shrinkage
            # The four corners are the two ends, twice each.
            taken = [views[0], *(2 * views[1:])]
            rows = torch.cat(taken)
            targets = prototypes[labels].repeat(len(taken), 1)
        return shrunk(orthogonal_map(rows, targets, nearest=nearest), shrinkage)

    def _rate(self, step: int) -> float:
        first, steps = self.options.learning_rate, self.options.iterations
        return _LAST_RATE + (first - _LAST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2

    def _batch(
        self, views: list[torch.Tensor], labels: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features and labels of a step: one crop of all images, or a share of them."""
        if len(views) > 1:
            drawn = torch.rand((), generator=generator).item()
            number = 0 if drawn < _CENTRE else 1 + int(drawn >= (1 + _CENTRE) / 2)
            return views[number], labels
        count = max(1, round(self.options.batch_share * len(labels)))
        chosen = torch.randperm(len(labels), generator=generator)[:count].to(labels.device)
        return views[0][chosen], labels[chosen]

    def _augmented(self, features: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Return features (n, E) with noise, dropout, both or neither, by two fair coins a step."""
        coins = torch.rand(2, generator=generator)
        if coins[0] < 0.5:
            noise = torch.randn(features.shape, generator=generator).to(features.device)
            features = features + self.options.noise * noise
        if coins[1] < 0.5:
            kept = torch.rand(features.shape, generator=generator) >= self.options.dropout
            features = features * kept.to(features.device) / (1 - self.options.dropout)
        return features

    def _answer(  # type: ignore[override]  # the box of another access level
        self, box: FeatureBox, image_set: str
    ) -> Answer:
        """Return scores of the aligned features, and those of the features as they are."""
        assert self.offset_ is not None and self.weight_ is not None, "checked by predict"
        prototypes = prototypes_of(box, self.offset_, "evaluate")
        features = image_features(box, image_set, "evaluate")
        aligned = unit(features @ self.weight_.to(features.device))
        scores, own = (box.logit_scale * rows @ prototypes.T for rows in (aligned, features))
        return Answer(scores, own)

    def _cause(self) -> str:
        return lower("the alignment", self.options, "learning_rate", "weight_decay")

    def work(self, images: int, classes: int) -> Work:
        """Return the features asked for; see :meth:`Learner.work`."""
        del images, classes
        uploads = max(1, len(self.options.refine_copies))
        return Work(1 + self.options.iterations, refine=1 + uploads, predict=2)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        assert self.weight_ is not None, "set by fit and restore"
        return super().state() | {"weight": self.weight_}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        if "weight" not in state:
            raise ValueError("state: expected a tensor 'weight', got none")
        self.weight_ = state["weight"]
        return self
