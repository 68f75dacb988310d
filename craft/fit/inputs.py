"""Load and check the inputs of a job's fits, and build the inputs of each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.images.vision_weights import VisionWeights
from craft.blackbox.text.ensemble import TemplateMean
from craft.blackbox.text.prefix_sharing import DTYPES, TextTower
from craft.blackbox.text.tokenise import Prompts, PromptTokens
from craft.blackbox.text.tower import Tower, read_tower
from craft.client.remote import Remote, Service
from craft.files.atomic import RecordError, read_metadata, sha256, unchanged
from craft.files.datasets import Split
from craft.files.image_features import Features
from craft.files.pixels import Pixels
from craft.fit.arithmetic import FLOAT32, TextDtypes
from craft.fit.image_sets import read_images
from craft.fit.matching import require_match
from craft.fit.own_side import Codes
from craft.fit.run_inputs import RunInputs, upload_name
from craft.learner.base import Learner


@dataclass(frozen=True)
class JobFiles:
    """Everything that a fit reads except its split; it contains no label of a test image."""

    tower: Path
    prompts: Path
    train: tuple[Path, ...]  # the images first, then their views
    tests: Mapping[str, Path]
    image_tower: Path | None = None  # where a fit has images encoded; then the pixels of both
    train_pixels: tuple[Path, ...] = ()
    test_pixels: Mapping[str, Path] = field(default_factory=dict)
    codes: tuple[Path, ...] = ()  # of the user's own images, by an encoder of any image set

    @property
    def all(self) -> dict[str, Path]:
        """Return every file except training features, whose files name their own copies."""
        files = {"tower": self.tower, "prompts": self.prompts}
        files |= {"image-tower": self.image_tower} if self.image_tower else {}
        files |= {f"test/{name}": path for name, path in self.tests.items()}
        return files | {f"pixels/test/{name}": path for name, path in self.test_pixels.items()}


class JobInputs:
    """The inputs of one job's fits in memory, from which each run gets a box of its own.

    ``kind`` selects the prompts that learners use (:attr:`Learner.prompts`). ``service`` is the
    address of the model, if the files describe one behind a service.
    """

    def __init__(
        self,
        inputs: JobFiles,
        kind: str,
        device: str = "cpu",
        dtypes: TextDtypes = FLOAT32,
        service: Service | None = None,
    ) -> None:
        self._service = service
        self._device = torch.device(device)
        self._dtypes = dtypes
        # Hash and read within one check, so that the SHA-256 is that of the bytes that were read.
        with unchanged([*inputs.all.values(), *inputs.train, *inputs.train_pixels, *inputs.codes]):
            self._read(inputs, kind)

    def _read(self, inputs: JobFiles, kind: str) -> None:
        prompts = Prompts.read(inputs.prompts)
        tokens, *others = prompts.spoken(kind)
        self._tower = self._tower_of(inputs.tower, tokens)
        if others and self._service:
            raise RecordError(
                f"{inputs.prompts}: expected one template, as a service gives no mean of several, "
                f"got {1 + len(others)}"
            )
        if others:
            towers = [self._tower_of(inputs.tower, each) for each in others]
            self._tower = TemplateMean([self._tower, *towers])
        train = [read_images(path) for path in inputs.train]
        self._train = {upload_name(features.copy): features for features in train}
        self._tests = {name: read_images(path) for name, path in inputs.tests.items()}
        self._vision = None
        if inputs.image_tower:
            weights = VisionWeights.read(inputs.image_tower)
            self._vision = VisionTower(
                weights,
                device=self._device,
                dtype=DTYPES[self._dtypes.rest],
                search_dtype=DTYPES[self._dtypes.search],
            )
        pixels = {path: Pixels.read(path) for path in inputs.train_pixels}
        self._pixels = {upload_name(each.facts.copy): each for each in pixels.values()}
        tested = {name: Pixels.read(path) for name, path in inputs.test_pixels.items()}
        self._test_pixels = tested
        given = dict(zip(inputs.train, train, strict=True))
        given |= {path: each.facts for path, each in pixels.items()}
        tests = {path: (name, self._tests[name]) for name, path in inputs.tests.items()}
        tests |= {path: (name, tested[name].facts) for name, path in inputs.test_pixels.items()}
        towers = [path for path in (inputs.tower, inputs.image_tower) if path]
        origins = {path: read_metadata(path).get("provenance", {}) for path in towers}
        require_match(prompts.backbone, prompts.dataset, origins, given, tests)
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
        files = inputs.all | dict(zip(self._train, inputs.train, strict=True))
        of_pixels = (f"pixels/{upload}" for upload in self._pixels)
        files |= dict(zip(of_pixels, inputs.train_pixels, strict=True))
        self._checksums = {role: sha256(path) for role, path in files.items()}
        # Not read here, where no label of a test image is: the features name what they are of.
        features = [*train, *self._tests.values()]
        manifests = {one.dataset: one.manifest_sha256 for one in features}
        self._checksums |= {f"manifest/{name}": digest for name, digest in manifests.items()}
        self._codes = Codes(inputs.codes, manifests)

    def _tower_of(self, path: Path, tokens: PromptTokens) -> Tower | Remote:
        if self._service:
            return Remote.read(path, self._service, tokens.class_names, tokens.template)
        rest, search = self._dtypes.rest, self._dtypes.search
        return read_tower(path, tokens, rest, search, device=self._device)

    def for_run(self, learner: Learner, path: Path | None, tests: Sequence[str]) -> RunInputs:
        """Return the inputs of one run, independent of its job; ``path`` is that of its split.

        Raises ValueError for a missing test set or copy, and RecordError for a split of another
        data set, other classes or other images.
        """
        split, drawn = None, {}
        if path:
            with unchanged([path]):
                split, drawn = Split.read(path), {"split": sha256(path)}
        if unknown := set(tests) - set(self._tests):
            raise ValueError(f"no features of test set {min(unknown)!r} are given")
        uploads = [upload_name(copy) for copy in ("", *learner.options.copies)] if split else []
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
        pixels, tested = {}, {}
        if learner.options.encodes_images:
            pixels, tested = self._pixels_for(uploads, tests)
            roles += ["image-tower", *(f"pixels/{upload}" for upload in uploads)]
            roles += [f"pixels/test/{name}" for name in tests]
        coded: dict[str, Features] = {}
        if encoder := learner.options.own_codes:
            sets = [*uploads, *(f"test/{name}" for name in tests)]
            for name, (file, coded[name]) in self._codes.of(encoder, sets).items():
                drawn[f"codes/{name}"] = sha256(file)
        roles += [f"manifest/{name}" for name in {*tests, *([self.dataset] if split else [])}]
        return RunInputs(
            learner=learner,
            device=self._device,
            dtypes=self._dtypes if isinstance(self._tower, TextTower) else FLOAT32,
            tower=self._tower,
            split=split,
            train={upload: self._train[upload] for upload in uploads},
            tests={name: self._tests[name] for name in tests},
            checksums={role: self._checksums[role] for role in sorted(roles)} | drawn,
            indistinct=self._indistinct,
            vision=self._vision,
            pixels=pixels,
            test_pixels=tested,
            codes=coded,
        )

    def _pixels_for(
        self, uploads: Sequence[str], tests: Sequence[str]
    ) -> tuple[dict[str, Pixels], dict[str, Pixels]]:
        """Return the decoded images of uploads and test sets; raises ValueError naming one."""
        lacking = [upload for upload in uploads if upload not in self._pixels]
        lacking += [name for name in tests if name not in self._test_pixels]
        if lacking or self._vision is None:
            what = f"pixels of {lacking[0]}" if lacking else "an image tower"
            raise ValueError(f"a fit that has images encoded: expected {what}, got none")
        return (
            {upload: self._pixels[upload] for upload in uploads},
            {name: self._test_pixels[name] for name in tests},
        )
