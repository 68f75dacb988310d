"""A black box in this process that also accepts images and encodes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch

from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.protocol import QueryMeter, check_upload


class ImageSide(Protocol):
    """Interface of the image tower that encodes uploads."""

    size: int  # S, side of an image in pixels
    std: tuple[float, float, float]  # by colour, of values in 0..1

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Return unit features (n, E) of images (n, 3, S, S) in 0..1."""
        ...


class LocalUploadBox(LocalBox):
    """craft.protocol.UploadBox over a text tower, image features by name, and an image side.

    An upload is encoded at its first question, so that a query beyond the budget costs nothing.
    The text features of the last contexts are cached.
    """

    def __init__(
        self,
        tower: TextTower,
        image_sets: Mapping[str, torch.Tensor],
        image_side: ImageSide,
        *,
        meter: QueryMeter | None = None,
    ) -> None:
        super().__init__(tower, image_sets, meter=meter)
        self.image_size, self.image_std = image_side.size, image_side.std
        self._side, self._numbers = image_side, itertools.count(1)
        self._waiting: dict[str, torch.Tensor] = {}
        self._asked: tuple[torch.Tensor, torch.Tensor] | None = None

    def upload(self, images: torch.Tensor, purpose: str = "search") -> AbstractContextManager[str]:
        """Return a context with the name of the image set; see craft.protocol.UploadBox.upload."""
        check_upload(self.image_size, images)
        self.meter.charge(purpose, 0, len(images))
        return self._held(images)

    @contextmanager
    def _held(self, images: torch.Tensor) -> Iterator[str]:
        name = f"upload-{next(self._numbers)}"
        self._waiting[name], self.image_sets[name] = images, len(images)
        try:
            yield name
        finally:
            self._waiting.pop(name, None)
            self._images.pop(name, None)
            del self.image_sets[name]

    def _features(self, image_set: str) -> torch.Tensor:
        """Return the features (N, E) of an image set, which an upload has from now on."""
        if image_set in self._waiting:
            self._images[image_set] = self._side.encode(self._waiting.pop(image_set))
        return super()._features(image_set)

    def _text(self, offsets: torch.Tensor, tower: TextTower) -> torch.Tensor:
        """Return the text features (B, K, E) of a block of contexts; the last are cached."""
        if self._asked is None or not torch.equal(offsets, self._asked[0]):
            self._asked = offsets.clone(), super()._text(offsets, tower)
        return self._asked[1]
