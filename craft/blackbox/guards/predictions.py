"""A guarded box of predictions: it checks shapes and values of scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch

from craft.blackbox.guards.guard import BoxError, Guard, Question, check_purpose
from craft.protocol import BlackBox, check_question

#: Scores of one image are equal up to rounding if they differ by less than this share of the
#: largest score. In single precision, equal prompts of two classes differ by about 1e-7 of it.
ROUNDING = 1e-5


class GuardedBox(Guard):
    """A black box whose answers are checked: declared shape, finite, different between classes.

    See :class:`Guard` for its options. Raises BoxError naming the question.
    """

    def __init__(self, box: BlackBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self._box = box

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for offsets (P, L, D); see craft.protocol.BlackBox.predict.

        An invalid question raises ValueError or KeyError before the box is asked. Any exception of
        the box counts as its failure, except BudgetExceeded and a lack of memory.
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
        """Return checked blocks of scores; an invalid question raises at the call."""
        check_purpose(purpose)
        about = f"the black box, asked for {purpose} on {image_set!r}"
        expected = (self.image_sets[image_set], len(self.class_names))
        blocks = self._ask(Question(ask, contexts, purpose, images), about)
        return _checked(blocks, contexts, expected, about)


def _checked(
    blocks: Iterator[torch.Tensor], contexts: int, expected: tuple[int, int], about: str
) -> Iterator[torch.Tensor]:
    """Yield the blocks; raise BoxError at once for a wrong shape, at the end for wrong values.

    Extremes are computed on the blocks' device and read once, so that no block waits for it.
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
        # aminmax returns NaN if any number is NaN
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
