"""The bench of a fit: its inputs in memory, and from them a box for each run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from craft.blackbox.local import LocalBox
from craft.blackbox.prompts import Prompts
from craft.blackbox.text import TextTower
from craft.blackbox.text_weights import TextWeights
from craft.learner.base import Learner
from craft.protocol import QueryMeter
from craft.records import Features, Split
from craft.storage import RecordError, sha256
from craft.whitebox.box import WhiteBox

#: Name under which a box holds the few-shot training images.
TRAIN = "train"


@dataclass(frozen=True)
class Inputs:
    """Everything that a fit reads; no label of a test image is among it."""

    tower: Path
    prompts: Path
    train: tuple[Path, ...]  # the images first, then their views
    tests: Mapping[str, Path]

    def checksums(self) -> dict[str, str]:
        """Role of each file -> SHA-256 of its bytes."""
        files = {"tower": self.tower, "prompts": self.prompts}
        files |= {f"train-{n}": path for n, path in enumerate(self.train)}
        files |= {f"test/{name}": path for name, path in self.tests.items()}
        return {role: sha256(path) for role, path in files.items()}


def device_name(device: torch.device) -> str:
    """``cpu``, or which GPU it is."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class Bench:
    """The inputs of a fit in memory, from which each seed gets a box of its own."""

    def __init__(self, inputs: Inputs, learner: Learner, device: str = "cpu") -> None:
        prompts = Prompts.read(inputs.prompts)
        tokens = prompts.zero_shot if learner.prompts == "template" else prompts.learner
        self.device = torch.device(device)
        weights = TextWeights.read(inputs.tower)
        self.tower = TextTower.from_tokens(weights, tokens, device=self.device)
        self.train = [Features.read(path) for path in inputs.train]
        self.tests = {name: Features.read(path) for name, path in inputs.tests.items()}
        self.learner = learner
        for name, features in {**dict(enumerate(self.train)), **self.tests}.items():
            if features.backbone != prompts.backbone:
                raise RecordError(
                    f"features {name!r} are of backbone {features.backbone}, the prompts of "
                    f"{prompts.backbone}"
                )
        self.class_names = tokens.class_names
        self.checksums = inputs.checksums()

    def image_sets(self, split: Split | None) -> dict[str, torch.Tensor]:
        """Uploads by name: the split's images (and their views, raw or not) and every test set."""
        sets = {
            f"test/{name}": torch.from_numpy(features.features).to(self.device)
            for name, features in self.tests.items()
        }
        if split is None:
            return sets
        for features in self.train:
            rows = features.rows(split.paths)
            unit = torch.from_numpy(features.features[rows]).to(self.device)
            name = TRAIN if features.view == 0 else f"{TRAIN}-view-{features.view}"
            sets[name] = unit
            if self.learner.options.feature_norm == "raw":
                norms = torch.from_numpy(features.norms[rows]).to(self.device)
                sets[f"{name}-raw"] = unit * norms[:, None]
        return sets

    def refine_sets(self) -> tuple[str, ...]:
        """Names of the uploads that train the refiner, by the options ``views``, ``feature_norm``.

        Raises ValueError where a view was asked for that was not encoded.
        """
        options = self.learner.options
        suffix = "-raw" if options.feature_norm == "raw" else ""
        if not options.views:
            return (TRAIN + suffix,)
        encoded = {features.view for features in self.train}
        for view in range(1, options.views + 1):
            if view not in encoded:
                raise ValueError(f"option views: {options.views}, but view {view} is not encoded")
        return tuple(f"{TRAIN}-view-{view}{suffix}" for view in range(1, options.views + 1))

    def box(self, split: Split | None) -> LocalBox | WhiteBox:
        """A box for one run, by the learner's declared access."""
        sets = self.image_sets(split)
        if self.learner.access == "white-box":
            return WhiteBox(self.tower, sets)
        return LocalBox(self.tower, sets, meter=QueryMeter(budget=self.learner.options.budget))
