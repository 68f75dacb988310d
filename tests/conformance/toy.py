"""A toy black box whose best context is known in closed form."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from craft.protocol import QueryMeter


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


#: Access level -> toy box.
TOYS = {"predictions": ToyBox, "features": ToyFeatureBox}
