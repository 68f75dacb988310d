"""Options of the learners that are given features; no torch is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

from craft.learner.declaration import Problem, option
from craft.learner.options import Options

#: Epochs of CBBT's authors: 150, and fewer on larger data sets, which their files here say.
_EPOCHS = 150


@dataclass(frozen=True)
class LFAOptions(Options):
    """Options of LFA; the defaults are those of its released code, one setting for all data sets.

    ``iterations`` is the median of the authors' own, which differ 70-fold between data sets.
    """

    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({"completion": "svd"})
    access = "features"

    iterations: int = option(
        200,
        "T, steps that refine the alignment; 0 leaves it as it was found",
        least=0,
        most=100_000,
    )
    shrinkage: float | None = option(
        None, "b, weight of the identity; null is chosen by cross-validation", least=0, most=1
    )
    shrinkage_values: int = option(
        25, "values of b from 0 to 1 that cross-validation tries", least=2, most=1000
    )
    splits: int = option(3, "random splits of the shots that score one b", least=1, most=1000)
    completion: str = option(
        "nearest",
        "which orthogonal map where fewer classes than dimensions leave it open: the one nearest "
        "to the identity, or the one that the decomposition happens to give (the released code)",
        accepted=("nearest", "svd"),
    )
    crops: int = option(
        1, "1: the test view; 5: also the four corners, of which two differ", accepted=(1, 5)
    )
    batch_share: float = option(
        0.75, "share of the images in a step, where there is one crop", above=0, most=1
    )
    learning_rate: float = option(5e-4, "learning rate of AdamW", above=0, most=100)
    weight_decay: float = option(5e-4, "weight decay, towards 0", least=0, most=100)
    neighbours: int = option(3, "nearest prototypes in the loss", least=1, most=1000)
    margin_scale: float = option(
        4.0, "a margin is the distance 1 - cosine of two prototypes by this", above=0, most=1000
    )
    noise: float = option(
        0.035, "standard deviation of noise on features, in half of the steps", least=0, most=10
    )
    dropout: float = option(
        0.05, "share of features that are dropped, in half of the steps", least=0, most=0.99
    )

    def conflicts(self) -> list[Problem]:
        """Return no problem: the options of a search have no effect."""
        return []

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Return the ends of the images beside their centre, where five crops are taken."""
        return ("", "end-1", "end-2") if self.crops == 5 else ()


@dataclass(frozen=True)
class CBBTOptions(Options):
    """Options of CBBT; the adapter's code is not released, so that its options are a proposal."""

    #: Its authors draw a new copy of each image for each step; ten stand for them.
    RELEASED: ClassVar[Mapping[str, Any]] = MappingProxyType({"cutouts": 10})
    access = "features"

    context_words: int = option(
        1, "M, leading words of the prompt's context that are shifted; 1 is 'a'", least=1, most=16
    )
    directions: int = option(
        256, "q, random directions whose losses estimate a gradient", least=1, most=100_000
    )
    radius: float | None = option(
        None, "length of a step along a direction; null is max(1 / n, 0.001)", above=0, most=100
    )
    epochs: int = option(_EPOCHS, "passes over the training images", least=1, most=100_000)
    learning_rate: float = option(2e-3, "learning rate of the prompt", above=0, most=100)
    weight_decay: float = option(5e-4, "L2 penalty of the prompt's offset", least=0, most=100)
    warmup_rate: float = option(
        1e-5, "constant learning rate of the first epoch", least=0, most=100
    )
    clip: float = option(5.0, "largest length of a gradient", above=0, most=1e6)
    batch_size: int = option(
        32, "images in a step; the last incomplete batch is dropped", least=1, most=1_000_000
    )
    adapter: bool = option(True, "train a residual adapter of image features beside the prompt")
    adapter_ratio: float = option(
        0.2, "share of the adapter's output in a feature", least=0, most=1
    )
    adapter_rate: float = option(1e-3, "learning rate of the adapter", above=0, most=100)
    adapter_reduction: int = option(
        4, "the adapter's hidden width is that of a feature by this", least=1, most=1024
    )

    cutouts: int = option(
        0,
        "its authors' augmented copies, which epochs take in turn: crops of half of the area or "
        "more, and squashed images with a square in one colour; 0 is the images as they are",
        least=0,
        most=1000,
    )

    @property
    def refine_copies(self) -> tuple[str, ...]:
        """Return the cutouts that epochs take in turn, else the views of every learner."""
        cutouts = tuple(f"cutout-{n}" for n in range(1, self.cutouts + 1))
        return cutouts or super().refine_copies

    def conflicts(self) -> list[Problem]:
        """Return no problem: the budget is what the epochs ask for."""
        return []
