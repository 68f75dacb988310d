"""A suite of one run on a user's images: its configuration files and its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from craft.config.load import load
from craft.design.jobs import BATCHES, jobs_of
from craft.design.runs import ZERO_SHOT, Design, Run
from craft.files import yaml12
from craft.files.atomic import write_json
from craft.files.shipped import BACKBONES, DATASETS, find
from craft.files.shipped import names as shipped_names
from craft.files.suite import Job
from craft.runtime.provenance import ROOT

CONFIG = "config/config.yaml"
#: The artefact that requests the runs.
_ASKS = "architectures"
#: Smallest number of shots for which the default method asks several contexts (docs/apply.md).
_SEVERAL_CONTEXTS_FROM = 4
#: Shares of each class's images if the folder has no train/ and test/.
SHARES = {"train": 0.7, "test": 0.3}
_PARTS = ("train", "test")
#: The method that a tuned model is compared with.
_ZERO_SHOT = {"learner": "craft.learner.zero_shot:ZeroShot", "label": "ZS-CLIP"}


def default_method(shots: int) -> dict[str, Any]:
    """Return the default method: a gated convex head on the scores of few contexts."""
    queries = 8 if shots >= _SEVERAL_CONTEXTS_FROM else 1
    options = {"queries": queries, "gate": True}
    return {"learner": "craft.learner.probe:Probe", "label": "Probe", "options": options}


@dataclass(frozen=True)
class Task:
    """A tuning task: images, backbone, method and options; paths are absolute."""

    images: Path  # train/ and test/, or a folder for each class
    name: str  # of the data set
    backbone: str
    method: str | None  # one of ``methods``; None is the default one
    options: Mapping[str, Any]  # of the learner, above all others
    shots: int
    seed: int
    template: str
    device: str = "cpu"
    base: Path = ROOT / CONFIG  # the suite that defines methods and options

    @cached_property
    def files(self) -> dict[str, dict[str, Any]]:
        """Return the suite's files by path; Snakemake can run them unchanged.

        Raises ValueError for a method that the base suite lacks, and for an unknown backbone.
        """
        if self.backbone not in (known := shipped_names(BACKBONES)):
            raise ValueError(f"backbone: expected one of {', '.join(known)}, got {self.backbone!r}")
        return {
            CONFIG: self._suite(),
            f"{DATASETS}/{self.name}.yaml": self._dataset(),
            f"{BACKBONES}/{self.backbone}.yaml": self._backbone(),
        }

    def write(self, folder: Path) -> None:
        """Write the suite's files below ``folder``."""
        for path, content in self.files.items():
            write_json(folder / path, content)

    def _suite(self) -> dict[str, Any]:
        base = yaml12.read(self.base, "methods")
        name, method = self._method(base["methods"])
        methods = {ZERO_SHOT: _ZERO_SHOT, name: method}
        for each in methods:
            methods[each] = methods[each] | {"artefacts": [_ASKS], "components": []}
        return {
            "suite": self.name,
            "results": "results",
            "seeds": [self.seed],
            "device": self.device,
            "backbones": [self.backbone],
            "datasets": [self.name],
            "methods": methods,
            "artefacts": {_ASKS: {"shots": [self.shots]}},
            **{key: base[key] for key in ("options", "dtype", "fit_threads") if key in base},
        }

    def _method(self, known: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method's name and its description for the suite."""
        default = default_method(self.shots)
        known = {"probe": default} | known
        if self.method is not None and self.method not in known:
            raise ValueError(f"method: expected one of {', '.join(known)}, got {self.method!r}")
        told = known[self.method] if self.method else default
        kept = {key: told[key] for key in ("learner", "label") if key in told}
        options = told.get("options", {}) | dict(self.options)
        return self.method or "probe", kept | {"options": options}

    def _dataset(self) -> dict[str, Any]:
        facts = {"name": self.name, "kind": "image_folder", "root": str(self.images)}
        folders = {path.name.lower() for path in self.images.iterdir() if path.is_dir()}
        shares = {} if folders & set(_PARTS) else {"shares": SHARES | {"seed": self.seed}}
        return facts | {"template": self.template} | shares

    def _backbone(self) -> dict[str, Any]:
        description = yaml12.read(find(f"{BACKBONES}/{self.backbone}.yaml"))
        if description.get("weights"):
            description["weights"] = str(find(description["weights"]).resolve())
        return description


@dataclass(frozen=True)
class Plan:
    """The runs and jobs of a suite of one task, in the working folder of the suite."""

    weights: str | None  # of the backbone, a local file
    service: tuple[str, str] | None  # address, and variable of the key; None: local weights
    dtype: str
    threads: int
    runs: tuple[Run, ...]  # the tuned one last
    jobs: dict[Run, tuple[str, Job]]  # name and content
    notices: tuple[str, ...]

    @classmethod
    def read(cls) -> Plan:
        """Return the plan of the working folder's suite; raises ConfigError."""
        suite = load(CONFIG)
        design = Design(suite)
        named, runs = jobs_of(design, "one"), sorted(design.all_runs, key=lambda run: run.shots)
        names = {run: BATCHES["one"].format(**run.identity) for run in runs}
        (backbone,) = suite["backbone_facts"].values()
        return cls(
            weights=backbone["weights"],
            service=(backbone["url"], backbone["key"]) if backbone["kind"] == "http" else None,
            dtype=suite["dtype"],
            threads=suite["fit_threads"],
            runs=tuple(runs),
            jobs={run: (name, named[name]) for run, name in names.items()},
            notices=tuple(suite["notices"]),
        )
