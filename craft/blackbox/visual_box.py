"""A black box in this process that accepts visual prompts and encodes the images with each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch

from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.files.pixels import PixelRows
from craft.protocol import QueryMeter, VisualSide, check_question, check_visual_prompts

#: Largest number of visual prompt tokens of a question.
MOST_TOKENS = 256


class LocalVisualBox(LocalBox):
    """craft.protocol.VisualBox over both towers; without visual prompts a ``LocalBox``.

    ``pixels`` are the images of the image sets that may be prompted. Images are read block by
    block, and all candidates of a question run on a block before the next is read.
    """

    def __init__(
        self,
        tower: TextTower,
        image_sets: Mapping[str, torch.Tensor],
        images: VisionTower,
        pixels: Mapping[str, PixelRows],
        *,
        meter: QueryMeter | None = None,
        search_tower: TextTower | None = None,
    ) -> None:
        super().__init__(tower, image_sets, meter=meter, search_tower=search_tower)
        self.visual = VisualSide(MOST_TOKENS, images.width)
        self._vision, self._pixels = images, dict(pixels)
        for name, rows in self._pixels.items():
            if len(rows) != self.image_sets[name]:
                raise ValueError(
                    f"image set {name!r}: expected the pixels of {self.image_sets[name]} images, "
                    f"got {len(rows)}"
                )

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield logits (B, N, K); see craft.protocol.VisualBox.predict."""
        if visual_prompts is None:
            return super().predict(image_set, context_offsets, purpose)
        check_question(self, image_set, context_offsets)
        check_visual_prompts(self.visual, visual_prompts, len(context_offsets))
        if image_set not in self._pixels:
            raise ValueError(f"image set {image_set!r}: expected pixels to prompt, got features")
        contexts, count = len(context_offsets), self.image_sets[image_set]
        self.meter.charge(purpose, contexts, images=contexts * count)
        towers = self._tower_for(purpose), self._vision
        if purpose == "search":
            towers = towers[0], self._vision.searching
        return self._prompted(self._pixels[image_set], context_offsets, visual_prompts, *towers)

    @torch.no_grad()
    def _prompted(
        self,
        pixels: PixelRows,
        offsets: torch.Tensor,
        prompts: torch.Tensor,
        tower: TextTower,
        vision: VisionTower,
    ) -> Iterator[torch.Tensor]:
        per_context = 4 * len(pixels) * (len(self.class_names) + vision.feature_width)
        size = max(1, self._max_block_bytes // per_context)
        for some, visual in zip(offsets.split(size), prompts.split(size), strict=True):
            features = vision.encode_prompted(self._read(pixels), visual)  # (B, N, E)
            texts = self._scale * tower.encode(some)  # (B, K, E)
            # One by one, so that a candidate's bits do not depend on the others.
            both = zip(features, texts, strict=True)
            yield torch.stack([images @ text.T for images, text in both])

    def _read(self, pixels: PixelRows) -> Iterator[torch.Tensor]:
        """Yield images (n, 3, S, S) in 0..1, in as few and equal blocks as the tower takes."""
        blocks = -(-len(pixels) // self._vision.unit)
        for rows in np.array_split(np.arange(len(pixels)), blocks):
            images = torch.from_numpy(pixels.read(rows)).to(self._vision.device)
            yield images.permute(0, 3, 1, 2).to(torch.float32) / 255
