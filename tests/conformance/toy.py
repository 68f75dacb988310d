"""A toy box for each access level."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from craft.learner.base import Learner
from craft.learner.folds import fold_name, fold_numbers
from craft.learner.own import Own
from craft.protocol import QueryMeter, VisualSide, check_visual_prompts


class ToyBox:
    """Logits = ``scale`` * (true class one-hot - quadratic distance of the context to a target).

    The signal for the right class grows as the context nears ``target``; a fixed wrong bias per
    class, which no context removes, is what a refiner can learn away. Image sets "train" and
    "test" are drawn from the same law.
    """

    context_length, context_width, embedding_std = 2, 3, 0.5

    def __init__(self, classes: int = 4, per_class: int = 20, budget: int | None = None) -> None:
        generator = torch.Generator().manual_seed(7)
        self.class_names = tuple(f"class {k}" for k in range(classes))
        self.target = 0.4 * torch.randn(2, 3, generator=generator)
        self.bias = torch.linspace(0.0, 1.5, classes)
        self.labels = {}
        self._noise = {}
        for name in ("train", "test"):
            labels = torch.arange(classes).repeat_interleave(per_class)
            self.labels[name] = labels
            self._noise[name] = torch.randn(len(labels), classes, generator=generator)
        self.image_sets = {name: len(labels) for name, labels in self.labels.items()}
        self.meter = QueryMeter(budget=budget)
        self.asked: list[tuple[str, int, str]] = []

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield two candidates at a time, so that learners cannot rely on one block."""
        self.meter.charge(purpose, len(context_offsets))
        self.asked.append((image_set, len(context_offsets), purpose))
        labels = self.labels[image_set]
        hot = torch.nn.functional.one_hot(labels, len(self.class_names)).float()
        for block in context_offsets.split(2):
            distance = (block - self.target).square().sum(dim=(1, 2))  # (B,)
            signal = 4.0 * torch.exp(-distance)[:, None, None] * hot
            yield signal + self.bias + self._noise[image_set]

    def accuracy(self, logits: torch.Tensor, image_set: str) -> float:
        """Per cent of images whose largest logit is their label's."""
        return 100 * (logits.argmax(-1) == self.labels[image_set]).float().mean().item()


class ToyVisualBox(ToyBox):
    """A toy box that takes visual prompts too: of their tokens' directions, one makes it surer."""

    visual = VisualSide(most_tokens=4, width=3)

    def __init__(self, classes: int = 4, per_class: int = 20, budget: int | None = None) -> None:
        super().__init__(classes, per_class, budget)
        for fold in (0, 1):
            half = fold_numbers(self.labels["train"], 2) == fold
            name = fold_name("train", fold)
            self.labels[name] = self.labels["train"][half]
            self._noise[name] = self._noise["train"][half]
            self.image_sets[name] = int(half.sum())

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield what the toy box does, its signal turned up or down by the visual prompts."""
        blocks = super().predict(image_set, context_offsets, purpose)
        if visual_prompts is None:
            yield from blocks
            return
        check_visual_prompts(self.visual, visual_prompts, len(context_offsets))
        count = len(context_offsets) * self.image_sets[image_set]
        self.meter.images[purpose] += count
        hot = torch.nn.functional.one_hot(self.labels[image_set], len(self.class_names)).float()
        tokens = torch.nn.functional.normalize(visual_prompts, dim=-1)  # (P, V, W)
        for block, gain in zip(blocks, tokens[..., 0].mean(dim=1).split(2), strict=True):
            yield block + 2.0 * gain[:, None, None] * hot


class ToyTextBox:
    """A toy box that takes words: a template of n letters has a context of its own."""

    templates_per_call, answers = None, "logits"

    def __init__(self, **settings: int | None) -> None:
        self._box = ToyBox(**settings)
        self.class_names, self.image_sets = self._box.class_names, self._box.image_sets
        self.labels, self.meter, self.asked = self._box.labels, self._box.meter, self._box.asked

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for templates, each at the offset that its length names."""
        generator = torch.Generator()
        offsets = [
            0.5 * torch.randn(2, 3, generator=generator.manual_seed(len(template)))
            for template in templates
        ]
        yield from self._box.predict(image_set, torch.stack(offsets), purpose)


class ToyFeatureBox:
    """Unit features: images near a turned copy of their class's, texts that a context shifts.

    Alignment can undo the turn, and a context near ``target`` the texts' shift; logits at no offset
    are better than chance.
    """

    context_length, context_width, embedding_std = 1, 4, 0.5
    feature_width, logit_scale = 6, 20.0

    def __init__(self, classes: int = 4, per_class: int = 20, budget: int | None = None) -> None:
        generator = torch.Generator().manual_seed(7)
        self.class_names = tuple(f"class {k}" for k in range(classes))
        self.target = 0.4 * torch.randn(4, generator=generator)
        self._texts = torch.randn(classes, 6, generator=generator)
        self._mixing = torch.randn(4, 6, generator=generator)
        turned = torch.linalg.qr(torch.eye(6) + 0.6 * torch.randn(6, 6, generator=generator)).Q
        self.labels, self._images = {}, {}
        for name in ("train", "test"):
            labels = torch.arange(classes).repeat_interleave(per_class)
            noise = 0.5 * torch.randn(len(labels), 6, generator=generator)
            self.labels[name] = labels
            images = (self._texts[labels] + noise) @ turned
            self._images[name] = torch.nn.functional.normalize(images, dim=1)
        self.image_sets = {name: len(labels) for name, labels in self.labels.items()}
        self.meter = QueryMeter(budget=budget)
        self.asked: list[tuple[str, int, str]] = []

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set."""
        self.meter.charge(purpose, 1)
        self.asked.append((image_set, 1, purpose))
        return self._images[image_set]

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield two contexts at a time, so that learners cannot rely on one block."""
        self.meter.charge(purpose, len(context_offsets))
        for block in context_offsets.split(2):
            shift = (block[:, 0] - self.target) @ self._mixing  # (B, E)
            yield torch.nn.functional.normalize(self._texts + shift[:, None], dim=-1)


class ToyUploadBox:
    """Scores 8 x 8 images by patterns of their classes, all of them below one wrong veil.

    A prompt of the pixels can take the veil off; a context adds to the scores of a class. ``own``
    are the images and codes on the user's side, whose reads are noted in ``asked``.
    """

    context_length, context_width, embedding_std = 1, 4, 0.5
    image_size, image_std = 8, (0.3, 0.25, 0.2)

    def __init__(self, classes: int = 4, per_class: int = 20, budget: int | None = None) -> None:
        generator = torch.Generator().manual_seed(7)
        self.class_names = tuple(f"class {k}" for k in range(classes))
        self._patterns = torch.randn(classes, 3, 8, 8, generator=generator)
        self._shift = torch.randn(4, classes, generator=generator)
        encoder = torch.randn(192, 4, generator=generator)
        veil = 0.15 * (self._patterns[0] - self._patterns[1])
        self.asked: list[tuple[str, int, str]] = []
        self.labels, self._images, self.own = {}, {}, {}
        for name in ("train", "test"):
            labels = torch.arange(classes).repeat_interleave(per_class)
            noise = 0.1 * torch.randn(len(labels), 3, 8, 8, generator=generator)
            images = (0.5 + 0.1 * self._patterns[labels] + veil + noise).clamp(0, 1)
            decoded = (255 * images).round().to(torch.uint8)
            self.labels[name], self._images[name] = labels, decoded / 255
            pixels = ToyPixels(name, decoded.permute(0, 2, 3, 1).numpy(), self.asked)
            self.own[name] = Own(pixels, (decoded / 255 - 0.5).flatten(1) @ encoder)
        self.image_sets = {name: len(labels) for name, labels in self.labels.items()}
        self.meter = QueryMeter(budget=budget)

    @contextlib.contextmanager
    def upload(self, images: torch.Tensor, purpose: str = "search") -> Iterator[str]:
        """Give a name to images (n, 3, 8, 8) and forget it at the end."""
        name = f"upload {sum(self.meter.images.values())}"
        self.meter.charge(purpose, 0, len(images))
        self._images[name], self.image_sets[name] = images, len(images)
        try:
            yield name
        finally:
            del self._images[name], self.image_sets[name]

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield two contexts at a time, so that learners cannot rely on one block."""
        self.meter.charge(purpose, len(context_offsets))
        scores = (self._images[image_set] - 0.5).flatten(1) @ self._patterns.flatten(1).T
        for block in context_offsets.split(2):
            yield 0.3 * scores + (block[:, 0] @ self._shift)[:, None]


class ToyPixels:
    """Decoded images that note who reads them."""

    def __init__(self, name: str, images: np.ndarray, asked: list[tuple[str, int, str]]) -> None:
        self._name, self._images, self._asked = name, images, asked

    def __len__(self) -> int:
        return len(self._images)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return images (n, 8, 8, 3) uint8."""
        self._asked.append((self._name, len(rows), "pixels"))
        return self._images[rows]


#: Access level -> toy box.
TOYS = {
    "texts": ToyTextBox,
    "predictions": ToyBox,
    "visual-prompts": ToyVisualBox,
    "features": ToyFeatureBox,
    "uploads": ToyUploadBox,
}


def own_side(learner: Learner, box: ToyUploadBox) -> dict[str, Any]:
    """Return what of the user's own side ``fit`` and ``predict`` are given, as keywords."""
    return {"own": box.own} if learner.options.own_codes else {}
