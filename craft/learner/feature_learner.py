"""Learners with access to features, and their questions."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from craft.learner.base import Learner
from craft.learner.divergence import BOX, require_finite
from craft.protocol import FeatureBox


def image_features(box: FeatureBox, image_set: str, purpose: str) -> torch.Tensor:
    """Return unit features (N, E) of an image set, one query; raises Diverged."""
    features = box.image_features(image_set, purpose)
    return require_finite(features, f"features of {image_set!r}", BOX)


def prototypes_of(box: FeatureBox, offset: torch.Tensor, purpose: str) -> torch.Tensor:
    """Return unit text features (K, E) at one context (1, L, D), one query; raises Diverged."""
    (features,) = torch.cat(list(box.text_features(offset, purpose)))
    return require_finite(features, "features of the class names", BOX)


class Shots:
    """Features of the shots and of the untouched prompt, queried once each; a part of a fit."""

    def __init__(self, box: FeatureBox) -> None:
        self._box = box
        self._kept: dict[str, torch.Tensor] = {}

    def images(self, image_set: str) -> torch.Tensor:
        """Return unit features (N, E) of an upload of the shots."""
        if image_set not in self._kept:
            self._kept[image_set] = image_features(self._box, image_set, "refine")
        return self._kept[image_set]

    def prototypes(self) -> torch.Tensor:
        """Return unit features (K, E) of the untouched prompt."""
        if "" not in self._kept:
            offset = torch.zeros(1, self._box.context_length, self._box.context_width)
            self._kept[""] = prototypes_of(self._box, offset, "refine")
        return self._kept[""]

    def state(self) -> dict[str, torch.Tensor]:
        """Return the features so far by upload; "" is the prompt."""
        return dict(self._kept)

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the features of a :meth:`state`."""
        self._kept = dict(state)


class FeatureLearner(Learner):
    """A learner that multiplies features itself; its ``_answer`` asks for both kinds."""

    def _own_scores(  # type: ignore[override]  # the box of another access level
        self, box: FeatureBox, image_set: str, purpose: str
    ) -> torch.Tensor:
        """Return zero-shot scores (N, K) of the untouched prompt, by two queries."""
        untouched = torch.zeros(1, box.context_length, box.context_width)
        texts = prototypes_of(box, untouched, purpose)
        return box.logit_scale * image_features(box, image_set, purpose) @ texts.T
