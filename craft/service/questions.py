"""Charged questions: the price of each, its hash, and the computation of its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.tokenise import PromptError
from craft.client.wire import digest
from craft.protocol import check_offsets
from craft.service.charges import Price
from craft.service.image_sets import ImageSet, ImageSetError, ImageSets
from craft.service.limits import Limits
from craft.service.model import Model, Task
from craft.service.problem_details import Problem

_SET = "images"


@dataclass(frozen=True)
class Question:
    """A charged question."""

    payload: str  # hash of all that decides the answer
    price: Price
    image_set: str
    shape: tuple[int, int, int]  # of the whole answer
    compute: Callable[[], Iterator[torch.Tensor]]


class Questions:
    """The questions about image sets that a model answers. Raises Problem 409, 413 or 422."""

    def __init__(self, model: Model, image_sets: ImageSets, limits: Limits) -> None:
        self._model, self._image_sets, self._limits = model, image_sets, limits

    def predict(self, task: Task, images: ImageSet, offsets: torch.Tensor) -> Question:
        """Return the question for logits (P, N, K) of contexts (P, L, D) on an image set."""
        tower = self._model.tower(task)
        _check(tower, offsets)
        self._bounded(len(offsets), tower.positions)
        box = self._box(tower, images)
        return Question(
            payload=self._digest("predict", task, images, *_of(offsets)),
            price=Price(len(offsets), len(offsets) * images.images),
            image_set=images.name,
            shape=(len(offsets), images.images, len(task.class_names)),
            compute=lambda: box.predict(_SET, offsets),
        )

    def texts(self, task: Task, images: ImageSet, templates: Sequence[str]) -> Question:
        """Return the question for logits (P, N, K) in P templates on an image set."""
        count = len(templates)
        told = [Task(task.class_names, template) for template in templates]
        try:
            towers = [self._model.tower(each) for each in told]
        except PromptError as error:
            raise Problem(422, str(error)) from None
        self._bounded(1, sum(tower.positions for tower in towers))
        boxes = [self._box(tower, images) for tower in towers]

        def compute() -> Iterator[torch.Tensor]:
            for box in boxes:
                untouched = torch.zeros(1, box.context_length, box.context_width)
                yield from box.predict(_SET, untouched)

        return Question(
            payload=self._digest("texts", task, images, *templates),
            price=Price(count, count * images.images),
            image_set=images.name,
            shape=(count, images.images, len(task.class_names)),
            compute=compute,
        )

    def text_features(self, task: Task, offsets: torch.Tensor) -> Question:
        """Return the question for unit features (P, K, E) of classes for contexts (P, L, D)."""
        tower = self._model.tower(task)
        _check(tower, offsets)
        self._bounded(len(offsets), tower.positions)

        @torch.no_grad()
        def compute() -> Iterator[torch.Tensor]:
            for part in offsets.split(_FEATURES_OF):
                yield tower.encode(part)

        return Question(
            payload=self._digest("text-features", task, None, *_of(offsets)),
            price=Price(len(offsets), 0),
            image_set="",
            shape=(len(offsets), len(task.class_names), self._model.feature_width),
            compute=compute,
        )

    def image_features(self, images: ImageSet) -> Question:
        """Return the question for features (1, N, E) of an image set."""
        features = self._features(images)
        return Question(
            payload=self._digest("image-features", None, images),
            price=Price(1, 0),
            image_set=images.name,
            shape=(1, *features.shape),
            compute=lambda: iter([features[None]]),
        )

    def _digest(
        self, what: str, task: Task | None, images: ImageSet | None, *parts: str | bytes
    ) -> str:
        of = [each.digest if each else "" for each in (task, images)]
        return digest(what, self._model.revision, *of, *parts)

    def _box(self, tower: object, images: ImageSet) -> LocalBox:
        return LocalBox(tower, {_SET: self._features(images)})

    def _features(self, images: ImageSet) -> torch.Tensor:
        try:
            return self._image_sets.features(images)
        except ImageSetError as error:
            raise Problem(409, str(error)) from None

    def _bounded(self, contexts: int, positions: int) -> None:
        asked, most = contexts * positions, self._limits.token_positions
        if asked > most:
            raise Problem(
                413, f"contexts x positions of the prompts: expected at most {most}, got {asked}"
            )


#: Contexts whose text features form one block, as in craft.blackbox.feature_box.
_FEATURES_OF = 64


def _check(tower: object, offsets: torch.Tensor) -> None:
    try:
        check_offsets(tower, offsets)
        if not len(offsets):
            raise ValueError("offsets: expected one context or more, got none")
    except ValueError as error:
        raise Problem(422, str(error)) from None


def _of(offsets: torch.Tensor) -> tuple[str, bytes]:
    return str(tuple(offsets.shape)), offsets.contiguous().numpy().tobytes()
