"""Options of the classifiers of image features; no torch is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from craft.learner.declaration import Problem, option
from craft.learner.options import Options


@dataclass(frozen=True)
class ClassifierOptions(Options):
    """Options of GDA and CLAP: nothing is searched, and those of a search have no effect."""

    access = "features"
    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def conflicts(self) -> list[Problem]:
        """Return no problem: there is no population."""
        return []


@dataclass(frozen=True)
class GDAOptions(ClassifierOptions):
    """Options of GDA; the defaults are its authors', but for how its weight is chosen."""

    views: int = option(
        10, "augmented copies whose features are pooled; 0 is the images alone", least=0, most=1000
    )
    classifier_weight: float | None = option(
        None,
        "alpha, weight of the discriminant beside zero-shot; null is cross-validated on the shots",
        least=0,
        most=1e6,
    )
    folds: int = option(4, "most folds of the shots that choose alpha", least=2, most=64)


@dataclass(frozen=True)
class CLAPOptions(ClassifierOptions):
    """Options of CLAP; the defaults are its authors', for services that give unit features."""

    crops: int = option(
        20,
        "crops of each image (8 % of its area or more, mirrored half of the time) whose features "
        "are pooled; 0 is the images as they are",
        least=0,
        most=1000,
    )
    penalised: bool = option(True, "keep prototypes near the class names' features; false is ZS-LP")
    text_norm: float = option(
        10.0,
        "length of the text features before they are normed, which a service does not give: the "
        "authors' learning rate and penalty are for prototypes of that length",
        above=0,
        most=1000,
    )
    learning_rate: float = option(0.1, "learning rate of the prototypes", above=0, most=100)
    warmup_rate: float = option(1e-5, "learning rate of the first epoch", least=0, most=100)
    momentum: float = option(0.9, "momentum of SGD", least=0, most=1)
    epochs: int = option(300, "passes, each over as many rows as images", least=1, most=100_000)
    batch_size: int = option(256, "rows in a step", least=1, most=1_000_000)

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Crops that are pooled, else the views that every learner may use."""
        crops = tuple(f"crop-{crop}" for crop in range(1, self.crops + 1))
        return crops or super().refine_copies
