"""Load and check the inputs of a job's fits; give each run its own, and a box from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from craft.blackbox.text.ensemble import TemplateMean
from craft.blackbox.text.prompts import Prompts, PromptTokens
from craft.blackbox.text.tower import Tower, read_tower
from craft.files.atomic import RecordError, read_metadata, sha256, unchanged
from craft.files.records import Features, Split
from craft.fit.boxes import Box, box_for
from craft.learner.base import Learner

#: Name under which a box holds the few-shot training images.
TRAIN = "train"


@dataclass(frozen=True)
class JobFiles:
    """Everything that a fit reads but its split; no label of a test image is among it."""

    tower: Path
    prompts: Path
    train: tuple[Path, ...]  # the images first, then their views
    tests: Mapping[str, Path]


def _upload(copy: str) -> str:
    """Return the name under which a box holds a copy of the training images, ``""`` for none."""
    return f"{TRAIN}-{copy}" if copy else TRAIN


def device_name(device: torch.device) -> str:
    """``cpu``, or which GPU it is."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


class JobInputs:
    """The inputs of one job's fits in memory, from which each run gets a box of its own.

    ``kind`` says which of the prompts the learners speak with (:attr:`Learner.prompts`).
    """

    def __init__(
        self, inputs: JobFiles, kind: str, device: str = "cpu", dtype: str = "float32"
    ) -> None:
        self._device = torch.device(device)
        self._dtype = dtype
        # Checksums are of what was read: a file that is replaced in between would have another's.
        with unchanged([inputs.tower, inputs.prompts, *inputs.train, *inputs.tests.values()]):
            self._read(inputs, kind)

    def _read(self, inputs: JobFiles, kind: str) -> None:
        prompts = Prompts.read(inputs.prompts)
        tokens = prompts.learner if kind == "context" else prompts.zero_shot
        self._tower = self._tower_of(inputs.tower, tokens)
        if kind == "ensemble" and prompts.ensemble:
            towers = [self._tower_of(inputs.tower, each) for each in prompts.ensemble]
            self._tower = TemplateMean(towers)
        train = [Features.read(path) for path in inputs.train]
        self._train = {_upload(features.copy): features for features in train}
        self._tests = {name: Features.read(path) for name, path in inputs.tests.items()}
        require_match(
            prompts.backbone,
            prompts.dataset,
            read_metadata(inputs.tower).get("provenance", {}),
            dict(zip(inputs.train, train, strict=True)),
            {path: (name, self._tests[name]) for name, path in inputs.tests.items()},
        )
        self.backbone, self.dataset = prompts.backbone, prompts.dataset
        self.class_names = tokens.class_names
        self._indistinct = prompts.indistinct
        for name, path in inputs.tests.items():
            classes, known = self._tests[name].classes, range(len(self.class_names))
            if not classes or not set(classes) <= set(known):
                raise RecordError(
                    f"{path}: expected a task of one or more classes of 0 to {known[-1]}, got "
                    f"{len(classes)} classes up to {max(classes, default=None)}"
                )
        files = {"tower": inputs.tower, "prompts": inputs.prompts}
        files |= dict(zip(self._train, inputs.train, strict=True))
        files |= {f"test/{name}": path for name, path in inputs.tests.items()}
        self._checksums = {role: sha256(path) for role, path in files.items()}
        # Not read here, where no label of a test image is: the features name what they are of.
        features = [*train, *self._tests.values()]
        self._checksums |= {f"manifest/{one.dataset}": one.manifest_sha256 for one in features}

    def _tower_of(self, path: Path, tokens: PromptTokens) -> Tower:
        return read_tower(path, tokens, self._dtype, device=self._device)

    def for_run(self, learner: Learner, path: Path | None, tests: Sequence[str]) -> RunInputs:
        """Return the inputs of one run, as if it were alone in its job; ``path`` is its split's.

        Raises ValueError for a test set or a copy that was not given, RecordError for a split of
        another data set, other classes or other images.
        """
        split, drawn = None, {}
        if path:
            with unchanged([path]):
                split, drawn = Split.read(path), {"split": sha256(path)}
        if unknown := set(tests) - set(self._tests):
            raise ValueError(f"no features of test set {min(unknown)!r} are given")
        uploads = [_upload(copy) for copy in ("", *learner.options.copies)] if split else []
        for upload in uploads:
            if upload not in self._train:
                raise ValueError(
                    f"options: expected features of {upload}, got those of {', '.join(self._train)}"
                )
        if split and split.dataset != self.dataset:
            raise RecordError(
                f"a split of data set {split.dataset}, {split.shots} shots, seed {split.seed}, "
                f"beside files of data set {self.dataset}"
            )
        if split and split.class_names != self.class_names:
            raise RecordError(
                f"class names of the split of {split.dataset}, {split.shots} shots, seed "
                f"{split.seed}, are not those of the prompts"
            )
        roles = ["tower", "prompts", *uploads, *(f"test/{name}" for name in tests)]
        roles += [f"manifest/{name}" for name in {*tests, *([self.dataset] if split else [])}]
        return RunInputs(
            learner=learner,
            device=self._device,
            dtype=self._dtype,
            tower=self._tower,
            split=split,
            train={upload: self._train[upload] for upload in uploads},
            tests={name: self._tests[name] for name in tests},
            checksums={role: self._checksums[role] for role in sorted(roles)} | drawn,
            indistinct=self._indistinct,
        )


@dataclass(frozen=True)
class RunInputs:
    """Towers and features of one run."""

    learner: Learner
    device: torch.device
    dtype: str  # of the text forward
    tower: Tower
    split: Split | None
    train: Mapping[str, Features]  # by upload: the images themselves, and augmented copies
    tests: Mapping[str, Features]
    checksums: Mapping[str, str]  # role of each file that was read -> SHA-256 of its bytes
    indistinct: tuple[tuple[str, ...], ...] = ()  # classes that share a prompt

    def image_sets(self) -> dict[str, torch.Tensor]:
        """Uploads by name: the split's images (and their copies, raw or not) and every test set."""
        sets = {
            f"test/{name}": torch.from_numpy(features.features).to(self.device)
            for name, features in self.tests.items()
        }
        for name, features in self.train.items():
            rows = features.rows(self.split.paths)
            unit = torch.from_numpy(features.features[rows]).to(self.device)
            sets[name] = unit
            if self.learner.options.feature_norm == "raw":
                norms = torch.from_numpy(features.norms[rows]).to(self.device)
                sets[f"{name}-raw"] = unit * norms[:, None]
        return sets

    def refine_sets(self) -> tuple[str, ...]:
        """Uploads that train the refiner (or CoOp's context), by the learner's options."""
        options = self.learner.options
        suffix = "-raw" if options.feature_norm == "raw" else ""
        return tuple(_upload(copy) + suffix for copy in options.refine_copies or ("",))

    def search_set(self) -> str:
        """Upload that scores candidates, by the option ``search_view``."""
        return _upload(self.learner.options.search_copy)

    def box(self) -> Box:
        """A box for the run, by its learner's declared access."""
        shots = len(self.split.labels) if self.split else 0
        return box_for(self.learner, self.tower, self.image_sets(), shots)


def require_match(
    backbone: str,
    dataset: str,
    tower: Mapping[str, Any],
    train: Mapping[Path, Features],
    tests: Mapping[Path, tuple[str, Features]],
) -> None:
    """Refuse features of another backbone, data set, part, manifest or weights than the others.

    ``backbone`` and ``dataset`` are the prompts'; ``tower`` is what the exported text tower says
    of its origin; ``tests`` holds the test set that each file is given as. Raises RecordError
    naming the file, what it says and what it should.
    """
    given = [(path, features, dataset, "train") for path, features in train.items()]
    given += [(path, features, name, "test") for path, (name, features) in tests.items()]
    weights = tower.get("weights_sha256")
    manifests: dict[str, str] = {}
    for path, features, name, part in given:
        weights = weights or features.weights_sha256
        manifest = manifests.setdefault(name, features.manifest_sha256)
        for what, found, expected in (
            ("backbone", features.backbone, backbone),
            ("data set", features.dataset, name),
            ("part", features.part, part),
            ("weights (SHA-256)", features.weights_sha256, weights),
            ("manifest (SHA-256)", features.manifest_sha256, manifest),
        ):
            if found != expected:
                raise RecordError(
                    f"{path}: features of {what} {found}, beside files of {what} {expected}; "
                    "encode the images again"
                )
