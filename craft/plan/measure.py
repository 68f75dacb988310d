"""How fast this machine is at what fits and encodings do: measured here and now, in seconds.

Nothing is read but descriptions: weights are drawn at random at the architecture's real size, class
names where there is no manifest yet are the first of ImageNet's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from craft.blackbox.backbones.description import architecture, complete
from craft.learner.losses import search_loss
from craft.learner.options import Options
from craft.learner.prompt_search import PromptGenerator
from craft.learner.refiner import Refiner, RefinerTrainer
from craft.plan.random_models import TEXT, image_seconds, text_seconds
from craft.plan.stopwatch import Clock


@dataclass(frozen=True)
class Speed:
    """Seconds. A line (a, b) is a + b x.

    ``text``: backbone -> data set -> (one context alone, one of a population). ``gradient``: a
    training step's share of one context alone. ``search``, ``scored``: lines over images x classes
    of what a generation of ``population`` contexts takes beside its text, and beyond that where
    scores are refined. ``step``: line over images x classes of a refiner's step. ``image``:
    backbone -> one image. ``start``: a process that computes, and one that does not.
    """

    machine: str
    population: int
    text: Mapping[str, Mapping[str, tuple[float, float]]]
    gradient: float
    generation: float
    search: tuple[float, float]
    scored: tuple[float, float]
    step: tuple[float, float]
    image: Mapping[str, float]
    start: tuple[float, float]

    def to_json(self) -> str:
        """As one line of JSON."""
        return json.dumps(asdict(self))


def line(small: tuple[float, float], large: tuple[float, float]) -> tuple[float, float]:
    """The line (a, b) through two measured points (x, seconds), neither part negative."""
    slope = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
    return max(0.0, small[1] - slope * small[0]), slope


def measure(
    suite: Mapping[str, Any], backbones: Iterable[str], datasets: Sequence[str], device: str
) -> Speed:
    """Time what fits on ``datasets`` and encodings with ``backbones`` are made of."""
    clock = Clock(device)
    torch.set_num_threads(1)  # a fit with more of them has as much to do
    plain = {
        name: value
        for name, value in suite["options"].items()
        if name != "released" and not isinstance(value, Mapping)
    }
    options = Options.resolve(plain)
    facts = {name: complete(suite["backbone_facts"][name]) for name in backbones}
    text, gradient, done = {}, 0.0, {}
    for name, fact in facts.items():
        config = architecture(fact)
        key = json.dumps(config["text_cfg"])
        if key not in done:
            done[key] = text_seconds(
                fact, config, suite, datasets, options.population, device, clock
            )
        text[name], gradient = done[key]
    embed = max((architecture(fact)["embed_dim"] for fact in facts.values()), default=512)
    search, scored = _scores(options, embed, device, clock)
    return Speed(
        machine=torch.cuda.get_device_name() if device == "cuda" else "one core",
        population=options.population,
        text=text,
        gradient=gradient,
        generation=_generation(options, facts, clock),
        search=search,
        scored=scored,
        step=_step(options, device, clock),
        image={name: image_seconds(fact, device, clock) for name, fact in facts.items()},
        start=(_start("craft.fit"), _start("craft.evaluation.score")),
    )


def _scores(
    options: Options, embed: int, device: str, clock: Clock
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What a generation's scores and losses take, and what the refiner adds to that."""
    plain, refined = [], []
    for images, classes in ((10, 10), (100, 100)):
        sizes = (
            torch.rand(images, embed, device=device),
            torch.rand(options.population, classes, embed, device=device),
            torch.arange(images, device=device) % classes,
        )
        refiner = Refiner(classes, options, torch.Generator()).to(device)
        with torch.no_grad():
            short = clock.seconds(lambda s=sizes: _score(*s, options))
            long = clock.seconds(lambda s=sizes, r=refiner: _score(*s, options, r))
        plain.append((images * classes, short))
        refined.append((images * classes, max(0.0, long - short)))
    return line(*plain), line(*refined)


def _score(
    features: torch.Tensor,
    text: torch.Tensor,
    labels: torch.Tensor,
    options: Options,
    refiner: Refiner | None = None,
) -> None:
    """Features (N, E), text (P, K, E): logits as a box makes them, and Eq. 5 on them."""
    logits = (features @ text.flatten(0, 1).T).unflatten(1, (len(text), -1)).transpose(0, 1)
    refined = None if refiner is None else refiner(logits)
    weight = 0.0 if refiner is None else 0.1
    search_loss(logits, refined, labels, weight=weight, direction=options.kl_search)


def _step(options: Options, device: str, clock: Clock) -> tuple[float, float]:
    points = []
    for images, classes in ((10, 10), (min(256, options.batch_size), 200)):
        refiner = Refiner(classes, options, torch.Generator()).to(device)
        trainer = RefinerTrainer(refiner, options, torch.Generator())
        logits = torch.rand(images, classes, device=device)
        labels = torch.arange(images, device=device) % classes
        seconds = clock.seconds(lambda t=trainer, x=logits, y=labels: t.train(x, y, weight=0.1))
        points.append((images * classes, seconds / options.passes))
    return line(*points)


def _generation(options: Options, facts: Mapping[str, Any], clock: Clock) -> float:
    """Ask and tell of CMA-ES, with its updates of the covariance in between."""
    widths = [(TEXT | architecture(fact)["text_cfg"])["width"] for fact in facts.values()]
    rng = np.random.default_rng(0)
    prompts = PromptGenerator(4, max(widths, default=512), 0.01, options, rng)

    def turn() -> None:
        offsets = prompts.ask()
        prompts.tell(offsets.square().sum(dim=(1, 2)))
        prompts.context()

    return clock.seconds(turn, at_least=2.0)


def _start(module: str) -> float:
    """Processor seconds of a process that imports what a job does."""
    command = [sys.executable, "-m", module, "--help"]
    subprocess.run(command, check=True, capture_output=True)  # byte code, file cache
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
