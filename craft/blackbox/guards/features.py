"""A guarded feature box: it checks that all rows have unit length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from craft.blackbox.guards.guard import BoxError, Guard, Question, check_purpose
from craft.protocol import FeatureBox, check_image_set, check_offsets

#: Largest difference between the length of a feature row and 1: rounding in half precision.
_UNIT = 2e-3


class GuardedFeatureBox(Guard):
    """A feature box whose answers are checked to be unit rows; see craft.protocol.FeatureBox."""

    def __init__(self, box: FeatureBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.feature_width, self.logit_scale = box.feature_width, box.logit_scale
        self._box = box

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set; one query."""
        check_image_set(self, image_set)
        check_purpose(purpose)
        about = f"the feature box, asked for images {image_set!r}"

        def ask(done: int) -> Iterator[torch.Tensor]:
            del done  # one context's worth of an answer, whole
            yield self._box.image_features(image_set, purpose)[None]

        blocks = self._ask(Question(ask, 1, purpose), about)
        expected = (self.image_sets[image_set], self.feature_width)
        (features,) = torch.cat(list(_unit_rows(blocks, 1, expected, about)))
        return features

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield unit features (B, K, E) of the classes for contexts (P, L, D)."""
        check_offsets(self, context_offsets)
        check_purpose(purpose)
        about = f"the feature box, asked for texts ({purpose})"
        contexts = len(context_offsets)

        def ask(done: int) -> Iterator[torch.Tensor]:
            return self._box.text_features(context_offsets[done:], purpose)

        blocks = self._ask(Question(ask, contexts, purpose), about)
        expected = (len(self.class_names), self.feature_width)
        return _unit_rows(blocks, contexts, expected, about)


def _unit_rows(
    blocks: Iterator[torch.Tensor], contexts: int, expected: tuple[int, int], about: str
) -> Iterator[torch.Tensor]:
    """Yield blocks (B, rows, E) of unit rows; raises BoxError for anything else."""
    done = 0
    for block in blocks:
        shape = tuple(block.shape) if isinstance(block, torch.Tensor) else ()
        if len(shape) != 3 or shape[1:] != expected or done + shape[0] > contexts:
            raise BoxError(
                f"{about}, answered with shape {shape}, not (at most {contexts - done} contexts, "
                f"{expected[0]} rows, {expected[1]} numbers)"
            )
        if block.numel() and not bool(((block.norm(dim=-1) - 1).abs() < _UNIT).all()):
            raise BoxError(f"{about}, answered with rows that are not of unit length")
        yield block
        done += len(block)
    if done != contexts:
        raise BoxError(f"{about}, answered for {done} of {contexts} contexts")
