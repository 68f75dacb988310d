"""Between a learner and its black box: what the box answers is looked at before it is believed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Iterator

import torch

from craft.protocol import PURPOSES, BlackBox, BudgetExceeded, check_question
from craft.runtime.memory import out_of_memory

log = logging.getLogger(__name__)


#: Share of the largest score up to which scores of one image are the same but for rounding: equal
#: prompts of two classes differ by some 1e-7 of it in a text forward in single precision.
ROUNDING = 1e-5


class BoxError(RuntimeError):
    """The black box failed, was too slow, or answered what cannot be an answer."""


class GuardedBox:
    """A black box whose answers have the declared shape, are finite and tell classes apart.

    ``timeout`` seconds bound the wait for a block (None: no bound), ``retries`` how often what
    failed is asked again, after ``pause`` seconds. A query is charged once, however often it was
    asked, and whether or not an answer came. Raises BoxError, naming what was asked; ValueError
    for a timeout, retries or pause that cannot be.
    """

    def __init__(
        self,
        box: BlackBox,
        *,
        timeout: float | None = None,
        retries: int = 0,
        pause: float = 1.0,
    ) -> None:
        if timeout is not None and not 0 < timeout < math.inf:
            raise ValueError(f"timeout {timeout!r}; accepted: seconds above 0, or None")
        if retries != int(retries) or retries < 0:
            raise ValueError(f"retries {retries!r}; accepted: 0, 1, 2, ...")
        if not 0 <= pause < math.inf:
            raise ValueError(f"pause {pause!r}; accepted: seconds, 0 or more")
        self.context_length, self.context_width = box.context_length, box.context_width
        self.embedding_std, self.class_names = box.embedding_std, box.class_names
        self.image_sets, self.meter = box.image_sets, box.meter
        self._box, self._timeout, self._retries, self._pause = box, timeout, retries, pause

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for offsets (P, L, D); see craft.protocol.BlackBox.predict.

        A question that is wrong is refused here, unasked; whatever the box raises but
        BudgetExceeded and a lack of memory is a failure of its.
        """
        check_question(self, image_set, context_offsets)
        if purpose not in PURPOSES:
            raise ValueError(f"unknown purpose {purpose!r}; accepted: {', '.join(PURPOSES)}")
        about = f"the black box, asked for {purpose} on {image_set!r}"
        expected = (self.image_sets[image_set], len(self.class_names))
        blocks = self._ask(image_set, context_offsets, purpose, about)
        # Not a generator itself, so that a refused question raises here.
        return _checked(blocks, len(context_offsets), expected, about)

    def _ask(
        self, image_set: str, offsets: torch.Tensor, purpose: str, about: str
    ) -> Iterator[torch.Tensor]:
        before = dict(self.meter.counts)
        try:
            blocks = self._box.predict(image_set, offsets, purpose)
        except BudgetExceeded:
            raise
        except Exception as error:
            blocks = _failing(error)
        charged = {**before, purpose: before[purpose] + len(offsets)}
        return self._blocks(blocks, image_set, offsets, purpose, (before, charged), about)

    def _blocks(
        self,
        blocks: Iterator[torch.Tensor],
        image_set: str,
        offsets: torch.Tensor,
        purpose: str,
        counts: tuple[dict[str, int], dict[str, int]],
        about: str,
    ) -> Iterator[torch.Tensor]:
        """What the box yields; what it has not yielded when it fails is asked again."""
        before, charged = counts
        done, failures = 0, 0
        while True:
            try:
                if blocks is None:
                    self.meter.counts.update(before)
                    blocks = self._box.predict(image_set, offsets[done:], purpose)
                block = self._next(blocks)
                self.meter.counts.update(charged)
            except BudgetExceeded:
                raise
            except Exception as error:
                if out_of_memory(error):  # this process's, and no fault of the box
                    raise
                failures += 1
                where = f"{about}, failed at context {done + 1} of {len(offsets)}"
                if failures > self._retries:
                    self.meter.counts.update(charged)
                    raise BoxError(f"{where}: {type(error).__name__}: {error}") from error
                log.warning("%s (%s: %s); asking again", where, type(error).__name__, error)
                time.sleep(self._pause)
                blocks = None
                continue
            if block is None:
                return
            yield block
            done += len(block)

    def _next(self, blocks: Iterator[torch.Tensor]) -> torch.Tensor | None:
        """The next block, None at the end; raises TimeoutError and what the box raises."""
        if self._timeout is None:
            return next(blocks, None)
        answer: list[torch.Tensor | None] = []
        failure: list[Exception] = []
        with_gradients = torch.is_grad_enabled()  # a setting of each thread

        def wait() -> None:
            try:
                with torch.set_grad_enabled(with_gradients):
                    answer.append(next(blocks, None))
            except Exception as error:
                failure.append(error)

        thread = threading.Thread(target=wait, daemon=True)  # may hang for good
        thread.start()
        thread.join(self._timeout)
        if failure:
            raise failure[0]
        if not answer:
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        return answer[0]


def _failing(error: Exception) -> Iterator[torch.Tensor]:
    raise error
    yield


def _checked(
    blocks: Iterator[torch.Tensor], contexts: int, expected: tuple[int, int], about: str
) -> Iterator[torch.Tensor]:
    """The blocks, once through; raises BoxError at a wrong shape, and at the end for the rest.

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
