"""Between a learner and its black box: what the box answers is looked at before it is believed."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from craft.protocol import (
    PURPOSES,
    BlackBox,
    BudgetExceeded,
    FeatureBox,
    QueryMeter,
    UploadBox,
    VisualBox,
    check_image_set,
    check_offsets,
    check_question,
    check_upload,
    check_visual_prompts,
)
from craft.runtime.memory import out_of_memory

log = logging.getLogger(__name__)


#: Share of the largest score up to which scores of one image are the same but for rounding: equal
#: prompts of two classes differ by some 1e-7 of it in a text forward in single precision.
ROUNDING = 1e-5
#: How far the length of a feature row may be from 1: half precision's rounding.
_UNIT = 2e-3


class BoxError(RuntimeError):
    """The black box failed, was too slow, or answered what cannot be an answer."""


@dataclass(frozen=True)
class Question:
    """A question about some contexts, and how it is asked from one of them on."""

    ask: Callable[[int], Iterator[torch.Tensor]]
    contexts: int
    purpose: str
    images: int = 0  # encodings that it costs the service


@dataclass(frozen=True)
class Charges:
    """What a meter said at a moment."""

    counts: Mapping[str, int]
    images: Mapping[str, int]

    def restore(self, meter: QueryMeter) -> None:
        """Let the meter say so again."""
        meter.counts.update(self.counts)
        meter.images.update(self.images)


class Guard:
    """What the guards of all access levels share: facts, patience, and one charge for a question.

    ``timeout`` seconds bound the wait for a block (None: no bound), ``retries`` how often what
    failed is asked again, after ``pause`` seconds. A query is charged once, however often it was
    asked, and whether or not an answer came. Raises ValueError for an invalid timeout, retries or
    pause.
    """

    def __init__(
        self,
        box: BlackBox | FeatureBox,
        *,
        timeout: float | None = None,
        retries: int = 0,
        pause: float = 1.0,
    ) -> None:
        if timeout is not None and not 0 < timeout < math.inf:
            raise ValueError(f"timeout: expected seconds above 0, or None, got {timeout!r}")
        if retries != int(retries) or retries < 0:
            raise ValueError(f"retries: expected 0, 1, 2, ..., got {retries!r}")
        if not 0 <= pause < math.inf:
            raise ValueError(f"pause: expected seconds, 0 or more, got {pause!r}")
        self.context_length, self.context_width = box.context_length, box.context_width
        self.embedding_std, self.class_names = box.embedding_std, box.class_names
        self.image_sets, self.meter = box.image_sets, box.meter
        self._timeout, self._retries, self._pause = timeout, retries, pause

    def _ask(self, question: Question, about: str) -> Iterator[torch.Tensor]:
        """Ask a question and return its blocks; raises BudgetExceeded at once."""
        meter, purpose = self.meter, question.purpose
        before = Charges(dict(meter.counts), dict(meter.images))
        try:
            blocks = question.ask(0)
        except BudgetExceeded:
            raise
        except Exception as error:
            blocks = _failing(error)
        charged = Charges(
            {**before.counts, purpose: before.counts[purpose] + question.contexts},
            {**before.images, purpose: before.images[purpose] + question.images},
        )
        return self._blocks(blocks, question, before, charged, about)

    def _blocks(
        self,
        blocks: Iterator[torch.Tensor] | None,
        question: Question,
        before: Charges,
        charged: Charges,
        about: str,
    ) -> Iterator[torch.Tensor]:
        """Yield the box's blocks; what it has not yielded when it fails is asked again."""
        done, failures = 0, 0
        while True:
            try:
                if blocks is None:
                    before.restore(self.meter)
                    blocks = question.ask(done)
                block = self._next(blocks)
                charged.restore(self.meter)
            except BudgetExceeded:
                raise
            except Exception as error:
                if out_of_memory(error):  # this process's, and no fault of the box
                    raise
                failures += 1
                where = f"{about}, failed at context {done + 1} of {question.contexts}"
                if failures > self._retries:
                    charged.restore(self.meter)
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
        _check_purpose(purpose)
        about = f"the black box, asked for {purpose} on {image_set!r}"
        expected = (self.image_sets[image_set], len(self.class_names))
        blocks = self._ask(Question(ask, contexts, purpose, images), about)
        return _checked(blocks, contexts, expected, about)


class GuardedVisualBox(GuardedBox):
    """A guarded box that passes visual prompts on; see craft.protocol.VisualBox."""

    def __init__(self, box: VisualBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.visual = box.visual
        self._visual_box = box

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K); see :meth:`GuardedBox.predict`."""
        if visual_prompts is None:
            return super().predict(image_set, context_offsets, purpose)
        check_question(self, image_set, context_offsets)
        contexts, prompts = len(context_offsets), visual_prompts
        check_visual_prompts(self.visual, prompts, contexts)
        box = self._visual_box

        def ask(done: int) -> Iterator[torch.Tensor]:
            return box.predict(image_set, context_offsets[done:], purpose, prompts[done:])

        encoded = contexts * self.image_sets[image_set]
        return self._scores(image_set, contexts, purpose, ask, encoded)


class GuardedUploadBox(GuardedBox):
    """A guarded box that takes uploads; see craft.protocol.UploadBox."""

    def __init__(self, box: UploadBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.image_size, self.image_std = box.image_size, box.image_std
        self._upload_box = box

    def upload(self, images: torch.Tensor, purpose: str = "search") -> AbstractContextManager[str]:
        """Return a context with the name of the image set; raises ValueError for wrong images."""
        _check_purpose(purpose)
        check_upload(self.image_size, images)
        return self._upload_box.upload(images, purpose)


class GuardedFeatureBox(Guard):
    """A service of features whose answers are unit rows; see craft.protocol.FeatureBox."""

    def __init__(self, box: FeatureBox, **patience: Any) -> None:
        super().__init__(box, **patience)
        self.feature_width, self.logit_scale = box.feature_width, box.logit_scale
        self._box = box

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set; one query."""
        check_image_set(self, image_set)
        _check_purpose(purpose)
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
        _check_purpose(purpose)
        about = f"the feature box, asked for texts ({purpose})"
        contexts = len(context_offsets)

        def ask(done: int) -> Iterator[torch.Tensor]:
            return self._box.text_features(context_offsets[done:], purpose)

        blocks = self._ask(Question(ask, contexts, purpose), about)
        expected = (len(self.class_names), self.feature_width)
        return _unit_rows(blocks, contexts, expected, about)


def _check_purpose(purpose: str) -> None:
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: expected one of {', '.join(PURPOSES)}, got {purpose!r}")


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
