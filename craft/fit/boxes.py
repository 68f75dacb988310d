"""A box for a learner: of the access level that it declares, and no richer one."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from craft.blackbox.feature_box import LocalFeatureBox
from craft.blackbox.guarded_box import GuardedBox, GuardedFeatureBox
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.tower import Tower
from craft.learner.base import Learner
from craft.protocol import BlackBox, FeatureBox, QueryMeter
from craft.whitebox.box import WhiteBox

Box = BlackBox | FeatureBox | WhiteBox


def box_for(learner: Learner, tower: Tower, uploads: Mapping[str, torch.Tensor], shots: int) -> Box:
    """Return the box of a run: a tower over its classes, and image features (N, E) by upload.

    ``shots`` is the number of training images, which a learner's budget may depend on. Raises
    ValueError for an access level that no box here gives.
    """
    if words := learner.options.context_words:
        tower = tower.leading(words)
    meter = QueryMeter(budget=learner.budget(shots, len(tower.class_names)))
    match learner.access:
        case "predictions":
            return black_box(tower, uploads, meter)
        case "features":
            return GuardedFeatureBox(LocalFeatureBox(tower, uploads, meter=meter))
        case "weights":
            return WhiteBox(tower, uploads)
        case _:
            raise ValueError(
                f"{type(learner).__name__}.access: expected predictions, features or weights, "
                f"got {learner.access!r}"
            )


def black_box(
    tower: Tower, uploads: Mapping[str, torch.Tensor], meter: QueryMeter | None = None
) -> BlackBox:
    """Return a guarded black box that holds these uploads alone."""
    return GuardedBox(LocalBox(tower, uploads, meter=meter))
