"""Options of BlackVIP; no torch is needed to read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from craft.learner.declaration import Problem, option
from craft.learner.options import Options


@dataclass(frozen=True)
class BlackVIPOptions(Options):
    """Options of BlackVIP; the defaults are what most of its authors' settings by data set are."""

    #: Its authors draw a new crop of each image for each step; ten stand for them.
    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({"crops": 10})
    access = "uploads"

    encoder: str = option(
        "MAE-ViT-B-16", "backbone whose features are the codes of the user's own images"
    )
    code_length: float | None = option(
        None, "length that each code is scaled to; null leaves it as it is", above=0, most=1e6
    )
    trigger: int = option(
        800, "trained numbers beside a code in the decoder's input", least=0, most=1_000_000
    )
    channels: str = option(
        "64,32,32,16",
        "channels at the end of each stage of the decoder, which doubles the side of its map",
    )
    prompt_scale: float = option(
        0.3, "eps, weight of the prompt, in standard deviations of a colour", least=0, most=100
    )
    epochs: int = option(5000, "passes over the training images", least=1, most=1_000_000)
    steps: int | None = option(
        None, "steps of the search; null is what the epochs take", least=1, most=100_000_000
    )
    repeats: int = option(
        5, "R, perturbations that estimate a gradient, two losses each", least=1, most=10_000
    )
    batch_size: int = option(
        128, "images in a step; the last incomplete batch is dropped", least=1, most=1_000_000
    )
    gain: float = option(0.01, "a of the learning rate a / (t + o)^alpha", above=0, most=100)
    gain_offset: float = option(1.0, "o of the learning rate", least=0, most=1e6)
    gain_decay: float = option(0.4, "alpha of the learning rate", least=0, most=10)
    step: float = option(0.01, "c of the perturbation's size c / t^gamma", above=0, most=100)
    step_decay: float = option(0.2, "gamma of the perturbation's size", least=0, most=10)
    momentum: float = option(0.9, "Nesterov's momentum of the estimate", least=0, most=0.9999)
    crops: int = option(
        0,
        "crops of each image (8 % of its area or more, mirrored half of the time), which epochs "
        "take in turn; 0 is the images as they are",
        least=0,
        most=1000,
    )

    def conflicts(self) -> list[Problem]:
        """Return the problem of channels that are no numbers; the options of CMA-ES do nothing."""
        if re.fullmatch(r"[1-9]\d{0,3}(,[1-9]\d{0,3})*", self.channels):
            return []
        return [Problem("channels", self.channels, "numbers of 1 to 9999 with commas between")]

    @property
    def stages(self) -> tuple[int, ...]:
        """Return the channels at the end of each stage of the decoder."""
        return tuple(map(int, self.channels.split(",")))

    @property
    def own_codes(self) -> str:
        """Return the backbone of the codes."""
        return self.encoder

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Return the crops that epochs take in turn, else the views that every learner may use."""
        crops = tuple(f"crop-{crop}" for crop in range(1, self.crops + 1))
        return crops or super().refine_copies
