"""Access level ``texts`` in this process: templates in, scores out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.tower import Tower
from craft.protocol import (
    QueryMeter,
    TextBox,
    check_image_set,
    check_question,
    check_templates,
)


class LocalTextBox:
    """craft.protocol.TextBox over image features (N, E) by name, as LocalBox has them.

    ``towers`` gives the text tower over the classes in a template.
    """

    answers = "logits"
    templates_per_call: int | None = None

    def __init__(
        self,
        towers: Callable[[str], Tower],
        class_names: Sequence[str],
        image_sets: Mapping[str, torch.Tensor],
        *,
        meter: QueryMeter | None = None,
    ) -> None:
        self.class_names = tuple(class_names)
        self.image_sets = {name: len(images) for name, images in image_sets.items()}
        self.meter = QueryMeter() if meter is None else meter
        self._towers, self._images = towers, dict(image_sets)
        self.meter.charge_upload(sum(self.image_sets.values()))

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits (1, N, K) for each template; see craft.protocol.TextBox.score."""
        check_image_set(self, image_set)
        check_templates(templates)
        boxes = [self._box(image_set, template) for template in templates]
        self.meter.charge(purpose, len(templates))
        return self._blocks(boxes, image_set)

    def _box(self, image_set: str, template: str) -> LocalBox:
        return LocalBox(self._towers(template), {image_set: self._images[image_set]})

    def _blocks(self, boxes: Sequence[LocalBox], image_set: str) -> Iterator[torch.Tensor]:
        for box in boxes:
            untouched = torch.zeros(1, box.context_length, box.context_width)
            yield from box.predict(image_set, untouched)


class FixedContextBox:
    """craft.protocol.BlackBox of a TextBox with one fixed template.

    Its contexts have no entry, L = D = 0. It suits learners that ask only at the untouched context:
    zero-shot, prediction refinement, Probe with one query.
    """

    context_length, context_width, embedding_std = 0, 0, 1.0

    def __init__(self, box: TextBox, template: str) -> None:
        check_templates([template])
        self.class_names, self.image_sets, self.meter = box.class_names, box.image_sets, box.meter
        self._box, self._template = box, template

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield scores (B, N, K) for offsets (P, 0, 0); see craft.protocol.BlackBox.predict."""
        check_question(self, image_set, context_offsets)
        return self._box.score(image_set, [self._template] * len(context_offsets), purpose)
