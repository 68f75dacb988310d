"""Learners whose result is a linear classifier of image features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch

from craft.learner.base import Answer
from craft.learner.classifier_options import ClassifierOptions
from craft.learner.feature_learner import FeatureLearner, image_features, prototypes_of
from craft.learner.workload import Work
from craft.protocol import FeatureBox


class FeatureClassifier(FeatureLearner):
    """Scores F W + b of unit image features F (N, E), at the data set's own prompt."""

    prompts = "template"
    Options: ClassVar[type[ClassifierOptions]] = ClassifierOptions
    weight_: torch.Tensor | None = None  # (E, K)
    bias_: torch.Tensor | None = None  # (K,)

    def _answer(  # type: ignore[override]  # the box of another access level
        self, box: FeatureBox, image_set: str
    ) -> Answer:
        """Return the classifier's scores, and for a gate those of the class names."""
        assert self.offset_ is not None, "checked by predict"
        assert self.weight_ is not None and self.bias_ is not None, "set by fit and restore"
        features = image_features(box, image_set, "evaluate")
        scores = features @ self.weight_.to(features.device) + self.bias_.to(features.device)
        if not self.gates:
            return Answer(scores)
        texts = prototypes_of(box, self.offset_, "evaluate")
        return Answer(scores, box.logit_scale * features @ texts.T)

    def work(self, images: int, classes: int) -> Work:
        """Return the queries for features: one for each upload and one for the prompt."""
        del images, classes
        uploads = max(1, len(self.options.refine_copies))
        return Work(1, refine=uploads + 1, predict=1 + int(self.gates))

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        assert self.weight_ is not None and self.bias_ is not None, "set by fit and restore"
        return super().state() | {"weight": self.weight_, "bias": self.bias_}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        if lacking := {"weight", "bias"} - set(state):
            raise ValueError(f"state: expected a tensor {min(lacking)!r}, got {[*state]}")
        self.weight_, self.bias_ = state["weight"], state["bias"]
        return self
