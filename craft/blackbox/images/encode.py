"""Encode images on all cores of a job, to the same bytes for any number of cores.

Each worker takes a whole batch, decodes it and encodes it on one core. No worker waits for another,
and no sum is split among threads: the number of workers cannot change a feature.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from craft.blackbox.images.partial import Batch, Shards
from craft.blackbox.images.preprocess import Preprocess
from craft.data.fingerprint import fingerprint
from craft.data.rgb import ImageError
from craft.files.atomic import RecordError
from craft.files.datasets import Image
from craft.runtime.progress import Progress

#: Kind of copies -> number that seeds its random numbers.
_STREAMS: dict[str, list[int]] = {"view": [], "crop": [1], "cutout": [2]}


@dataclass(frozen=True)
class Pictures:
    """Images of one part with their positions in it, as the model sees them.

    View 0 is the one that is tested, others are copies of a ``kind`` (image_features.COPIES):
    "end" are the two ends of the long side, others are drawn, each kind apart. A copy depends on
    the view and the image's position alone, not on what else is selected.
    """

    images: Sequence[tuple[int, Image]]
    folder: Path
    preprocess: Preprocess
    view: int = 0
    reading: str = "stored"  # one of craft.data.rgb
    kind: str = "view"

    def read(self, number: int) -> np.ndarray:
        """Image ``number`` as (size, size, 3) uint8; raises ImageError."""
        position, image = self.images[number]
        path = self.folder / image.path
        if self.kind == "end":
            return self.preprocess.read_end(path, self.view, self.reading)
        stream = [self.view, position, *_STREAMS[self.kind]]
        rng = np.random.Generator(np.random.PCG64(stream)) if self.view else None
        if rng and self.kind == "cutout":
            return self.preprocess.read_cutout(path, rng, self.reading)
        return self.preprocess.read(path, rng, self.reading)

    def stamp(self, first: int, last: int) -> str:
        """Return the state on disk of images ``first`` to ``last`` - 1."""
        paths = (image.path for _, image in self.images[first:last])
        return fingerprint(self.folder, paths)[:16]

    def newest(self, first: int, last: int) -> Path:
        """Return the file of images ``first`` to ``last`` - 1 that is gone, or changed last."""
        paths = [self.folder / image.path for _, image in self.images[first:last]]
        return max(paths, key=lambda path: path.stat().st_mtime if path.exists() else math.inf)


class Encoder:
    """A frozen image tower on its device: uint8 images -> unit features and raw norms."""

    def __init__(
        self, model: nn.Module, preprocess: Preprocess, device: torch.device | str = "cpu"
    ) -> None:
        # Decoded images are channels last; weights that are so too are not reordered at each call.
        self.model = model.to(memory_format=torch.channels_last)
        self.preprocess, self.device = preprocess, device
        # Workers encode in parallel on a CPU; another device has memory for one batch at a time.
        alone = torch.device(device).type != "cpu"
        self._turn = threading.Lock() if alone else contextlib.nullcontext()

    @torch.no_grad()
    def __call__(self, pixels: np.ndarray) -> Batch:
        """(B, size, size, 3) -> (B, E) and (B,) float32.

        Raises RecordError for features that are not finite, or zero.
        """
        images = self.preprocess.normalise(pixels)
        with self._turn:
            raw = self.model.encode_image(images.to(self.device)).float().cpu()  # (B, E)
        norms = raw.norm(dim=1)
        if not (torch.isfinite(raw).all() and (norms > 0).all()):
            raise RecordError("features are not finite")
        return (raw / norms[:, None]).numpy(), norms.numpy()


def batch_size(size: int, device: torch.device | str = "cpu") -> int:
    """Images of ``size`` x ``size`` pixels that are encoded together.

    On a CPU as few as keep a core's activations near its caches: ResNet-50 takes 0.20 s of a core
    for an image by 8, and 0.28 s by 64. The features' last bits depend on it.
    """
    if torch.device(device).type != "cpu":
        return 128
    return max(4, min(64, 450_000 // size**2))


def encode(
    encoder: Callable[[np.ndarray], Batch],
    pictures: Pictures,
    *,
    batch_size: int,
    workers: int = 1,
    shards: Shards | None = None,
    keep_every: float = 10.0,
    what: str = "images",
) -> Batch:
    """Return unit features (N, E) and raw norms (N,) of all pictures; a batch per worker in memory.

    Every batch has ``batch_size`` rows, the last one filled up: a sum's order may depend on their
    number, and so the last bits of an image's features on what else is encoded. Batches begin at
    multiples of ``batch_size``, after an interruption too: ``shards`` keeps them. New ones are
    added to it every ``keep_every`` seconds, and when an error or a signal ends the work early.
    ``what`` names the pictures in the lines of progress. Raises ImageError naming every unreadable
    file, RecordError for features that are not finite and for files that changed meanwhile.
    """
    total = len(pictures.images)
    firsts = range(0, total, batch_size)
    stamps = {first: pictures.stamp(first, first + batch_size) for first in firsts}
    done = shards.read(stamps.__getitem__) if shards else {}
    encoded = sum(len(norms) for _, norms in done.values())
    broken = threading.Event()

    def work(first: int) -> Batch | list[str]:
        images, problems = [], []
        last = min(first + batch_size, total)
        for number in range(first, last):
            try:
                images.append(pictures.read(number))
            except ImageError as error:
                problems.append(str(error))
                broken.set()
        if broken.is_set():  # no file will come of it: look for what else is broken
            return problems
        read = len(images)
        images += images[-1:] * (batch_size - read)
        try:
            features, norms = encoder(np.stack(images))
            return features[:read], norms[:read]
        except RecordError as error:
            raise RecordError(f"images {first}..{last - 1}: {error}") from error

    new: dict[int, Batch] = {}
    problems: dict[int, list[str]] = {}
    kept_at = time.monotonic()
    jobs: dict[int, Future[Batch | list[str]]] = {}
    pool, ended = ThreadPoolExecutor(workers), queue.SimpleQueue()
    try:
        for first in firsts:
            if first not in done:
                jobs[first] = pool.submit(work, first)
                jobs[first].add_done_callback(lambda _, first=first: ended.put(first))
        with Progress(f"encoding of {what}", total, "images", done=encoded) as progress:
            for _ in range(len(jobs)):
                first = ended.get()
                result = jobs[first].result()
                if isinstance(result, list):
                    problems[first] = result
                    continue
                done[first] = new[first] = result
                encoded += len(result[1])
                # Batches that finished while the last shard was written share the next one.
                due = ended.empty() and time.monotonic() - kept_at >= keep_every
                if shards and due and encoded < total:
                    shards.write(new, stamps)
                    new, kept_at = {}, time.monotonic()
                progress.reach(encoded)
        if unreadable := [problem for first in sorted(problems) for problem in problems[first]]:
            raise ImageError("\n".join([f"{len(unreadable)} images cannot be read", *unreadable]))
        for first in firsts:
            if pictures.stamp(first, first + batch_size) != stamps[first]:
                changed = pictures.newest(first, first + batch_size)
                raise RecordError(f"{changed}: changed or deleted while the images were encoded")
    except BaseException:
        pool.shutdown(cancel_futures=True)  # waits for the batches in hand
        new |= {first: batch for first in jobs.keys() - done.keys() if (batch := _of(jobs[first]))}
        if shards and new:
            shards.write(new, stamps)
        raise
    pool.shutdown()
    features, norms = (np.concatenate([done[first][n] for first in firsts]) for n in (0, 1))
    return features, norms


def _of(job: Future[Batch | list[str]]) -> Batch | None:
    """Return the batch of a job that has ended, None for one that was not begun or has none."""
    if job.cancelled() or job.exception() or isinstance(job.result(), list):
        return None
    return job.result()
