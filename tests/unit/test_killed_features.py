"""The command that caches features, killed or told to end at several moments, and run again."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as Pillow

from craft.blackbox.images import __main__ as images
from craft.blackbox.images.encode import Encoder
from craft.blackbox.images.partial import Shards
from craft.files.atomic import read_tensors
from craft.files.datasets import Image, Manifest
from craft.files.image_features import Features
from craft.runtime.command import run_command
from craft.runtime.signals import ENDED
from tests.unit.test_images import noise, suite  # noqa: F401

TOTAL, BATCH, WORKERS = 40, 2, 3


@pytest.fixture
def many(suite: Path) -> Path:  # noqa: F811
    """The data set of test_images.py with forty images."""
    for n in range(TOTAL):
        Pillow.fromarray(noise(40, 50, seed=n)).save(suite / "data" / "images" / f"{n}.png")
    rows = (Image(f"{n}.png", n % 2, "ab"[n % 2], "test") for n in range(TOTAL))
    Manifest(tuple(rows)).write(suite / "m.csv")
    return suite


def command(folder: Path, out: str, workers: int, keep_every: float) -> None:
    """Cache the features; every batch that is encoded leaves a byte in the file ``OUT.count``."""
    sys.stderr = (folder / f"{out}.log").open("a", buffering=1)
    whole = Encoder.__call__

    def counted(self: Encoder, pixels: object) -> object:
        with (folder / f"{out}.count").open("ab") as stream:
            stream.write(b".")
        time.sleep(0.03)  # long enough to be killed in
        return whole(self, pixels)

    Encoder.__call__ = counted
    given = (
        f"--backbone {folder}/b.yaml --weights {folder}/b.safetensors --manifest {folder}/m.csv "
        f"--root {folder}/data --dataset {folder}/d.yaml --part test --out {folder}/{out} "
        f"--batch-size {BATCH} --threads {workers} --keep-every {keep_every}"
    )
    run_command(lambda: images.main(given.split()))


def started(
    folder: Path, out: str, workers: int = WORKERS, keep_every: float = 0
) -> multiprocessing.Process:
    # Forked, since importing all of it anew takes longer than the test.
    process = multiprocessing.get_context("fork").Process(
        target=command, args=(folder, out, workers, keep_every)
    )
    process.start()
    return process


def killed_when(
    process: multiprocessing.Process, moment: Callable[[], bool], by: int = signal.SIGKILL
) -> None:
    deadline = time.monotonic() + 60
    while not moment():
        assert process.is_alive() and time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, by)
    process.join()


def finished(process: multiprocessing.Process) -> None:
    process.join(60)
    assert process.exitcode == 0


def kept(folder: Path) -> list[int]:
    """First positions of the batches that shards hold, as often as they do."""
    metadata = [read_tensors(path)[1] for path in folder.glob("*.safetensors")]
    return sorted(first for entry in metadata for first in entry["firsts"])


def test_killed_again_and_again_it_ends_in_the_same_bytes(many: Path) -> None:
    finished(started(many, "whole.safetensors", 1))
    out = many / "out.safetensors"
    shards = Shards(out, {}).folder
    before: list[int] = []
    for more in (1, 5, 6):
        process = started(many, out.name)
        goal = len(before) + more
        killed_when(process, lambda goal=goal: len(kept(shards)) >= goal)
        assert not out.exists()
        # What was kept still is, and nothing is there twice.
        assert set(before) < set(kept(shards)) and len(set(kept(shards))) == len(kept(shards))
        before = kept(shards)
    count = many / f"{out.name}.count"
    encoded = count.stat().st_size
    finished(started(many, out.name))
    assert count.stat().st_size - encoded == TOTAL // BATCH - len(before)
    assert out.read_bytes() == (many / "whole.safetensors").read_bytes()
    assert not shards.exists()


def test_told_to_end_it_keeps_every_batch_and_says_so_in_a_line(many: Path) -> None:
    out = many / "out.safetensors"
    shards, count = Shards(out, {}).folder, many / f"{out.name}.count"
    # Nothing is kept on its way: what is there in the end was written because of the signal.
    process = started(many, out.name, keep_every=60)
    met = lambda: count.exists() and count.stat().st_size >= 5  # noqa: E731
    killed_when(process, met, by=signal.SIGTERM)
    assert process.exitcode == ENDED
    said = (many / f"{out.name}.log").read_text()
    assert said == f"ended by SIGTERM; what is encoded is kept in {shards}\n"
    # Also the batches that the workers had in hand.
    assert 5 <= len(kept(shards)) == count.stat().st_size < TOTAL // BATCH
    assert not out.exists()
    finished(started(many, out.name))
    assert count.stat().st_size == TOTAL // BATCH
    assert Features.read(out).features.shape == (TOTAL, 8)


def test_killed_when_the_features_are_there_but_the_shards_still_too(
    many: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = many / "out.safetensors"
    monkeypatch.setattr(Shards, "drop", lambda self: time.sleep(60))
    process = started(many, out.name)
    killed_when(process, out.exists)
    monkeypatch.undo()
    content, folder = out.read_bytes(), Shards(out, {}).folder
    assert kept(folder)
    finished(started(many, out.name))
    assert out.read_bytes() == content and not folder.exists()


def test_two_that_write_the_same_file_take_turns(many: Path) -> None:
    out = many / "out.safetensors"
    folder = Shards(out, {}).folder
    first = started(many, out.name)
    while not folder.exists():
        time.sleep(0.001)
    second = started(many, out.name)
    killed_when(first, lambda: len(kept(folder)) >= 8)
    finished(second)
    # The second one found what the first one left.
    assert (many / f"{out.name}.count").stat().st_size < 2 * (TOTAL // BATCH)
    assert Features.read(out).features.shape == (TOTAL, 8) and not folder.exists()
