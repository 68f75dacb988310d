"""A feature box in this process: cached image features, and text features of a tower."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from craft.blackbox.text.tower import Tower
from craft.protocol import QueryMeter, check_image_set, check_offsets

#: Contexts whose text features form one block.
_BLOCK = 64


class LocalFeatureBox:
    """craft.protocol.FeatureBox over a text tower and unit image features (N, E) by name."""

    def __init__(
        self,
        tower: Tower,
        image_sets: Mapping[str, torch.Tensor],
        *,
        meter: QueryMeter | None = None,
    ) -> None:
        self.context_length, self.context_width = tower.context_length, tower.context_width
        self.embedding_std, self.class_names = tower.embedding_std, tower.class_names
        self.logit_scale = tower.logit_scale
        self.meter = QueryMeter() if meter is None else meter
        self._tower, self._images = tower, dict(image_sets)
        self.image_sets = {name: len(images) for name, images in self._images.items()}
        widths = {images.shape[1] for images in self._images.values()}
        if len(widths) != 1:
            raise ValueError(f"image sets: expected features of one width, got {sorted(widths)}")
        self.feature_width = widths.pop()
        for images in self._images.values():
            self.meter.charge_upload(len(images))

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set; one query."""
        check_image_set(self, image_set)
        self.meter.charge(purpose, 1)
        return self._images[image_set]

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield unit features (B, K, E) of the classes for contexts (P, L, D)."""
        check_offsets(self, context_offsets)
        self.meter.charge(purpose, len(context_offsets))
        return self._blocks(context_offsets)

    @torch.no_grad()
    def _blocks(self, offsets: torch.Tensor) -> Iterator[torch.Tensor]:
        for part in offsets.split(_BLOCK):
            yield self._tower.encode(part)
