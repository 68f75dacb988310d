"""CraFT on a GPU: ``python -m benchmarks.gpu --json FILE``, three minutes of one H100.

What a generation is made of at ImageNet's size (1,000 classes, 16,000 images, 40 candidates; RN50's
text tower with random weights) in the ways that it can be run, whole runs of 8,000 queries there
and at EuroSAT's size, parity with the CPU, and the kernels by time. Each result is printed and
written when it is there; after ``--limit`` seconds no further step starts. ``--device cpu --smoke``
runs the same code on small problems.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks import gpu_parts as parts
from benchmarks import measure
from benchmarks.gpu_parts import Bench, tf32
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.learner.collaborative import Collaborative
from craft.learner.prompt_search import PromptGenerator
from craft.learner.refiner import RefinerTrainer


def whole(bench: Bench, name: str) -> None:
    """Time a whole run of CraFT, after one generation that sets everything up."""
    images, labels = bench.problem(name)
    size, given = bench.sizes[name], bench.given
    with tf32(True), threadpool_limits(1, user_api="blas"):  # as craft.fit has it
        start = time.perf_counter()
        tower = bench.tower(name, given.dtype)
        box = LocalBox(tower, {"train": images})
        _run(bench, name, box, labels, 1)
        bench.wait()
        first = time.perf_counter() - start
        if bench.on_gpu:
            torch.cuda.reset_peak_memory_stats(bench.device)
        start = time.perf_counter()
        generations = size["budget"] // size["population"]
        learner = _run(bench, name, box, labels, generations)  # ends by reading numbers
        wall = time.perf_counter() - start
        peak = torch.cuda.max_memory_allocated(bench.device) if bench.on_gpu else 0
        work = measure.operations(bench.weights, tower.positions) + 2 * size["images"] * size[
            "classes"
        ] * (bench.width + 2 * learner.options.hidden)
        bench.note(
            "whole run",
            size=name,
            queries=size["budget"],
            **{"first generation s": first, "run s": wall, "generations per s": generations / wall},
            **{"TFLOPs": 1e-12 * work * size["budget"] / wall, "peak GB": peak / 2**30},
        )
        _host(bench, name, box, labels)
        if name == "ImageNet":
            _profile(bench, box, labels)


def _run(
    bench: Bench, name: str, box: LocalBox, labels: torch.Tensor, generations: int
) -> Collaborative:
    population = bench.sizes[name]["population"]
    learner = Collaborative(budget=generations * population, population=population)
    return learner.fit(box, labels, seed=1)


def _host(bench: Bench, name: str, box: LocalBox, labels: torch.Tensor) -> None:
    """Where the processor spends a generation, waits for the device included."""
    generations = 2 if bench.given.smoke else 30
    spent = {"scores, losses and waits": 0.0}
    watched = [
        (TextTower, "encode", "text forward, launched"),
        (PromptGenerator, "ask", "ask"),
        (PromptGenerator, "tell", "tell"),
        (PromptGenerator, "chosen", "context"),
        (RefinerTrainer, "train", "refiner, launched"),
        (Collaborative, "fit", "scores, losses and waits"),
    ]
    with contextlib.ExitStack() as stack:
        for cls, method, part in watched:
            stack.enter_context(measure.stopwatch(cls, method, part, spent))
        learner = _run(bench, name, box, labels, generations)
    by_part = {part: 1e3 * value / generations for part, value in spent.items()}
    bench.note("processor", size=name, **{"generation ms": by_part})
    bench.note("again", size=name, **_again(bench, name, box, labels, learner, generations))


def _again(
    bench: Bench,
    name: str,
    box: LocalBox,
    labels: torch.Tensor,
    first: Collaborative,
    generations: int,
) -> dict[str, bool]:
    """Whether a second run, and one that resumes half of it, end in the bits of the first."""
    population, kept = bench.sizes[name]["population"], []

    def keep(learner: Any) -> None:
        if learner.generations_ == generations // 2:
            checkpoint = learner.checkpoint()
            tensors = {key: value.cpu().clone() for key, value in checkpoint.tensors.items()}
            kept.append(replace(checkpoint, tensors=tensors, history=list(checkpoint.history)))

    found = {}
    for way in ("same bits", "same bits resumed"):
        learner = Collaborative(budget=generations * population, population=population)
        if way.endswith("resumed"):
            learner.resume(kept[0])
        learner.fit(box, labels, seed=1, progress=keep)
        same = all(torch.equal(v, learner.state()[key]) for key, v in first.state().items())
        found[way] = same and first.history_ == learner.history_
    return found


def _profile(bench: Bench, box: LocalBox, labels: torch.Tensor) -> None:
    """Kernels of three generations by time."""
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(
        activities=[activity.CUDA if bench.on_gpu else activity.CPU]
    ) as profiler:
        _run(bench, "ImageNet", box, labels, 3)
        bench.wait()
    key = "self_device_time_total" if bench.on_gpu else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda event: -getattr(event, key))
    total = sum(getattr(event, key) for event in events)
    for event in events[:20]:
        spent = getattr(event, key)
        found = {"generation ms": spent / 3e3, "share": spent / total}
        bench.note("kernel", name=event.key[:120], calls=event.count / 3, **found)
    bench.note("kernels", **{"generation ms": total / 3e3})


STEPS: dict[str, Callable[[Bench], None]] = {
    "rates": parts.rates,
    "ImageNet": functools.partial(whole, name="ImageNet"),
    "EuroSAT": functools.partial(whole, name="EuroSAT"),
    "parity": parts.parity,
    "text": parts.text,
    "scores": parts.scores,
    "refinement": parts.refinement,
}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure on one device; returns what is written as JSON. Exits where there is no device."""
    parser = measure.parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="of whole runs")
    parser.add_argument("--limit", type=float, default=240, help="seconds; then no step starts")
    parser.add_argument("--cpu-threads", type=int, default=8, help="of the CPU's own forward")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "no CUDA device is here: nothing was measured\n")
    torch.set_num_threads(given.threads)
    bench = Bench(given)
    for name in given.steps:
        if time.perf_counter() - bench.started > given.limit:
            bench.note("out of time", left=name)
            break
        STEPS[name](bench)
    return {"rows": bench.rows}


if __name__ == "__main__":
    main()
