"""A black box in this process: a text tower and cached image features behind the protocol."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from craft.blackbox.text.prefix_sharing import TextTower
from craft.protocol import QueryMeter, check_question

#: Bytes of a yielded block by default, by kind of device.
BLOCK_BYTES = {"cpu": 256 << 20, "cuda": 640 << 20}


class LocalBox:
    """craft.protocol.BlackBox over a text tower: logits are scale * image @ text^T (Section 3.1).

    ``image_sets`` maps names to features (N, E), usually of unit norm; raw norms give the scores
    of mode ``released``. ``scale`` None takes the model's. ``max_block_bytes`` limits a yielded
    block and its text features. ``search_tower``, with the same prompts in faster arithmetic,
    replaces ``tower`` for questions of the search.
    """

    def __init__(
        self,
        tower: TextTower,
        image_sets: Mapping[str, torch.Tensor],
        *,
        meter: QueryMeter | None = None,
        scale: float | None = None,
        max_block_bytes: int | None = None,
        search_tower: TextTower | None = None,
    ) -> None:
        self.context_length = tower.context_length
        self.context_width = tower.context_width
        self.embedding_std = tower.embedding_std
        self.class_names = tower.class_names
        self.meter = QueryMeter() if meter is None else meter
        self._tower, self._search_tower = tower, tower if search_tower is None else search_tower
        self._scale = tower.logit_scale if scale is None else scale
        self._images = {name: _checked(name, images) for name, images in image_sets.items()}
        device = next((each.device.type for each in self._images.values()), "cpu")
        self._max_block_bytes = max_block_bytes or BLOCK_BYTES.get(device, BLOCK_BYTES["cpu"])
        widths = {name: images.shape[1] for name, images in self._images.items()}
        if len(set(widths.values())) > 1:
            raise ValueError(f"image sets of different feature widths: {widths}")
        self.image_sets = {name: len(images) for name, images in self._images.items()}
        for images in self._images.values():
            self.meter.charge_upload(len(images))

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K) for offsets (P, L, D); see craft.protocol.BlackBox.predict."""
        # Not a generator, so that an invalid call raises here and not at the first block.
        check_question(self, image_set, context_offsets)
        self.meter.charge(purpose, len(context_offsets))
        return self._blocks(image_set, context_offsets, self._tower_for(purpose))

    def _tower_for(self, purpose: str) -> TextTower:
        """Return the tower that answers questions of a purpose."""
        return self._search_tower if purpose == "search" else self._tower

    def _features(self, image_set: str) -> torch.Tensor:
        """Return the features (N, E) of an image set."""
        return self._images[image_set]

    def _text(self, offsets: torch.Tensor, tower: TextTower) -> torch.Tensor:
        """Return the text features (B, K, E) of a block of contexts."""
        return tower.encode(offsets)

    @torch.no_grad()
    def _blocks(
        self, image_set: str, offsets: torch.Tensor, tower: TextTower
    ) -> Iterator[torch.Tensor]:
        images, classes = self._features(image_set), len(self.class_names)
        (count, width), on_gpu = images.shape, images.device.type == "cuda"
        # Many contexts at once use a GPU whole; the scores of a few of them are held at a time.
        held = width if on_gpu else count + width
        for part in offsets.split(max(1, self._max_block_bytes // (4 * classes * held))):
            text = self._scale * self._text(part, tower)  # (P, K, E)
            images = images.to(text.device)
            if not on_gpu:
                logits = images @ text.flatten(0, 1).T  # (N, P K)
                yield logits.unflatten(1, (-1, classes)).transpose(0, 1)
                continue
            blocks = -(-4 * len(text) * classes * count // self._max_block_bytes)
            for few in text.chunk(blocks):  # (B, K, E)
                yield images.expand(len(few), -1, -1).bmm(few.transpose(1, 2))


def _checked(name: str, images: torch.Tensor) -> torch.Tensor:
    """Features (N, E) as float32; raises ValueError naming the image set."""
    if images.ndim != 2 or len(images) == 0:
        raise ValueError(f"image set {name!r}: features of shape {tuple(images.shape)}, not (N, E)")
    images = images.detach().to(torch.float32)
    if not torch.isfinite(images).all():
        raise ValueError(f"image set {name!r}: features that are not finite")
    return images
