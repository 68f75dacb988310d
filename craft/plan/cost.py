"""Costs of runs and encodings: counts from the design, seconds from a table and finished runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from craft.design.runs import Design, Run
from craft.files.paths import RECORD, at
from craft.learner.lookup import load_learner

# Seconds of one core of an AMD EPYC (x86-64, torch 2.15.0), measured with random weights.
#: One context of one class name through a text tower of 12 layers, 512 wide; others in proportion
#: to layers x width^2. The eleven data sets of the paper are within 10 % of it.
_TEXT, _TEXT_SIZE = 2.6e-3, 12 * 512**2
#: A step with gradients, in forward passes.
_GRADIENT = 1.9
#: A generation beside its text forward: CMA-ES, scores, losses, refiner.
_GENERATION = 0.05
#: Reading a photograph and encoding it; a model that is not here counts as the slowest one.
_IMAGE = {
    "RN50": 0.11,
    "RN101": 0.16,
    "ViT-B-32": 0.075,
    "ViT-B-16": 0.27,
    "mini-rn": 0.001,
    "mini-vit": 0.0015,
}
#: Rules whose jobs start torch, which takes seconds.
_TORCH = {"encode_images", "export_text_tower", "fit_learner", "tokenise_prompts"}

#: Bytes of a run's records and history, and of a feature's path.
_RECORDS, _PATH = 25_000, 60
_TEXT_DEFAULTS = {"width": 512, "layers": 12}  # open_clip's


@dataclass(frozen=True)
class Cost:
    """The cost of some work; costs can be added."""

    search: int = 0  # queries that the paper counts
    other: int = 0  # queries to refine, and to predict the test images
    encoded: int = 0  # images that the service encodes for queries
    seconds: float = 0.0  # of one core
    bytes: int = 0  # kept on disk
    scorings: int = 0  # images x queries

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))


def of_run(design: Design, run: Run, architecture: Mapping[str, Any]) -> Cost:
    """Return what one fit costs by the table, without the start of its process.

    ``architecture`` is the backbone's, by open_clip's keys.
    """
    facts = design.config["facts"]
    learner = load_learner(run.learner)(**run.options.as_dict())
    options, classes = learner.options, facts[run.dataset]["counts"]["classes"]
    work = learner.work(run.shots * classes, classes)
    generations = work.generations if work.search else 0
    points = max(1, min(options.curve_points, generations))
    sets = [facts[name]["counts"]["test"] for name in design.tests_of(run)]
    # The training images too: at the untouched context, and at the end.
    trained = bool(run.shots)
    predicted = points * sum(map(work.predictions, sets))
    predicted += trained * work.predictions(run.shots * classes)
    other = work.refine + predicted + trained
    shots = run.shots * classes
    scorings = (work.search + work.refine + trained * (work.predict + 1)) * shots
    scorings += points * work.predict * sum(sets)
    encoded = work.images + (points * sum(sets) + shots) * work.predict_images
    text = _TEXT_DEFAULTS | architecture["text_cfg"]
    one = classes * _TEXT * text["layers"] * text["width"] ** 2 / _TEXT_SIZE
    contexts = work.search + other if work.contexts is None else work.contexts
    seconds = (contexts + _GRADIENT * work.gradients) * one + generations * _GENERATION
    seconds += encoded * _image_seconds(run.backbone)
    hidden = options.hidden if options.head == "mlp" else 0
    refiner = 4 * (2 * classes * hidden if hidden else classes**2) if work.passes else 0
    kept = refiner + _RECORDS + 4 * points * sum(sets)
    if learner.access == "uploads":  # each query scores what was encoded for it
        scorings = encoded + trained * shots
    if learner.access in ("features", "weights"):  # they multiply themselves
        scorings = 0
    if learner.access == "weights":
        other = 0
    return Cost(work.search, other, encoded, seconds, kept, scorings)


def _image_seconds(backbone: str) -> float:
    """Return the seconds of one encoding."""
    return _IMAGE.get(backbone, max(_IMAGE.values()))


class Pace:
    """Ratio of the seconds of finished runs to the table, by method and backbone first."""

    def __init__(self, design: Design, architectures: Mapping[str, Mapping[str, Any]]) -> None:
        self._took: dict[tuple[str, ...], tuple[float, float]] = {}
        self.records = 0
        for run in design.all_runs:
            path = at(design.config["results"], RECORD, **run.identity)
            try:
                record = json.loads(Path(path).read_text(encoding="utf-8"))
                took = record["fit_seconds"] + record["predict_seconds"]
            except (OSError, ValueError, KeyError):
                continue  # not finished; what is broken is made again
            self.records += 1
            table = of_run(design, run, architectures[run.backbone]).seconds
            for key in self._keys(run):
                before = self._took.get(key, (0.0, 0.0))
                self._took[key] = (before[0] + took, before[1] + table)

    @staticmethod
    def _keys(run: Run) -> list[tuple[str, ...]]:
        method = run.method.partition("@")[0]
        return [(method, run.backbone), (run.backbone,), ()]

    def of(self, run: Run) -> float:
        """Return the factor on the table's seconds of a run; 1 without records."""
        found = next((self._took[key] for key in self._keys(run) if key in self._took), (1.0, 1.0))
        return found[0] / found[1]


def starts(jobs: Mapping[str, int]) -> float:
    """Return the seconds in which the processes of jobs (rule -> number) start and end."""
    return sum(count * (3.0 if rule in _TORCH else 0.5) for rule, count in jobs.items())


def images_of(design: Design, dataset: str, part: str, *, drawn: bool = False) -> int:
    """Return the images of one features file.

    Where only drawn ones are, as of ``drawn`` training images, it is the most there can be.
    """
    facts = design.config["facts"][dataset]
    counts = facts["counts"]
    if part == "test":
        return counts["test"]
    if facts["encode"] != "drawn" and not drawn:
        return counts["train"]
    shots = {run.shots for run in design.all_runs if run.dataset == dataset}
    return min(counts["train"], sum(shots) * counts["classes"] * len(design.seeds))


def of_features(images: int, backbone: str, architecture: Mapping[str, Any]) -> Cost:
    """Return the cost of encoding ``images``, and of storing their features."""
    seconds = images * _image_seconds(backbone)
    return Cost(seconds=seconds, bytes=images * (4 * architecture["embed_dim"] + 4 + _PATH))


def of_pixels(design: Design, backbone: str, dataset: str, part: str, size: int) -> Cost:
    """Return the cost of storing decoded images of ``size`` pixels, drawn ones or test images."""
    counts = design.config["facts"][dataset]["counts"]
    count = counts["test"]
    if part != "test":
        drawn = {
            (run.shots, run.seed): run.shots * counts["classes"]
            for run in design.all_runs
            if run.options.encodes_images and (run.backbone, run.dataset) == (backbone, dataset)
        }
        count = min(counts["train"], sum(drawn.values()))
    return Cost(bytes=3 * size**2 * count)


def to_fetch(suite: Mapping[str, Any], datasets: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the first source of each data set whose tree is missing; rendered ones have none."""
    facts = {name: suite["facts"][name] for name in datasets}
    return {
        name: fact["sources"][0]
        for name, fact in facts.items()
        if fact.get("sources")
        and not Path(suite["data"], fact.get("folder", name), fact["images"]).is_dir()
    }


def weights_of(suite: Mapping[str, Any], backbones: Iterable[str]) -> dict[str, int | None]:
    """Return the bytes of each backbone's weights that come from the hub; None where unstated."""
    facts = {name: suite["backbone_facts"][name] for name in backbones}
    # Published in float32; the buffers beside the parameters are small.
    return {
        name: 4 * fact["parameters"] if fact.get("parameters") else None
        for name, fact in facts.items()
        if not fact.get("weights") and fact["kind"] != "http"
    }


@dataclass(frozen=True)
class Bill:
    """The charged work of a service, and its price."""

    queries: int
    scorings: int
    price: float
    currency: str


def bills_of(suite: Mapping[str, Any], costs: Iterable[tuple[str, Cost]]) -> dict[str, Bill]:
    """Return the bill of each service whose file says a price, for (backbone, cost) of runs."""
    found: dict[str, Bill] = {}
    for name, cost in costs:
        price = suite["backbone_facts"][name].get("price")
        if price is None:
            continue
        before = found.get(name, Bill(0, 0, 0.0, price.get("currency", "USD")))
        queries, scorings = cost.search + cost.other, cost.scorings
        charged = queries * price.get("query", 0) + scorings * price.get("scoring", 0)
        found[name] = Bill(
            before.queries + queries,
            before.scorings + scorings,
            before.price + charged,
            before.currency,
        )
    return found
