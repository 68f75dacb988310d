"""What HTTP adds: ``python -m benchmarks.service``, on the loopback, a process on each side.

A population of 40 at EuroSAT's size (10 class names, 160 images, RN50's text tower with random
weights) in this process and through a service, in turns. Then one answer at ImageNet's size (40
contexts, 16,000 images, 1,000 classes, made-up text features): what it takes of either side's
memory beside model and image features.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import uvicorn

from benchmarks import measure
from benchmarks.scoring import MadeUpTower, unit_rows
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.client.box import HttpBox
from craft.protocol import BlackBox
from craft.runtime.memory import peak_memory_mb
from craft.service import keys
from craft.service.database import Database
from craft.service.limits import Limits
from craft.service.metrics import Metrics
from craft.service.model import Task
from craft.service.service import Service
from craft.service.start import config
from craft.service.tasks import OWNER, store

EUROSAT = {"population": 40, "images": 160, "features": 1_024}
IMAGENET = {"population": 40, "images": 16_000, "features": 1_024, "classes": 1_000}
SMALL = {"population": 4, "images": 30, "features": 32, "classes": 50}


def tower_of(part: str, smoke: bool) -> tuple[Any, dict[str, int]]:
    """Return the text tower of a part and its size."""
    if part == "memory":
        size = SMALL if smoke else IMAGENET
        return MadeUpTower(size["classes"], size["features"]), size
    size = SMALL if smoke else EUROSAT
    weights = measure.text_weights(None if smoke else "RN50")
    names = measure.class_names()["EuroSAT"]
    return TextTower(weights, measure.tokens(names)), size


class OneTower:
    """What a service asks of a model, where there is one task."""

    revision, name, image, device = "random", "random", {}, torch.device("cpu")

    def __init__(self, tower: Any, features: int, threads: int) -> None:
        self._tower, self.threads, self.feature_width = tower, threads, features
        self.embedding_std, self.logit_scale = tower.embedding_std, tower.logit_scale
        self.described = {"name": "random", "revision": "random", "image": {}}
        self.described |= {"weights_sha256": "random"}
        self.described |= {"embedding_std": tower.embedding_std}
        self.described |= {"context_width": tower.context_width}

    def tower(self, task: Task) -> Any:
        """Return the tower, whatever the task."""
        del task
        return self._tower


def _serve(part: str, smoke: bool, threads: int) -> None:
    """Serve until standard input ends; say where, and then what it took."""
    tower, size = tower_of(part, smoke)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "keys.sqlite")
        model: Any = OneTower(tower, size["features"], threads)
        service = Service(model, database, Limits(), Metrics())
        task = Task(tuple(tower.class_names), "a photo of a {}.")
        store(database, OWNER, "task", task, tower.context_length, 1)
        images = unit_rows(size["images"], size["features"])
        batch = images.numpy(), images.norm(dim=1).numpy()
        service.image_sets.keep(OWNER, "train", "made up", batch)
        service.image_sets.features(service.image_sets.find(OWNER, "train"))
        del images, batch
        key = keys.add(database, "client")
        opened = socket.socket()
        opened.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config(service))
        before = peak_memory_mb()
        url = f"http://127.0.0.1:{opened.getsockname()[1]}"
        opened.listen()
        print(json.dumps({"url": url, "key": key}), flush=True)
        run = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        run.start()
        sys.stdin.read()
        server.should_exit = True
        run.join()
        print(json.dumps({"peak MB": peak_memory_mb() - before}), flush=True)


@contextlib.contextmanager
def serving(part: str, smoke: bool, threads: int) -> Iterator[SimpleNamespace]:
    """Serve in a child; yields address and key, and at the end what it took of memory."""
    command = [sys.executable, "-m", "benchmarks.service", "--threads", str(threads)]
    command += ["--part", f"serve-{part}", *["--smoke"] * smoke]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment) as child:
        found = SimpleNamespace(**json.loads(child.stdout.readline()))
        yield found
        child.stdin.close()
        found.peak = json.loads(child.stdout.readline())["peak MB"]


def _client(url: str, key: str, smoke: bool) -> dict[str, float]:
    """Take an answer block by block; return what it took of memory."""
    size = SMALL if smoke else IMAGENET
    box = HttpBox(url, key, task="task")
    offsets = torch.zeros(size["population"], box.context_length, box.context_width)
    before, contexts = peak_memory_mb(), 0
    taken = measure.seconds(
        lambda: [len(block) for block in box.predict("train", offsets)],
    )
    contexts = box.meter.total
    assert contexts == size["population"]
    return {"peak MB": peak_memory_mb() - before, **taken}


def _ask(box: BlackBox, offsets: torch.Tensor, scores: dict[str, torch.Tensor], name: str) -> None:
    scores[name] = torch.cat(list(box.predict("train", offsets)))


def overhead(smoke: bool, threads: int, turns: int) -> dict[str, Any]:
    """Return the least seconds of a population here and through a service, in turns."""
    tower, size = tower_of("overhead", smoke)
    here = LocalBox(tower, {"train": unit_rows(size["images"], size["features"])})
    generator = torch.Generator().manual_seed(1)
    shape = (size["population"], tower.context_length, tower.context_width)
    spent: dict[str, list[float]] = {"here": [], "HTTP": []}
    with serving("overhead", smoke, threads) as service:
        there = HttpBox(service.url, service.key, task="task")
        for turn in range(turns + 1):
            offsets = tower.embedding_std * torch.randn(shape, generator=generator)
            scores: dict[str, torch.Tensor] = {}
            for name, box in (("here", here), ("HTTP", there)):
                taken = measure.seconds(functools.partial(_ask, box, offsets, scores, name))
                if turn:  # the first one warms up both
                    spent[name].append(taken["wall"])
            assert torch.equal(scores["here"], scores["HTTP"])
    least = {name: min(values) for name, values in spent.items()}
    return {f"{name}, s": value for name, value in least.items()} | {
        "longer by": least["HTTP"] / least["here"] - 1,
        "limit": 0.1,
    }


def memory(smoke: bool, threads: int) -> dict[str, Any]:
    """Return what an answer at ImageNet's size takes of either side."""
    with serving("memory", smoke, threads) as service:
        options = ["--part", "client", "--url", service.url, "--key", service.key]
        taken = measure.child("benchmarks.service", threads, [*options, *["--smoke"] * smoke])
    size = SMALL if smoke else IMAGENET
    whole = 4 * size["population"] * size["images"] * size["classes"] / 2**20
    return {
        "answer, MB": whole,
        "server, MB": service.peak,
        "client, MB": taken["peak MB"],
        "limit": 1024,
        "seconds": taken["wall"],
    }


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure both parts and report; returns what is written as JSON."""
    parser = measure.parser(__doc__)
    parser.add_argument("--url", help="where the child's server is")
    parser.add_argument("--key", help="its key, of this run alone")
    parser.add_argument("--turns", type=int, default=5, help="populations on each side")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.part == "client":
        print(json.dumps(_client(given.url, given.key, given.smoke)))
        return {}
    if given.part:
        _serve(given.part.removeprefix("serve-"), given.smoke, given.threads)
        return {}
    result = {
        "overhead": overhead(given.smoke, given.threads, 1 if given.smoke else given.turns),
        "memory": memory(given.smoke, given.threads),
    }
    rows = [{"part": part, **figures} for part, figures in result.items()]
    measure.report(result, rows, given)
    return result | {"rows": rows}


if __name__ == "__main__":
    main()
