"""The inputs of one run: towers, features and decoded images, and a box from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.text.tower import Tower
from craft.client.remote import Remote
from craft.files.datasets import Split
from craft.files.image_features import Features
from craft.files.pixels import Pixels
from craft.files.uploaded import Uploaded
from craft.fit.arithmetic import TextDtypes
from craft.fit.boxes import Box, ImageSide, box_for
from craft.fit.image_sets import Images, chosen, part, whole
from craft.fit.own_side import own_of
from craft.learner.base import Learner
from craft.learner.folds import fold_name, fold_numbers
from craft.learner.own import Own

#: Name under which a box holds the few-shot training images.
TRAIN = "train"


def upload_name(copy: str) -> str:
    """Return the box's name of a copy of the training images; ``""`` is the images themselves."""
    return f"{TRAIN}-{copy}" if copy else TRAIN


def device_name(device: torch.device) -> str:
    """Return ``cpu``, or the name of the GPU and whether its float32 products use TF32 inputs."""
    if device.type != "cuda":
        return device.type
    exact = not torch.backends.cuda.matmul.allow_tf32
    return torch.cuda.get_device_name(device) + ("" if exact else ", TF32")


@dataclass(frozen=True)
class RunInputs:
    """Towers and features of one run."""

    learner: Learner
    device: torch.device
    dtypes: TextDtypes
    tower: Tower | Remote
    split: Split | None
    train: Mapping[str, Features | Uploaded]  # by upload: the images, and augmented copies
    tests: Mapping[str, Features | Uploaded]
    checksums: Mapping[str, str]  # role of each file that was read -> SHA-256 of its bytes
    indistinct: tuple[tuple[str, ...], ...] = ()  # classes that share a prompt
    vision: VisionTower | None = None  # where the learner has images encoded; then pixels of both
    pixels: Mapping[str, Pixels] = field(default_factory=dict)  # by upload
    test_pixels: Mapping[str, Pixels] = field(default_factory=dict)
    codes: Mapping[str, Features] = field(default_factory=dict)  # of the user's own image sets

    def own_side(self) -> dict[str, Mapping[str, Own]]:
        """Return the user's own images and codes as a keyword of ``fit`` and ``predict``.

        The result is empty for a learner without codes.
        """
        images = self.image_side()
        if images is None or not self.codes:
            return {}
        paths = {f"test/{name}": features.paths for name, features in self.tests.items()}
        return {
            "own": {
                name: own_of(
                    images.pixels[name], paths.get(name, self.split.paths), codes, self.device
                )
                for name, codes in self.codes.items()
            }
        }

    def image_sets(self) -> dict[str, Images]:
        """Return uploads by name: the split's images, their copies (raw or not) and every test set.

        For a learner that uploads images itself, only the split's images.
        """
        if self.learner.access == "uploads":
            return {TRAIN: chosen(self.train[TRAIN], self.split.paths, "unit", self.device)}
        sets = {f"test/{name}": whole(images, self.device) for name, images in self.tests.items()}
        for name, images in self.train.items():
            sets[name] = chosen(images, self.split.paths, "unit", self.device)
            if self.learner.options.feature_norm == "raw":
                sets[f"{name}-raw"] = chosen(images, self.split.paths, "raw", self.device)
        for name, rows in self._folds().items():
            sets[name] = part(sets[self.search_set()], rows)
        return sets

    def _folds(self) -> dict[str, torch.Tensor]:
        """Return the rows of each fold of the search's upload; empty without folds."""
        folds = self.learner.options.search_folds
        if folds == 1 or self.split is None:
            return {}
        numbers = fold_numbers(torch.tensor(self.split.labels), folds)
        rows = ((numbers == fold).nonzero().flatten() for fold in range(folds))
        return {fold_name(self.search_set(), n): each for n, each in enumerate(rows)}

    def image_side(self) -> ImageSide | None:
        """Return the image tower and decoded images of every upload; None without a tower."""
        if self.vision is None:
            return None
        pixels = {f"test/{name}": each.all() for name, each in self.test_pixels.items()}
        pixels |= {name: each.of(self.split.paths) for name, each in self.pixels.items()}
        for name, rows in self._folds().items():
            pixels[name] = pixels[self.search_set()].part(rows.numpy())
        return ImageSide(self.vision, pixels)

    def refine_sets(self) -> tuple[str, ...]:
        """Return uploads that train the refiner (or CoOp's context), by the learner's options."""
        options = self.learner.options
        suffix = "-raw" if options.feature_norm == "raw" else ""
        return tuple(upload_name(copy) + suffix for copy in options.refine_copies or ("",))

    def search_set(self) -> str:
        """Return the upload that scores candidates, by the option ``search_view``."""
        return upload_name(self.learner.options.search_copy)

    def box(self, run: str) -> Box:
        """Return a box for the run, of its learner's access; ``run`` names it to a service."""
        shots = len(self.split.labels) if self.split else 0
        images = self.image_side() if self.learner.options.encodes_images else None
        return box_for(self.learner, self.tower, self.image_sets(), shots, images, run)
