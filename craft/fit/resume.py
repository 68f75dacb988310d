"""One attempt at a run: resume the last attempt, save the state, end on a signal."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch

from craft.fit.boxes import Box
from craft.fit.curve import CurveRecorder
from craft.fit.state import Place, Spent
from craft.learner.base import Learner
from craft.runtime.memory import peak_device_memory_mb, peak_memory_mb, seconds_since_start
from craft.runtime.signals import Ended, Signals
from craft.whitebox.white_box import WhiteBox

log = logging.getLogger("craft.fit")


class Attempt:
    """One attempt at a run, as the ``progress`` of its learner.

    It records a generation in the curve, then saves the state every ``every`` seconds. After a
    signal it saves the state and raises Ended.
    """

    def __init__(
        self,
        place: Place | None,
        box: Box,
        curve: CurveRecorder,
        signals: Signals,
        every: float,
        device: torch.device,
    ) -> None:
        self._place, self._box, self._curve = place, box, curve
        self._signals, self._every, self._device = signals, every, device
        self._before, self._resumes, self._called = Spent(counts={}, images={}), 0, False
        self._initial: float | None = None
        self._start = self._saved = time.perf_counter()

    def begin(self, learner: Learner, initial_accuracy: Callable[[], float] | None) -> None:
        """Restore learner, box and curve from the last attempt, and start the clock.

        The first attempt measures ``initial_accuracy`` before that; later ones restore it.
        """
        if self._place and (saved := self._place.load()):
            checkpoint, curve, self._before = saved
            learner.resume(checkpoint)
            self._curve.resume(curve)
            if not isinstance(self._box, WhiteBox):
                self._box.meter.counts |= self._before.counts
                self._box.meter.images |= self._before.images
            log.info("resuming at generation %d of %s", checkpoint.done, checkpoint.phase)
            self._resumes = self._before.resumes + 1
            self._initial = self._before.initial_accuracy
        elif initial_accuracy:
            self._initial = initial_accuracy()
        self._start = self._saved = time.perf_counter()

    def __call__(self, learner: Learner) -> None:
        """Record a generation, and save the state if it is due."""
        if not self._called:
            log.info(
                "first generation finished %.1f s after process start, %.1f s of processor time",
                seconds_since_start(),
                time.process_time(),
            )
            self._called = True
        self._curve(learner)
        received = self._signals.received
        if self._place and (received or time.perf_counter() - self._saved >= self._every):
            self._save(learner)
        if received:
            raise Ended(received)

    def _save(self, learner: Learner) -> None:
        checkpoint = learner.checkpoint()
        if checkpoint is None:
            return
        try:
            self._place.save(checkpoint, self._curve.state(), self.spent())
        except OSError as error:  # a later save may succeed; the run itself is correct
            log.warning("cannot save the state of the fit: %s", error)
        self._saved = time.perf_counter()

    def spent(self) -> Spent:
        """Return the queries, times and memory of all attempts."""
        before, predicting = self._before, self._curve.seconds
        return Spent(
            counts={} if isinstance(self._box, WhiteBox) else dict(self._box.meter.counts),
            images={} if isinstance(self._box, WhiteBox) else dict(self._box.meter.images),
            fit_seconds=before.fit_seconds + time.perf_counter() - self._start - predicting,
            predict_seconds=before.predict_seconds + predicting,
            peak_memory_mb=max(before.peak_memory_mb, peak_memory_mb()),
            peak_device_memory_mb=max(
                before.peak_device_memory_mb, peak_device_memory_mb(self._device)
            ),
            resumes=self._resumes,
            initial_accuracy=self._initial,
        )
