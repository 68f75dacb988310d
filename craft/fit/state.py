"""The saved state of an unfinished job's runs, in a folder that Snakemake does not delete."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from craft.files import paths
from craft.files.atomic import RecordError, read_tensors, replacing, write_tensors
from craft.files.locks import Busy, locked
from craft.files.records import RUN_FILES, RunRecord
from craft.learner.checkpoint import Checkpoint

log = logging.getLogger("craft.fit")

#: Files of a finished run; the record is written last.
FILES = (*RUN_FILES, paths.RECORD_NAME)


@dataclass(frozen=True)
class Spent:
    """The costs of a run so far, over all attempts."""

    counts: dict[str, int]  # queries by purpose
    images: dict[str, int]  # image encodings of the service by purpose
    fit_seconds: float = 0.0
    predict_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    peak_device_memory_mb: float = 0.0
    resumes: int = 0
    initial_accuracy: float | None = None  # measured once, by the first attempt


class Place:
    """A run's folder in an unfinished job: its state during the fit, then its finished files.

    ``key`` is a hash of everything that decides the run's bytes; folders of other keys are deleted.
    Snakemake does not know this folder, so it survives when Snakemake deletes the outputs of a
    failed or killed job. It is deleted when the job succeeds, so that a forced job fits again.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder
        self.files = folder / key
        self._state = self.files / "state.safetensors"

    @contextlib.contextmanager
    def held(self) -> Iterator[bool]:
        """Lock the run; wait for a process that a killed Snakemake left behind.

        Yields whether it had to wait.
        """
        with contextlib.ExitStack() as stack:
            waited, lock = False, self._folder / "lock"
            try:
                stack.enter_context(locked(lock, wait=False))
            except Busy as busy:
                log.info("%s; waiting for it", busy)
                stack.enter_context(locked(lock))
                waited = True
            for other in self._folder.iterdir():
                if other.is_dir() and other != self.files:
                    shutil.rmtree(other)
            for left in self.files.glob(".*.tmp"):  # by a process that was killed while it wrote
                left.unlink()
            yield waited

    @property
    def finished(self) -> bool:
        """Return whether the run's files are complete and unchanged."""
        return recorded(self.files) is not None

    def publish(self, folder: Path) -> None:
        """Copy the run's files to ``folder``, each whole or not at all, the record last."""
        for name in FILES:
            with replacing(folder / name) as temporary:
                shutil.copyfile(self.files / name, temporary)
        self._state.unlink(missing_ok=True)

    def drop(self) -> None:
        """Delete the run's folder after its job has succeeded."""
        with self.held():
            shutil.rmtree(self.files, ignore_errors=True)

    def save(self, checkpoint: Checkpoint, curve: dict[str, torch.Tensor], spent: Spent) -> None:
        """Write the state of the run, whole or not at all."""
        tensors = {f"learner/{name}": value for name, value in checkpoint.tensors.items()}
        tensors |= {f"curve/{name}": value for name, value in curve.items()}
        about = {"phase": checkpoint.phase, "done": checkpoint.done, "queries": checkpoint.queries}
        write_tensors(
            self._state,
            {name: value.detach().cpu().numpy() for name, value in tensors.items()},
            about | {"history": checkpoint.history, "spent": asdict(spent)},
        )

    def load(self) -> tuple[Checkpoint, dict[str, torch.Tensor], Spent] | None:
        """Return what :meth:`save` wrote last; None if it is missing or unusable."""
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
            log.warning("cannot resume, starting again: %s", error)
            return None


def recorded(folder: Path) -> RunRecord | None:
    """Return the record of the run in ``folder``; None if its files are not complete."""
    if not (folder / paths.RECORD_NAME).exists():
        return None
    try:
        record = RunRecord.read(folder / paths.RECORD_NAME)
        record.require_files(folder)
    except RecordError as error:
        log.warning("fitting again: %s", error)
        return None
    return record
