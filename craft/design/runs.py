"""The design of the experiment: which runs a configuration asks for, and which of them each table
or figure needs. Pure Python on plain dictionaries, so that a workflow can ask at parse time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from craft.design import option_layers
from craft.design.artefacts import ARTEFACTS, comparisons
from craft.design.option_layers import DIFFERENCES, Variant, spelled
from craft.files import paths
from craft.learner.options import Options

ZERO_SHOT = "zero-shot"


@dataclass(frozen=True, order=True)
class Run:
    """One fit; its folder spells the design. Zero-shot has shots 0 and seed 0."""

    method: str  # id of the variant of a method that is fitted, which names its folder
    backbone: str
    dataset: str
    shots: int
    seed: int
    variant: Variant = field(compare=False)
    learner: str = field(compare=False)  # module:Class
    options: Options = field(compare=False)  # all of them, resolved

    @property
    def identity(self) -> dict[str, str | int]:
        """What tells a run from all others of a suite, as its record names it."""
        names = ("method", "backbone", "dataset", "shots", "seed")
        return {name: getattr(self, name) for name in names}

    @property
    def folder(self) -> str:
        """Path below ``runs/``, which spells the design."""
        return f"{paths.CELL}/{paths.RUN_OF_CELL}".format(**vars(self))


class Design:
    """The runs of a validated configuration (a plain mapping, data-set files already merged in).

    ``config["datasets"]`` is the ordered list of few-shot data sets, ``config["facts"]`` maps each
    data set's name (shifted test sets included) to the content of its YAML file, and
    ``config["backbone_facts"]`` each backbone's.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config
        self.seeds: tuple[int, ...] = tuple(config["seeds"])
        self._stored: dict[tuple[Variant, str, int], tuple[Variant, Options]] = {}

    # --- what an artefact is made of ---

    def artefacts(self) -> tuple[str, ...]:
        """Names of the configured artefacts in the paper's order."""
        return tuple(name for name in ARTEFACTS if name in self.config["artefacts"])

    def backbones(self, artefact: str) -> tuple[str, ...]:
        """Backbones of an artefact, in the config's order."""
        spec = self.config["artefacts"][artefact]
        return tuple(spec.get("backbones", self.config["backbones"]))

    def datasets(self, artefact: str) -> tuple[str, ...]:
        """Few-shot data sets whose runs an artefact needs."""
        if ARTEFACTS[artefact].of_source:
            return (self.config["shift"]["source"],)
        return tuple(self.config["artefacts"][artefact].get("datasets", self.config["datasets"]))

    def methods(self, artefact: str) -> tuple[str, ...]:
        """Return method ids that are the rows (or curves) of an artefact, in the config's order.

        Those of varied options are ``method@option=value``. The run of an id whose value the
        option has anyway is the method's own (:meth:`cell`).
        """
        return tuple(variant.id for variant in self.variants(artefact).values())

    def variants(self, artefact: str) -> dict[str, Variant]:
        """Return what the rows (or curves) of an artefact are: row -> variant of a method.

        A row is a method, a swept value as it is spelled, or a row of ``discrepancies``.
        """
        rows = ARTEFACTS[artefact].rows
        if rows == "values":
            return self._swept(artefact)
        if rows == "differences":
            return self._differing(artefact)
        if rows != "methods":
            return {}
        return {
            name: Variant(name)
            for name, method in self.config["methods"].items()
            if artefact in method.get("artefacts", comparisons())
        }

    def _swept(self, artefact: str) -> dict[str, Variant]:
        spec = self.config["artefacts"][artefact]
        return {
            spelled(value): Variant(spec["method"], changes=((spec["option"], value),))
            for value in spec["values"]
        }

    def _differing(self, artefact: str) -> dict[str, Variant]:
        """Both modes, then each difference alone on top of paper mode."""
        spec = self.config["artefacts"][artefact]
        method = spec["method"]
        rows = {mode: Variant(method, mode=mode) for mode in ("paper", "released")}
        for row in spec.get("differences", DIFFERENCES):
            if isinstance(row, Mapping):  # a reading of the paper that neither mode takes
                variant = Variant(method, "paper", changes=tuple(row.items()))
                rows[", ".join(variant.words[1:])] = variant
            else:
                rows[row] = Variant(method, "paper", released=DIFFERENCES[row])
        return rows

    # --- runs ---

    def runs(self, artefact: str) -> tuple[Run, ...]:
        """Every run that an artefact reads, without repetition, in a fixed order."""
        return tuple(dict.fromkeys(self._runs(artefact)))

    def _runs(self, artefact: str) -> Iterator[Run]:
        for method in self.methods(artefact):
            for backbone, dataset, shots in self.places(artefact, method):
                yield from self.cell(method, backbone, dataset, shots)

    def places(self, artefact: str, method: str) -> Iterator[tuple[str, str, int]]:
        """Yield (backbone, data set, shots) of the cells of a method id in an artefact.

        Not a full cross: a method may be run on some backbones and data sets alone.
        """
        spec = self.config["methods"][self._known[method].method]
        for backbone in self.backbones(artefact):
            for dataset in self.datasets(artefact):
                here = backbone in spec.get("backbones", (backbone,))
                if here and dataset in spec.get("datasets", (dataset,)):
                    for shots in self.config["artefacts"][artefact].get("shots", ()):
                        yield backbone, dataset, shots

    def cells(self) -> Iterator[tuple[str, str, int]]:
        """Yield (method id, data set, shots) of all artefacts, each once; zero-shot has shots 0."""
        yield from dict.fromkeys(
            (variant.id, dataset, 0 if variant.method == ZERO_SHOT else shots)
            for artefact in self.artefacts()
            for variant in self.variants(artefact).values()
            for _, dataset, shots in self.places(artefact, variant.id)
        )

    def cell(self, method: str, backbone: str, dataset: str, shots: int) -> tuple[Run, ...]:
        """Return the runs averaged in a cell of a table: one per seed; zero-shot has a single run.

        Method ids that come to the same options there share their runs. Raises OptionError.
        """
        seeds = self.seeds
        if method == ZERO_SHOT:
            shots, seeds = 0, (0,)
        variant = self._known[method]
        key = (variant, dataset, shots)
        if key not in self._stored:
            stored = option_layers.stored(self.config, *key)
            options = option_layers.resolve(self.config, stored, dataset, shots)
            self._stored[key] = stored, options
        stored, options = self._stored[key]
        learner = self.config["methods"][stored.method]["learner"]
        return tuple(
            Run(stored.id, backbone, dataset, shots, seed, stored, learner, options)
            for seed in seeds
        )

    @cached_property
    def all_runs(self) -> tuple[Run, ...]:
        """Every run of every artefact, each once."""
        return tuple(dict.fromkeys(run for name in self.artefacts() for run in self.runs(name)))

    def test_sets(self, dataset: str) -> tuple[str, ...]:
        """Data sets on whose test part a learner trained on ``dataset`` is predicted."""
        shift = self.config.get("shift") or {}
        return (dataset, *(shift["targets"] if dataset == shift.get("source") else ()))

    @cached_property
    def _shifted(self) -> frozenset[Run]:
        shifted = (name for name in self.artefacts() if ARTEFACTS[name].shifted)
        return frozenset(run for name in shifted for run in self.runs(name))

    def tests_of(self, run: Run) -> tuple[str, ...]:
        """Data sets on whose test part a run is predicted: shifted ones where a table needs it."""
        return self.test_sets(run.dataset) if run in self._shifted else (run.dataset,)

    # --- methods ---

    @cached_property
    def _known(self) -> dict[str, Variant]:
        """Variants by id: every method of the suite, and what its artefacts vary."""
        variants = [Variant(name) for name in self.config["methods"]]
        for artefact in self.artefacts():
            variants += self.variants(artefact).values()
        return {variant.id: variant for variant in variants}

    def label(self, method: str | Variant) -> str:
        """Return printed name of a variant or its id."""
        variant = self._known[method] if isinstance(method, str) else method
        label = self.config["methods"][variant.method].get("label", variant.method)
        return f"{label} ({', '.join(variant.words)})" if variant.words else label

    def options(self, method: str, dataset: str, shots: int) -> Options:
        """Return the resolved options of a method id on a data set at some shots (zero-shot: 0).

        Raises as :func:`craft.design.option_layers.resolve`.
        """
        return option_layers.resolve(self.config, self._known[method], dataset, shots)

    def settings(self, run: Run) -> dict[str, Any]:
        """All that the configuration says of a run; its hash is the record's ``config_hash``."""
        return {
            **run.identity,
            "learner": run.learner,
            "options": run.options.as_dict(),
            "dtype": self.config["dtype"],
            "threads": self.config["fit_threads"],
        }

    def inputs(self, run: Run) -> dict[str, str]:
        """Role of each file that a run is made from, as its record names it -> path below results.

        The manifests are read by the steps before it, and order its predictions.
        """
        names, tests = run.identity, self.tests_of(run)
        found = {"tower": paths.TOWER.format(**names), "prompts": paths.PROMPTS.format(**names)}
        if run.shots:
            found["split"] = paths.SPLIT.format(**names)
            for part in ("train", *(f"train-{copy}" for copy in run.options.copies)):
                found[part] = paths.FEATURES.format(part=part, **names)
        for name in tests:
            test = {"backbone": run.backbone, "dataset": name, "part": "test"}
            found[f"test/{name}"] = paths.FEATURES.format(**test)
        features = {r: p for r, p in found.items() if p.startswith(paths.FEATURES_FOLDER)}
        if run.options.encodes_images:
            pixels = {
                f"pixels/{role}": path.replace(paths.FEATURES_FOLDER, paths.PIXELS_FOLDER, 1)
                for role, path in features.items()
            }
            found |= pixels | {"image-tower": paths.IMAGE_TOWER.format(**names)}
        if encoder := run.options.own_codes:
            own, codes = (f"{paths.FEATURES_FOLDER}/{name}/" for name in (run.backbone, encoder))
            found |= {f"codes/{role}": codes + path[len(own) :] for role, path in features.items()}
        for name in dict.fromkeys((run.dataset, *tests) if run.shots else tests):
            found[f"manifest/{name}"] = paths.MANIFEST.format(dataset=name)
        return found

    def counted(self, artefact: str) -> tuple[str, ...]:
        """Return the data sets whose images an artefact counts, shifted test sets behind others."""
        targets = (self.config.get("shift") or {}).get("targets", ())
        return tuple(dict.fromkeys((*self.datasets(artefact), *targets)))

    def sources(self, artefact: str) -> list[str]:
        """Files that an artefact is made from: scores, or for the data sets' counts manifests."""
        results = self.config["results"]
        if ARTEFACTS[artefact].rows == "data sets":
            names = self.counted(artefact)
            return [paths.at(results, paths.MANIFEST, dataset=name) for name in names]
        return [paths.at(results, paths.SCORE, **run.identity) for run in self.runs(artefact)]
