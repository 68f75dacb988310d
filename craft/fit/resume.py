"""Resume a run that was ended early: its state beside the results, and what ends an attempt."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from craft.files.atomic import RecordError, locked, read_tensors, replacing, write_tensors
from craft.files.records import RUN_FILES, RunRecord
from craft.fit.boxes import Box
from craft.fit.curve import CurveRecorder
from craft.learner.base import Learner
from craft.learner.checkpoint import Checkpoint
from craft.runtime.memory import peak_device_memory_mb, peak_memory_mb, seconds_since_start
from craft.runtime.signals import Ended, Signals
from craft.whitebox.box import WhiteBox

log = logging.getLogger("craft.fit")

#: What a finished run is; the record is written last.
FILES = (*RUN_FILES, "record.json")


@dataclass(frozen=True)
class Spent:
    """What a run has taken so far, over all of its attempts."""

    counts: dict[str, int]  # queries by purpose
    images: dict[str, int]  # image encodings of the service by purpose
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    peak_device_memory_mb: float = 0.0
    resumes: int = 0
    initial_accuracy: float | None = None  # measured once, by the first attempt


class Place:
    """A run's folder in an unfinished job: its state while it is fitted, its files once it is.

    ``key`` stands for all that decides the run's bytes; what another key left is removed. Snakemake
    knows nothing of this folder, so that it survives where Snakemake removes the outputs of a job
    that failed or was killed. It goes when the job has ended well, so that a job that is run again
    fits again.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self.files = folder / key
        self._state = self.files / "state.safetensors"

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be the only process at work on the run; wait for another, of a killed Snakemake."""
        with locked(self._folder / "lock"):
            for other in self._folder.iterdir():
                if other.is_dir() and other != self.files:
                    shutil.rmtree(other)
            for left in self.files.glob(".*.tmp"):  # by a process that was killed while it wrote
                left.unlink()
            yield

    @property
    def finished(self) -> bool:
        """Whether the run's files are here, whole and as they were written."""
        if not (self.files / "record.json").exists():
            return False
        try:
            RunRecord.read(self.files / "record.json").require_files(self.files)
        except RecordError as error:
            log.warning("fitting again: %s", error)
            return False
        return True

    def publish(self, folder: Path) -> None:
        """Copy the run's files to ``folder``, each whole or not at all, the record last."""
        for name in FILES:
            with replacing(folder / name) as temporary:
                shutil.copyfile(self.files / name, temporary)
        self._state.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove what is kept of the run, once its job has ended well."""
        with self.held():
            shutil.rmtree(self.files, ignore_errors=True)

    def save(self, checkpoint: Checkpoint, curve: dict[str, torch.Tensor], spent: Spent) -> None:
        """Write where the run is, whole or not at all."""
        tensors = {f"learner/{name}": value for name, value in checkpoint.tensors.items()}
        tensors |= {f"curve/{name}": value for name, value in curve.items()}
        about = {"phase": checkpoint.phase, "done": checkpoint.done, "queries": checkpoint.queries}
        write_tensors(
            self._state,
            {name: value.detach().cpu().numpy() for name, value in tensors.items()},
            about | {"history": checkpoint.history, "spent": asdict(spent)},
        )

    def load(self) -> tuple[Checkpoint, dict[str, torch.Tensor], Spent] | None:
        """What :meth:`save` wrote last; None where there is nothing, or nothing of use."""
        if not self._state.exists():
            return None
        try:
            arrays, about = read_tensors(self._state)
            spent = Spent(**about.pop("spent"))
            parts: dict[str, dict[str, torch.Tensor]] = {"learner": {}, "curve": {}}
            for name, array in arrays.items():
                part, _, key = name.partition("/")
                parts[part][key] = torch.from_numpy(array)
            return Checkpoint(tensors=parts["learner"], **about), parts["curve"], spent
        except (RecordError, KeyError, TypeError) as error:
            log.warning("starting anew: %s", error)
            return None


class Attempt:
    """One attempt at a run: goes on from the last one, keeps its state, ends when told to.

    A learner's ``progress``: hands it on to the curve, then saves the state every ``every`` seconds
    and where a signal was received; raises Ended then.
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
        """Put learner, box and curve where the last attempt was; this one's time begins.

        The first attempt asks for ``initial_accuracy`` before that, and the others know it.
        """
        if self._place and (saved := self._place.load()):
            checkpoint, curve, self._before = saved
            learner.resume(checkpoint)
            self._curve.resume(curve)
            if not isinstance(self._box, WhiteBox):
                self._box.meter.counts |= self._before.counts
                self._box.meter.images |= self._before.images
            log.info("going on from generation %d of %s", checkpoint.done, checkpoint.phase)
            self._resumes = self._before.resumes + 1
            self._initial = self._before.initial_accuracy
        elif initial_accuracy:
            self._initial = initial_accuracy()
        self._start = self._saved = time.perf_counter()

    def __call__(self, learner: Learner) -> None:
        """Record, and save the state if it is time to."""
        if not self._called:
            log.info(
                "a first generation %.1f s after the process's start, %.1f s of processor time",
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
        except OSError as error:  # a later one may succeed, and the run itself is not wrong
            log.warning("the state of the fit is not saved: %s", error)
        self._saved = time.perf_counter()

    def spent(self) -> Spent:
        """Queries, times and memory of all attempts at the run."""
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
