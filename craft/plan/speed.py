"""How fast this machine is at what fits and encodings do: measured here and now, in seconds.

Nothing is read but descriptions: weights are drawn at random at the architecture's real size, class
names where there is no manifest yet are the first of ImageNet's.
"""

from __future__ import annotations

import csv
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from craft.blackbox.backbone import architecture, complete, tokenizer_of
from craft.blackbox.preprocess import Preprocess
from craft.blackbox.prompts import PromptTokens
from craft.blackbox.text import TextTower
from craft.blackbox.text_weights import BLOCK, TextWeights
from craft.learner.losses import search_loss
from craft.learner.options import Options
from craft.learner.prompt import PromptGenerator
from craft.learner.refiner import Refiner, RefinerTrainer

log = logging.getLogger(__name__)

#: A larger text tower is not timed but extrapolated to, in proportion to its positions.
LARGEST = 1000
#: Width and height of a photograph to decode, about ImageNet's mean.
PHOTOGRAPH = (500, 375)


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


class Clock:
    """Times calls: processor time of this one thread, or wall time of a GPU that it waits for."""

    def __init__(self, device: str) -> None:
        self._cuda = device == "cuda"

    def now(self) -> float:
        """Seconds since some moment."""
        if self._cuda:
            torch.cuda.synchronize()
            return time.perf_counter()
        # What else runs on the machine now may not run then.
        return time.process_time()

    def seconds(self, call: Callable[[], Any], at_least: float = 0.2, most: int = 50) -> float:
        """Mean seconds of a call, after a first one that is not counted unless it takes long."""
        start = self.now()
        call()
        first = self.now() - start
        if first > 5 * at_least:
            return first
        start, count = self.now(), 0
        while count < most:
            call()
            count += 1
            if self.now() - start > at_least:
                break
        return (self.now() - start) / count


def line(small: tuple[float, float], large: tuple[float, float]) -> tuple[float, float]:
    """The line (a, b) through two measured points (x, seconds), neither part negative."""
    slope = max(0.0, (large[1] - small[1]) / (large[0] - small[0]))
    return max(0.0, small[1] - slope * small[0]), slope


def class_names(suite: Mapping[str, Any], dataset: str) -> list[str]:
    """Names of a data set's classes, or as many others where its manifest is not there yet."""
    manifest = Path(suite["results"]) / "manifests" / f"{dataset}.csv"
    if manifest.is_file():
        from craft.records import Manifest

        return list(Manifest.read(manifest).class_names().values())
    with open("config/imagenet_classes.csv", encoding="utf-8", newline="") as stream:
        known = list(dict.fromkeys(row["name"] for row in csv.DictReader(stream)))
    count = suite["facts"][dataset]["counts"]["classes"]
    return [f"{known[n % len(known)]}{'' if n < len(known) else n}" for n in range(count)]


def random_text(config: Mapping[str, Any]) -> TextWeights:
    """A text tower of an architecture with weights that mean nothing."""
    text, embed = config["text_cfg"], config["embed_dim"]
    width, heads, layers = text["width"], text["heads"], text["layers"]
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.empty(shape).uniform_(-0.05, 0.05, generator=generator)

    rows = {"qkv": 3 * width, "fc": 4 * width}
    columns = {"proj": 4 * width}
    tensors = {
        "token_embedding": draw(text["vocab_size"], width),
        "positional_embedding": draw(text["context_length"], width),
        "ln_final.weight": draw(width),
        "ln_final.bias": draw(width),
        "projection.weight": draw(embed, width),
    }
    for layer in range(layers):
        for name in BLOCK:
            part, kind = name.split(".")
            shape = [rows.get(part, width)]
            if kind == "weight" and not part.startswith("ln"):
                shape.append(columns.get(part, width))
            tensors[f"blocks.{layer}.{name}"] = draw(*shape)
    return TextWeights(tensors, layers, heads, 1e-5, "quick_gelu", "argmax", -1, 100.0, 0.01)


def measure(
    suite: Mapping[str, Any], backbones: Iterable[str], datasets: Sequence[str], device: str
) -> Speed:
    """Time what fits on ``datasets`` and encodings with ``backbones`` are made of."""
    clock = Clock(device)
    torch.set_num_threads(1)  # as fits have
    options = Options.resolve(suite["options"])
    facts = {name: complete(suite["backbone_facts"][name]) for name in backbones}
    text, gradient, done = {}, 0.0, {}
    for name, fact in facts.items():
        config = architecture(fact)
        key = json.dumps(config["text_cfg"])
        if key not in done:
            done[key] = _text(fact, config, suite, datasets, options.population, device, clock)
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
        image={name: _image(fact, device, clock) for name, fact in facts.items()},
        start=(_start("craft.fit"), _start("craft.evaluate")),
    )


def _text(
    fact: Mapping[str, Any],
    config: Mapping[str, Any],
    suite: Mapping[str, Any],
    datasets: Sequence[str],
    population: int,
    device: str,
    clock: Clock,
) -> tuple[dict[str, tuple[float, float]], float]:
    """Seconds of a context for each data set, and how much longer one with gradients takes."""
    weights, tokenizer = random_text(config), tokenizer_of(fact)
    towers = {
        name: TextTower.from_tokens(
            weights, PromptTokens.tokenise(tokenizer, class_names(suite, name)), device=device
        )
        for name in datasets
    }
    order = sorted(towers.values(), key=lambda tower: tower.positions)
    small = [tower for tower in order if tower.positions <= LARGEST] or order[:1]
    # The smallest, the largest that is quick, and two between: the others lie on the lines.
    picked = {round(n * (len(small) - 1) / 3) for n in range(4)}
    points = []
    with torch.no_grad():
        for tower in (small[n] for n in sorted(picked)):
            alone = clock.seconds(lambda t=tower: t.encode(_offsets(t, 1)))
            together = min(population, max(1, round(1.0 / alone)))
            each = clock.seconds(lambda t=tower, n=together: t.encode(_offsets(t, n))) / together
            points.append((tower.positions, alone, each))
    first = small[0]
    slow = clock.seconds(lambda: _backward(first))
    seconds = {name: _between(points, tower.positions) for name, tower in towers.items()}
    return seconds, slow / points[0][1]


def _offsets(tower: TextTower, count: int) -> torch.Tensor:
    return torch.zeros(count, tower.context_length, tower.context_width)


def _backward(tower: TextTower) -> None:
    offsets = _offsets(tower, 1).requires_grad_()
    tower.encode(offsets).sum().backward()


def _between(points: Sequence[tuple[int, float, float]], positions: int) -> tuple[float, float]:
    """Seconds at some number of positions; beyond the last point, in proportion."""
    beyond = max(1.0, positions / points[-1][0])
    at = [point[0] for point in points]
    alone, each = (
        float(np.interp(positions, at, [point[n] for point in points])) * beyond for n in (1, 2)
    )
    return alone, each


def _scores(
    options: Options, embed: int, device: str, clock: Clock
) -> tuple[tuple[float, float], tuple[float, float]]:
    """What a generation's scores and losses take, and what the refiner adds to that."""
    plain, refined = [], []
    for images, classes in ((10, 10), (100, 100)):
        text = torch.rand(options.population, classes, embed, device=device)
        features = torch.rand(images, embed, device=device)
        labels = torch.arange(images, device=device) % classes
        refiner = Refiner(classes, options, torch.Generator()).to(device)

        def search(refine: Callable | None, weight: float, *given: torch.Tensor) -> None:
            text, features, labels = given
            logits = (features @ text.flatten(0, 1).T).unflatten(1, (len(text), -1))
            logits = logits.transpose(0, 1)
            search_loss(
                logits,
                refine(logits) if refine else None,
                labels,
                weight=weight,
                direction=options.kl_search,
            )

        given = (text, features, labels)
        with torch.no_grad():
            short = clock.seconds(lambda g=given, f=search: f(None, 0.0, *g))
            long = clock.seconds(lambda g=given, f=search, r=refiner: f(r, 0.1, *g))
        plain.append((images * classes, short))
        refined.append((images * classes, max(0.0, long - short)))
    return line(*plain), line(*refined)


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
    widths = [architecture(fact)["text_cfg"]["width"] for fact in facts.values()]
    rng = np.random.default_rng(0)
    prompts = PromptGenerator(4, max(widths, default=512), 0.01, options, rng)

    def turn() -> None:
        offsets = prompts.ask()
        prompts.tell(offsets.square().sum(dim=(1, 2)))
        prompts.context()

    return clock.seconds(turn, at_least=2.0)


def _image(fact: Mapping[str, Any], device: str, clock: Clock) -> float:
    """Decoding a photograph and encoding it, by the visual half of a model without weights."""
    import open_clip

    config = architecture(fact)
    preprocess = Preprocess.of(fact["image"])
    with torch.device("meta"):
        # open_clip reads "meta" as a device name nowhere else.
        model = open_clip.CLIP(
            **{k: v for k, v in config.items() if k in ("embed_dim", "vision_cfg", "text_cfg")},
            quick_gelu=config.get("quick_gelu", False),
        )
    visual = model.visual.to_empty(device=device).eval()
    count = 4 if device == "cpu" else 64
    with torch.no_grad():
        for value in (*visual.parameters(), *visual.buffers()):
            value.fill_(0.01)
        batch = torch.rand(count, 3, preprocess.size, preprocess.size, device=device)
        encode = clock.seconds(lambda: visual(batch)) / count
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph.jpg"
        noise = np.random.default_rng(0).integers(0, 255, (25, 20, 3), dtype=np.uint8)
        Image.fromarray(noise).resize(PHOTOGRAPH).save(path)
        return encode + clock.seconds(lambda: preprocess.read(path))


def _start(module: str) -> float:
    """Processor seconds of a process that imports what a job does."""
    import resource

    command = [sys.executable, "-m", module, "--help"]
    subprocess.run(command, check=True, capture_output=True)  # byte code, file cache
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
