"""Probe for services that accept only texts: its contexts are templates (``TextProbe``)."""

from __future__ import annotations

from typing import ClassVar, cast

import torch

from craft.learner.divergence import BOX, require_finite
from craft.learner.probe import Probe
from craft.learner.probe_options import TextProbeOptions
from craft.protocol import BlackBox, TextBox


class TextProbe(Probe):
    """One query for each template; the first template's scores are the anchor."""

    Options: ClassVar[type[TextProbeOptions]] = TextProbeOptions
    options: TextProbeOptions

    def _place(self, box: BlackBox, seed: int) -> None:
        """Do nothing: templates replace contexts, and nothing is drawn."""
        del box, seed
        self.offset_ = torch.zeros(1, 0, 0)

    def _ask(self, box: BlackBox, image_set: str, purpose: str) -> torch.Tensor:
        """Return scores (P, N, K) at the templates; raises Diverged."""
        templates = self.options.pool[: self.options.queries]
        blocks = cast("TextBox", box).score(image_set, templates, purpose)
        return require_finite(torch.cat(list(blocks)), f"scores of texts on {image_set!r}", BOX)
