"""A guarded box of predictions: scores are looked at before they are believed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from craft.blackbox.guards.guard import BoxError, Guard, Question, check_purpose
from craft.protocol import BlackBox, check_question

#: Share of the largest score up to which scores of one image are the same but for rounding: equal
#: prompts of two classes differ by some 1e-7 of it in a text forward in single precision.
ROUNDING = 1e-5


class GuardedBox(Guard):
    """A black box whose answers have the declared shape, are finite and tell classes apart.

    See :class:`Guard` for its options. Raises BoxError, naming what was asked.
    """

    def __init__(self, box: BlackBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self._box = box

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for offsets (P, L, D); see craft.protocol.BlackBox.predict.

        A question that is wrong is refused here, unasked; whatever the box raises but
        BudgetExceeded and a lack of memory is a failure of its.
        """
        check_question(self, image_set, context_offsets)
        return self._scores(
            image_set,
            len(context_offsets),
            purpose,
            lambda done: self._box.predict(image_set, context_offsets[done:], purpose),
        )

    def _scores(
        self,
        image_set: str,
        contexts: int,
        purpose: str,
        ask: Callable[[int], Iterator[torch.Tensor]],
        images: int = 0,
    ) -> Iterator[torch.Tensor]:
        """Yield checked scores. Not a generator itself: a refused question raises at the call."""
        check_purpose(purpose)
        about = f"the black box, asked for {purpose} on {image_set!r}"
        expected = (self.image_sets[image_set], len(self.class_names))
        blocks = self._ask(Question(ask, contexts, purpose, images), about)
        return _checked(blocks, contexts, expected, about)


def _checked(
    blocks: Iterator[torch.Tensor], contexts: int, expected: tuple[int, int], about: str
) -> Iterator[torch.Tensor]:
    """Return the blocks once; raises BoxError at a wrong shape, and at the end for the rest.

    Values are looked at where they are and judged once, so that no device waits for each block.
    """
    done, extremes = 0, []
    for block in blocks:
        if not isinstance(block, torch.Tensor) or not block.is_floating_point():
            kind = getattr(block, "dtype", "no numbers")
            raise BoxError(
                f"{about}, answered with a {type(block).__name__} of {kind}, not with a "
                "torch.Tensor of real floating-point numbers"
            )
        shape = tuple(block.shape)
        if len(shape) != 3 or shape[1:] != expected or done + shape[0] > contexts:
            raise BoxError(
                f"{about}, answered with shape {shape}, not (at most {contexts - done} contexts, "
                f"{expected[0]} images, {expected[1]} classes)"
            )
        # NaN where any number is
        low, high = torch.aminmax(block.detach(), dim=-1)  # (B, N): over classes
        if block.numel():
            extremes.append(torch.stack([low.min(), high.max(), (high - low).max()]))
        yield block
        done += len(block)
    if done != contexts:
        raise BoxError(f"{about}, answered for {done} of {contexts} contexts")
    if not extremes:
        return
    lows, highs, spreads = torch.stack(extremes).T  # (blocks,) each
    low, high, spread = torch.stack([lows.min(), highs.max(), spreads.max()]).tolist()
    if not (math.isfinite(low) and math.isfinite(high)):
        raise BoxError(f"{about}, answered with numbers that are not finite")
    if low == high and (contexts * math.prod(expected) > 1):
        raise BoxError(f"{about}, answered with {low:g} for every image and class")
    if spread <= ROUNDING * max(abs(low), abs(high)) and expected[1] > 1:
        raise BoxError(
            f"{about}, answered with one number for all classes of each image: they differ by at "
            f"most {spread:.3g}, of scores up to {max(abs(low), abs(high)):.3g}. Does the model "
            "know a word of the class names?"
        )
