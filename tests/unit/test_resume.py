"""Fits that are ended early: killed, told to end, locked out, out of disk."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from craft.files.locks import locked
from craft.files.records import RunRecord
from craft.files.suite import JobRun
from craft.fit.__main__ import main
from craft.fit.state import FILES
from craft.runtime.command import run_command
from craft.runtime.signals import ENDED
from tests.unit.small_images import BLACKVIP, image_arguments, write_image_inputs
from tests.unit.small_model import OPTIONS, RUN_FOLDER, arguments, timeless, write_inputs

# Each fit is a process of its own, forked from one that has imported what takes seconds to import.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.unit.test_resume"])

#: Learners, with options that make their fit long enough to be met while it runs.
LEARNERS = {
    "collaborative:Collaborative": {"budget": 1600, "views": 1},
    "sequential:Sequential": {"budget": 800, "context_rule": "fresh-mean", "feature_norm": "raw"},
    "coop:CoOp": {"context_tokens": 3, "epochs": 200},
    "yu:Yu": {"visual_tokens": 2, "visual_dim": 4, "budget": 1600},
    "blackvip:BlackVIP": BLACKVIP | {"steps": 300, "crops": 1},
}


def work(given: list[str], log: Path, file_bytes: int | None = None) -> None:
    """What a process does: the command, its messages in a file."""
    sys.stderr = log.open("a", buffering=1)
    if file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    run_command(lambda: main(given))


class Fits:
    """Fits of one learner on one split, by a command that may be given again."""

    def __init__(self, folder: Path, name: str, seeds: tuple[int, ...] = (1,), **options) -> None:
        self.folder, self.log = folder, folder / "log"
        cell = OPTIONS | LEARNERS[name] | options, ("toy", "s")
        told = image_arguments if name.startswith(("blackvip", "yu")) else arguments
        self.given = told(folder, name, *(JobRun(1, seed, *cell) for seed in seeds))

    def start(
        self, out: str = "out", cache: str | None = "cache", every: float = 0, **more
    ) -> BaseProcess:
        given = [*self.given, "--out", str(self.folder / out), "--save-every", str(every)]
        given += ["--cache", str(self.folder / cache)] if cache else []
        process = PROCESSES.Process(target=work, args=(given, self.log), kwargs=more)
        process.start()
        return process

    def finish(self, *given, **more) -> int:
        process = self.start(*given, **more)
        process.join(120)
        return process.exitcode

    def until_it_works(self, process: BaseProcess) -> None:
        """Wait until a state has been saved."""
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("cache/**/state.safetensors")):
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.001)

    def files(self, out: str = "out") -> dict[str, bytes]:
        folder = self.folder / out / RUN_FOLDER.format(1, 1)
        return {name: (folder / name).read_bytes() for name in FILES[:3]}

    def record(self, out: str = "out") -> RunRecord:
        return RunRecord.read(self.folder / out / RUN_FOLDER.format(1, 1) / "record.json")

    def left(self, out: str = "out") -> list[str]:
        return sorted(path.name for path in self.folder.glob(f"{out}/m/small/toy/*/*/*"))


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    write_inputs(tmp_path)
    return Fits(tmp_path, "collaborative:Collaborative")


@pytest.mark.parametrize("name", LEARNERS)
def test_a_fit_that_is_killed_again_and_again_ends_with_the_same_bytes(
    tmp_path: Path, name: str
) -> None:
    write_image_inputs(tmp_path)
    fits = Fits(tmp_path, name)
    assert fits.finish("whole", cache=None) == 0
    moments = random.Random(name)
    for time_left in (0, *(moments.uniform(0, 0.25) for _ in range(5))):
        process = fits.start()
        if not list(tmp_path.glob("cache/**/state.safetensors")):
            fits.until_it_works(process)
        process.join(time_left)
        process.kill()
        process.join()
        if process.exitcode == 0:
            break  # it was faster than its end
    assert fits.finish() == 0
    assert fits.files() == fits.files("whole")
    whole, killed = timeless(fits.record("whole")), timeless(fits.record())
    assert killed.pop("notes")["resumes"] >= 1
    assert whole.pop("notes") == {"resumes": 0}
    assert killed == whole  # no query is charged twice


def test_a_fit_that_is_told_to_end_says_so_and_goes_on(fits: Fits) -> None:
    process = fits.start()
    fits.until_it_works(process)
    process.terminate()
    process.join(60)
    assert process.exitcode == ENDED
    (line,) = [line for line in fits.log.read_text().splitlines() if "ended by" in line]
    assert "ended by SIGTERM; state is kept in" in line
    assert fits.left() == []
    assert fits.finish() == 0
    assert fits.record().notes == {"resumes": 1}
    assert fits.finish("whole", cache=None) == 0
    assert fits.files() == fits.files("whole")


EARLIER = "fitted by an earlier attempt at this job"


def test_a_finished_run_of_an_unfinished_job_is_kept(fits: Fits) -> None:
    fits = Fits(fits.folder, "collaborative:Collaborative", seeds=(1, 2))
    second = fits.folder / "splits/shots-1/seed-2.json"
    content = second.read_text()
    second.write_text(content.replace("train/", "nowhere/"))
    assert fits.finish() == 1
    before, when = fits.files(), fits.record()
    shutil.rmtree(fits.folder / "out")  # as Snakemake does with the outputs of a failed job
    second.write_text(content)
    assert fits.finish() == 0
    assert (fits.files(), fits.record()) == (before, when)
    assert fits.log.read_text().count(EARLIER) == 1
    assert not list(fits.folder.glob("cache/m/small/toy/*/*/*/*"))  # the job has ended


def test_another_run_takes_the_place_of_what_is_kept(fits: Fits) -> None:
    process = fits.start()
    fits.until_it_works(process)
    process.kill()
    process.join()
    other = Fits(fits.folder, "collaborative:Collaborative", learning_rate=0.1)
    assert other.finish() == 0
    assert "resuming at generation" not in fits.log.read_text()
    assert fits.record().notes == {"resumes": 0}


def test_a_job_that_is_run_again_fits_again_and_mends_what_was_edited(fits: Fits) -> None:
    assert fits.finish() == 0
    before, when = fits.files(), fits.record()
    with (fits.folder / "out" / RUN_FOLDER.format(1, 1) / "history.csv").open("a") as history:
        history.write("by hand\n")
    assert fits.finish() == 0
    assert fits.files() == before
    assert fits.record().fit_seconds != when.fit_seconds
    assert EARLIER not in fits.log.read_text()


def test_a_second_writer_waits_for_the_first(fits: Fits) -> None:
    place = fits.folder / "cache" / RUN_FOLDER.format(1, 1)
    lock = place / "lock"
    with locked(lock):
        process = fits.start()
        deadline = time.monotonic() + 60
        while "waiting for it" not in (fits.log.read_text() if fits.log.exists() else ""):
            assert process.is_alive() and time.monotonic() < deadline
            time.sleep(0.01)
        assert not list(place.glob("*/*"))
        second = fits.start()
        second.terminate()  # also one that waits ends when it is told to
        second.join(60)
        assert second.exitcode == ENDED or second.exitcode == -signal.SIGTERM
    process.join(120)
    assert process.exitcode == 0
    assert str(lock) in fits.log.read_text()


def test_a_process_that_waited_takes_what_the_other_has_made(fits: Fits) -> None:
    first = fits.start()
    fits.until_it_works(first)
    os.kill(first.pid, signal.SIGSTOP)
    second = fits.start()
    deadline = time.monotonic() + 60
    while "waiting for it" not in fits.log.read_text():
        assert second.is_alive() and time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGCONT)
    first.join(120)
    second.join(120)
    assert (first.exitcode, second.exitcode) == (0, 0)
    assert "fitted by" in fits.log.read_text()


def test_a_state_that_cannot_be_read_is_named_and_not_used(fits: Fits) -> None:
    process = fits.start()
    fits.until_it_works(process)
    process.kill()
    process.join()
    (state,) = fits.folder.glob("cache/**/state.safetensors")
    state.write_bytes(state.read_bytes()[:-100])
    assert fits.finish() == 0
    log = fits.log.read_text()
    assert f"cannot resume, starting again: {state}: not a readable safetensors file" in log
    assert fits.record().notes == {"resumes": 0}


@pytest.mark.parametrize("cache", ["cache", None])
def test_a_full_disk_leaves_nothing_under_a_final_name(fits: Fits, cache: str | None) -> None:
    assert fits.finish(cache=cache, every=99, file_bytes=2500) == 1
    (line,) = [line for line in fits.log.read_text().splitlines() if "error" in line]
    assert line.startswith("error: ") and any(name in line for name in FILES)
    assert "cannot be written: " in line and "File too large" in line
    assert "Traceback" not in fits.log.read_text()
    # A whole file of a run may be there; without its record nothing takes the run for done.
    assert "record.json" not in fits.left() and not (cache and fits.left())
    assert not list(fits.folder.rglob(".*.tmp"))
    assert fits.finish(cache=cache) == 0


def test_a_state_that_cannot_be_saved_ends_no_fit(fits: Fits) -> None:
    fits = Fits(fits.folder, "collaborative:Collaborative", intrinsic_dim=400, population=80)
    assert fits.finish(every=0.2, file_bytes=9000) == 0
    assert "cannot save the state of the fit: " in fits.log.read_text()


def test_an_input_that_is_gone_is_named(fits: Fits) -> None:
    (fits.folder / "shifted.safetensors").unlink()
    assert fits.finish() == 1
    assert f"error: {fits.folder}/shifted.safetensors" in fits.log.read_text()
    assert fits.left() == []


logging.getLogger("craft").setLevel(logging.INFO)
