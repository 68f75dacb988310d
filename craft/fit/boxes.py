"""Build the box of a learner, with exactly the access level that it declares."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from craft.blackbox.feature_box import LocalFeatureBox
from craft.blackbox.guards.features import GuardedFeatureBox
from craft.blackbox.guards.predictions import GuardedBox
from craft.blackbox.guards.uploads import GuardedUploadBox
from craft.blackbox.guards.visual_prompts import GuardedVisualBox
from craft.blackbox.images.vision_tower import VisionTower
from craft.blackbox.local_box import LocalBox
from craft.blackbox.text.prefix_sharing import TextTower
from craft.blackbox.text.tower import Tower
from craft.blackbox.upload_box import LocalUploadBox
from craft.blackbox.visual_box import LocalVisualBox
from craft.client.chosen import REMOTE
from craft.client.remote import Remote
from craft.files.pixels import PixelRows
from craft.fit.image_sets import Images
from craft.learner.base import Learner
from craft.protocol import BlackBox, FeatureBox, QueryMeter
from craft.whitebox.white_box import WhiteBox

Box = BlackBox | FeatureBox | WhiteBox


@dataclass(frozen=True)
class ImageSide:
    """Image tower and decoded images, for fits that encode images."""

    tower: VisionTower
    pixels: Mapping[str, PixelRows]  # by upload


def box_for(
    learner: Learner,
    tower: Tower | Remote,
    uploads: Mapping[str, Images],
    shots: int,
    images: ImageSide | None = None,
    run: str = "",
) -> Box:
    """Return the box of a run: a tower over its classes, and image features (N, E) by upload.

    ``shots`` is the number of training images, which a learner's budget may depend on. Learners
    that encode images need ``images``. ``run`` names the run to a service. Raises ValueError for
    missing ``images`` and for an unknown access level.
    """
    options, access = learner.options, learner.access
    if words := options.context_words:
        tower = tower.leading(words)
    elif options.context_tokens and access != "weights":  # white-box learners set their own
        tower = tower.with_context(torch.zeros(options.context_tokens, tower.context_width))
    if options.encodes_images and images is None:
        raise ValueError(f"{type(learner).__name__}: expected an image tower and pixels, got none")
    meter = QueryMeter(budget=learner.budget(shots, len(tower.class_names)))
    if isinstance(tower, Remote) and access not in REMOTE:
        raise ValueError(
            f"{type(learner).__name__}.access: expected {' or '.join(REMOTE)} of a service, got "
            f"{access!r}"
        )
    match access:
        case "predictions":
            return black_box(tower, uploads, meter, run)
        case "visual-prompts":
            box = LocalVisualBox(
                tower,
                uploads,
                images.tower,
                images.pixels,
                meter=meter,
                search_tower=tower_of_search(tower),
            )
            return GuardedVisualBox(box)
        case "uploads":
            return GuardedUploadBox(LocalUploadBox(tower, uploads, images.tower, meter=meter))
        case "features" if isinstance(tower, Remote):
            return GuardedFeatureBox(tower.box(access, uploads, meter, run))
        case "features":
            return GuardedFeatureBox(LocalFeatureBox(tower, uploads, meter=meter))
        case "weights":
            return WhiteBox(tower, uploads)
        case _:
            raise ValueError(
                f"{type(learner).__name__}.access: expected predictions, visual-prompts, uploads, "
                f"features or weights, got {access!r}"
            )


def black_box(
    tower: Tower | Remote,
    uploads: Mapping[str, Images],
    meter: QueryMeter | None = None,
    run: str = "",
) -> BlackBox:
    """Return a guarded black box with only these uploads."""
    if isinstance(tower, Remote):
        return GuardedBox(tower.box("predictions", uploads, meter or QueryMeter(), run))
    return GuardedBox(LocalBox(tower, uploads, meter=meter, search_tower=tower_of_search(tower)))


def tower_of_search(tower: Tower) -> Tower:
    """Return the tower for the search, which only a fast tower can have; None for others."""
    return tower.searching if isinstance(tower, TextTower) else tower
