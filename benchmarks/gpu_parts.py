"""What a generation on a GPU is made of, each part alone: for ``python -m benchmarks.gpu``."""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks import measure
from benchmarks.scoring import unit_rows
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.learner import losses
from craft.learner.collaborative import refined_loss
from craft.learner.losses import cross_entropy
from craft.learner.options import Options
from craft.learner.prompt_search import PromptGenerator
from craft.learner.refiner import Refiner, RefinerTrainer

SIZES = {
    "EuroSAT": {"classes": 10, "images": 160, "budget": 8_000, "population": 40},
    "ImageNet": {"classes": 1_000, "images": 16_000, "budget": 8_000, "population": 40},
}
SMALL = {
    "EuroSAT": {"classes": 5, "images": 20, "budget": 16, "population": 8},
    "ImageNet": {"classes": 12, "images": 48, "budget": 16, "population": 8},
}
#: Sides of the square product whose rate the others are compared with.
SQUARE = 8_192
#: Bytes of a block of scores that are tried.
BLOCKS = (160 << 20, 640 << 20)


class Bench:
    """The problems, the clock and what was found so far."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given, self.device = given, torch.device(given.device)
        self.on_gpu = self.device.type == "cuda"
        self.started = time.perf_counter()
        self.rows: list[dict[str, Any]] = []
        self.sizes = SMALL if given.smoke else SIZES
        self.weights = measure.text_weights(None if given.smoke else "RN50-quickgelu")
        names = {
            "EuroSAT": measure.class_names()["EuroSAT"][: self.sizes["EuroSAT"]["classes"]],
            "ImageNet": measure.invented_names(self.sizes["ImageNet"]["classes"]),
        }
        self.prompts = {name: measure.tokens(each) for name, each in names.items()}
        self.width = self.weights.tensors["projection.weight"].shape[0]
        self.std = self.weights.embedding_std

    def note(self, step: str, **found: Any) -> None:
        """Print a result, and write all so far."""
        self.rows.append({"step": step, "at s": time.perf_counter() - self.started, **found})
        print(json.dumps(self.rows[-1]), flush=True)
        if self.given.json:
            result = {"weights": "random", "rows": self.rows}
            measure.write(result, self.given)

    def tower(self, name: str, dtype: str, device: Any = None, **choices: Any) -> TextTower:
        """Return the text tower of a problem."""
        return TextTower(
            self.weights,
            self.prompts[name],
            device=self.device if device is None else device,
            dtype=DTYPES[dtype],
            **choices,
        )

    def offsets(self, count: int, tower: TextTower) -> torch.Tensor:
        """Return offsets (P, L, D) of the size that CMA-ES starts with."""
        shape = (count, tower.context_length, tower.context_width)
        return self.std * torch.randn(shape, generator=torch.Generator().manual_seed(2))

    def problem(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return image features (N, E) and labels (N,) on the device."""
        size = self.sizes[name]
        labels = torch.arange(size["images"]) % size["classes"]
        return unit_rows(size["images"], self.width).to(self.device), labels.to(self.device)

    def seconds(self, run: Callable[[], Any], repeats: int = 3) -> float:
        """Return the median seconds of a call after one that warms up, the device awaited."""
        self.once(run)
        return float(np.median([self.once(run) for _ in range(repeats)]))

    def once(self, run: Callable[[], Any]) -> float:
        """Return the seconds of a first call, the device awaited."""
        self.wait()
        start = time.perf_counter()
        run()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Wait for the device."""
        if self.on_gpu:
            torch.cuda.synchronize(self.device)


@contextlib.contextmanager
def tf32(on: bool) -> Iterator[None]:
    """Let float32 products of a GPU take TF32's inputs, or not."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def rates(bench: Bench) -> None:
    """FLOP/s of a large product by type, and bytes/s of a copy."""
    side = 128 if bench.given.smoke else SQUARE
    for name, dtype, allowed in (
        ("float32", torch.float32, False),
        ("tf32", torch.float32, True),
        ("bfloat16", torch.bfloat16, False),
    ):
        left, right = torch.randn(2, side, side, device=bench.device).to(dtype)
        with tf32(allowed):
            taken = bench.seconds(lambda left=left, right=right: left @ right, 5)
        bench.note("rate", type=name, TFLOPs=2e-12 * side**3 / taken)
    large = torch.empty(side * side, device=bench.device)
    taken = bench.seconds(large.clone, 5)
    bench.note("rate", type="copy", GBs=2e-9 * 4 * side * side / taken)


def parity(bench: Bench) -> None:
    """Features and losses against the CPU's float32, one candidate at ImageNet's size."""
    for name, count in (("EuroSAT", 8), ("ImageNet", 1)):
        images, labels = bench.problem(name)
        reference = bench.tower(name, "float32", "cpu")
        offsets = bench.offsets(count, reference)
        torch.set_num_threads(bench.given.cpu_threads)
        exact = reference.encode(offsets)
        box = LocalBox(reference, {"train": images.cpu()})
        told = _losses(box, offsets, labels.cpu())
        torch.set_num_threads(bench.given.threads)
        for dtype, kernels, allowed in (
            ("float32", "plain", False),
            ("float32", "plain", True),
            ("bfloat16", "plain", True),
            ("bfloat16", "fused" if bench.on_gpu else "plain", False),
            ("bfloat16", "fused" if bench.on_gpu else "plain", True),
        ):
            with tf32(allowed):
                tower = bench.tower(name, dtype, kernels=kernels)
                found = tower.encode(offsets).cpu()
                box = LocalBox(tower, {"train": images})
                again = _losses(box, offsets, labels)
            bench.note(
                "parity",
                size=name,
                dtype=dtype,
                kernels=kernels,
                tf32=allowed,
                feature=(found - exact).abs().max().item(),
                loss=(again[0] - told[0]).abs().max().item(),
                **{"same argmax": (again[1] == told[1]).double().mean().item()},
            )


def _losses(
    box: LocalBox, offsets: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    blocks = list(box.predict("train", offsets))
    loss = torch.cat([cross_entropy(block, labels) for block in blocks])
    return loss.cpu(), torch.cat([block.argmax(dim=-1) for block in blocks]).cpu()


def text(bench: Bench) -> None:
    """Time the text forward of a population, by kernels and contexts that run together."""
    population = bench.sizes["ImageNet"]["population"]
    fused = "fused" if bench.on_gpu else "plain"
    for kernels, together in (("plain", population), (fused, population // 5), (fused, population)):
        rows = bench.tower("ImageNet", "bfloat16", "cpu").positions
        bound = 4 * rows * bench.weights.tensors["token_embedding"].shape[1] * 16 * together
        tower = bench.tower("ImageNet", "bfloat16", kernels=kernels, max_batch_bytes=bound)
        offsets = bench.offsets(population, tower).to(bench.device)
        with torch.no_grad():
            first = bench.once(lambda tower=tower, offsets=offsets: tower.encode(offsets))
            taken = bench.seconds(lambda tower=tower, offsets=offsets: tower.encode(offsets))
        work = 1e-12 * measure.operations(bench.weights, tower.positions) * population
        bench.note("text forward", kernels=kernels, together=together, **_taken(first, taken, work))


def scores(bench: Bench) -> None:
    """Scores and Eq. 5 of a population, text features at hand, by block and product."""
    images, labels = bench.problem("ImageNet")
    size, population = bench.sizes["ImageNet"], bench.sizes["ImageNet"]["population"]
    features = torch.nn.functional.normalize(
        torch.randn(population, size["classes"], bench.width, device=bench.device), dim=-1
    )
    options = Options.resolve({}, size["classes"])
    refiner = Refiner(size["classes"], options, torch.Generator().manual_seed(1)).to(bench.device)
    tower = bench.tower("ImageNet", "float32", kernels="plain")
    tower.encode = lambda offsets: features[: len(offsets)]  # type: ignore[method-assign]
    offsets = torch.zeros(population, tower.context_length, tower.context_width)
    work = 2 * population * size["images"] * size["classes"] * (bench.width + 2 * options.hidden)

    def loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return refined_loss(logits, target, refiner, 1e-4, options)

    for allowed, block in ((False, BLOCKS[-1]), *((True, each) for each in BLOCKS)):
        box = LocalBox(tower, {"train": images}, max_block_bytes=block)

        def generation(box: LocalBox = box) -> None:
            with torch.no_grad():
                for logits in box.predict("train", offsets):
                    losses.mean_over_images(loss, logits, labels)

        with tf32(allowed):
            first, taken = bench.once(generation), bench.seconds(generation)
        found = _taken(first, taken, 1e-12 * work)
        bench.note("scores and losses", tf32=allowed, **{"block MB": block / 2**20}, **found)


def _taken(first: float, taken: float, work: float) -> dict[str, float]:
    return {"first s": first, "generation ms": 1e3 * taken, "TFLOPs": work / taken}


def refinement(bench: Bench) -> None:
    """One generation's training of the refiner, and CMA-ES's own work."""
    for name, size in bench.sizes.items():
        _, labels = bench.problem(name)
        options = Options.resolve({}, size["classes"])
        generator = torch.Generator().manual_seed(1)
        refiner = Refiner(size["classes"], options, generator).to(bench.device)
        trainer = RefinerTrainer(refiner, options, generator)
        logits = torch.randn(size["images"], size["classes"], device=bench.device)

        def train(trainer: RefinerTrainer = trainer, *scored: torch.Tensor) -> None:
            trainer.train(*scored, weight=1e-4)

        run = functools.partial(train, trainer, logits, labels)
        if bench.on_gpu:  # as the processor would launch it, kernel by kernel
            recorded, trainer._recorded = trainer._recorded, None
            bench.note("refiner", size=name, recorded=False, **{"ms": 1e3 * bench.seconds(run)})
            trainer._recorded = recorded
        bench.note("refiner", size=name, recorded=bench.on_gpu, **{"ms": 1e3 * bench.seconds(run)})
    for covariance in ("full", "diagonal"):
        spent = _cma_es(covariance, 3 if bench.given.smoke else 30)
        bench.note("CMA-ES", covariance=covariance, **spent)


def _cma_es(covariance: str, generations: int) -> dict[str, float]:
    """Return the mean milliseconds of CMA-ES's own work at the paper's size."""
    options = Options.resolve({"covariance": covariance})
    rng = np.random.Generator(np.random.PCG64(1))
    prompts = PromptGenerator(4, 512, 0.01, options, rng)
    spent: dict[str, list[float]] = {"ask": [], "tell": []}
    with threadpool_limits(1, user_api="blas"):  # as craft.fit has it
        for _ in range(generations):
            start = time.perf_counter()
            offsets = prompts.ask().context
            spent["ask"].append(time.perf_counter() - start)
            told = offsets.square().sum(dim=(1, 2))
            start = time.perf_counter()
            prompts.tell(told)
            spent["tell"].append(time.perf_counter() - start)
    return {f"{name} ms": 1e3 * float(np.mean(each)) for name, each in spent.items()}
