"""What runs and encodings cost, from the design's counts and this machine's speed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from craft.design.runs import Design, Run
from craft.learner.base import Learner
from craft.plan.measure import Speed

#: Bytes of a run's records and history, and of a line of a manifest or of a feature's path.
_RECORDS, _PATH = 25_000, 60


@dataclass(frozen=True)
class Cost:
    """What some of the work takes; costs add up."""

    search: int = 0  # queries that the paper counts
    other: int = 0  # queries to refine, and to predict the test images
    seconds: float = 0.0  # of one core, or of a GPU
    bytes: int = 0  # kept on disk

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))


def tests(facts: Mapping[str, Any], dataset: str) -> int:
    """Test images of a data set."""
    return facts[dataset]["counts"]["test"]


def points(learner: Learner, search: int) -> int:
    """Points of its run at which the test images are predicted, the last one included."""
    options = learner.options
    return min(options.curve_points, options.generations) if search and options.curve_points else 1


def of_run(run: Run, learner: Learner, design: Design, embed: int, speed: Speed) -> Cost:
    """One fit, without the start of its process; ``embed`` is the width E of the features."""
    facts, options = design.config["facts"], learner.options
    classes = facts[run.dataset]["counts"]["classes"]
    images = run.shots * classes
    work = learner.work(images, classes)
    asked = points(learner, work.search)
    sets = [tests(facts, name) for name in design.tests_of(run)]
    # The training images: at the untouched context, and at the end.
    others = work.refine + asked * len(sets) + 2 * bool(run.shots)
    black_box = learner.access == "black-box"

    alone, each = speed.text[run.backbone][run.dataset]
    pairs = images * classes
    generations = work.search / options.population
    steps = max(1, -(-images // options.batch_size))
    seconds = (
        work.search * each
        + others * alone
        + work.gradients * alone * speed.gradient
        + generations * (speed.generation + _on(speed.search, pairs, options.population, speed))
        + work.scored / options.population * _on(speed.scored, pairs, options.population, speed)
        + work.passes * (steps * speed.step[0] + speed.step[1] * pairs)
        # What scores a population scores one context and all test images too.
        + asked * sum(sets) * classes * (speed.search[1] + speed.scored[1]) / speed.population
    )
    hidden = options.hidden if options.head == "mlp" else 0
    refiner = 4 * (2 * classes * hidden if hidden else classes**2) if work.passes else 0
    kept = refiner + _RECORDS + 4 * asked * sum(sets)
    return Cost(work.search, others if black_box else 0, seconds, kept)


def _on(at: tuple[float, float], pairs: int, population: int, speed: Speed) -> float:
    """Seconds of a generation of ``population`` contexts on images x classes ``pairs``."""
    return at[0] + at[1] * pairs * population / speed.population


def images_of(design: Design, dataset: str, part: str) -> int:
    """Images that one features file holds; where only drawn ones are, the most there can be."""
    fact = design.config["facts"][dataset]
    counts = fact["counts"]
    if part == "test":
        return counts["test"]
    if fact.get("encode") != "drawn":
        return counts["train"]
    shots = {run.shots for run in design.all_runs if run.dataset == dataset}
    return min(counts["train"], sum(shots) * counts["classes"] * len(design.seeds))


def of_features(images: int, backbone: str, embed: int, speed: Speed) -> Cost:
    """Encoding ``images``, and what is kept of them."""
    return Cost(seconds=images * speed.image[backbone], bytes=images * (4 * embed + 4 + _PATH))


@dataclass(frozen=True)
class Fetch:
    """What a data set still needs from outside."""

    dataset: str
    fetched: int | None  # bytes; None where nobody states it
    kept: int | None
    by_hand: bool


def weights_of(suite: Mapping[str, Any], backbones: Iterable[str]) -> dict[str, int | None]:
    """Bytes of the weights of each backbone that come from the hub; None where nobody states it."""
    facts = {name: suite["backbone_facts"][name] for name in backbones}
    # Published in float32, the buffers beside the parameters being next to nothing.
    return {
        name: 4 * fact["parameters"] if fact.get("parameters") else None
        for name, fact in facts.items()
        if not fact.get("weights")
    }


def to_fetch(suite: Mapping[str, Any], datasets: Iterable[str]) -> list[Fetch]:
    """The first source of each data set whose tree is not there; rendered ones need none."""
    found = []
    for name in datasets:
        fact = suite["facts"][name]
        sources = fact.get("sources", [])
        tree = Path(suite["data"]) / fact.get("folder", name) / fact.get("images", "")
        if not sources or tree.is_dir():
            continue
        source = sources[0]
        size = source.get("bytes")
        kept = source.get("unpacked", size)
        found.append(Fetch(name, size, kept, source["kind"] == "manual"))
    return found
