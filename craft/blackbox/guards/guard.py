"""Retries, timeouts and charging between a learner and its black box."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch

from craft.protocol import PURPOSES, BlackBox, BudgetExceeded, FeatureBox, QueryMeter
from craft.runtime.memory import out_of_memory

log = logging.getLogger(__name__)


class BoxError(RuntimeError):
    """The black box failed, was too slow, or gave an invalid answer."""


@dataclass(frozen=True)
class Question:
    """A question about some contexts; ``ask(n)`` asks it from context n on."""

    ask: Callable[[int], Iterator[torch.Tensor]]
    contexts: int
    purpose: str
    images: int = 0  # image encodings that the service needs for it


@dataclass(frozen=True)
class Charges:
    """The counts of a meter at one moment."""

    counts: Mapping[str, int]
    images: Mapping[str, int]

    def restore(self, meter: QueryMeter) -> None:
        """Set the meter back to these counts."""
        meter.counts.update(self.counts)
        meter.images.update(self.images)


class Guard:
    """Base of the guards of all access levels: timeouts, retries, and one charge per question.

    ``timeout`` limits the wait for a block, in seconds (None: no limit). A failed question is asked
    again up to ``retries`` times, each after ``pause`` seconds. A query is charged once, no matter
    how often it was asked and whether an answer came. Raises ValueError for an invalid timeout,
    retries or pause.
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
        """Yield the box's blocks; after a failure, ask again for the missing ones."""
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
                if out_of_memory(error):  # of this process: not a failure of the box
                    raise
                failures += 1
                where = f"{about}, failed at context {done + 1} of {question.contexts}"
                if failures > self._retries:
                    charged.restore(self.meter)
                    raise BoxError(f"{where}: {type(error).__name__}: {error}") from error
                log.warning("%s (%s: %s); retrying", where, type(error).__name__, error)
                time.sleep(self._pause)
                blocks = None
                continue
            if block is None:
                return
            yield block
            done += len(block)

    def _next(self, blocks: Iterator[torch.Tensor]) -> torch.Tensor | None:
        """Return the next block, None at the end; raises TimeoutError and errors of the box."""
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

        thread = threading.Thread(target=wait, daemon=True)  # may never return
        thread.start()
        thread.join(self._timeout)
        if failure:
            raise failure[0]
        if not answer:
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        return answer[0]


def check_purpose(purpose: str) -> None:
    """Raise ValueError for an unknown purpose of a query."""
    if purpose not in PURPOSES:
        raise ValueError(f"purpose: expected one of {', '.join(PURPOSES)}, got {purpose!r}")


def _failing(error: Exception) -> Iterator[torch.Tensor]:
    raise error
    yield
