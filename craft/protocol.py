"""The black box as learners see it (paper, Section 3.1); imports nothing else of this project.

A learner names the access level that it needs, and gets a box of exactly that level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import torch

#: What a query is made for. The paper counts the CMA-ES candidates only ("search"); the record
#: states the others too: prompts scored to train or test the refiner.
PURPOSES = ("search", "refine", "evaluate")

#: What an image is encoded for: when it is uploaded for good, or for a query.
IMAGE_PURPOSES = ("upload", *PURPOSES)

#: Access levels and the protocol of each. A box of visual prompts or uploads is a box of
#: predictions too; features and weights are answers of another kind.
ACCESS = {
    "predictions": "BlackBox",
    "visual-prompts": "VisualBox",
    "uploads": "UploadBox",
    "texts": "TextBox",
    "features": "FeatureBox",
    "weights": "WhiteBox",
}


class BudgetExceeded(RuntimeError):
    """A query was refused because it would have exceeded the budget."""


@dataclass
class QueryMeter:
    """Counts queries (one context scored on one image set) by purpose, and enforces budgets.

    ``budget`` limits the purpose "search", as the paper counts; ``total_budget`` limits the sum,
    as an invoice would. ``None`` is no limit. ``images`` counts image encodings by the service.
    """

    budget: int | None = None
    total_budget: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PURPOSES, 0))
    images: dict[str, int] = field(default_factory=lambda: dict.fromkeys(IMAGE_PURPOSES, 0))

    @property
    def total(self) -> int:
        """Queries of every purpose so far."""
        return sum(self.counts.values())

    def charge(self, purpose: str, queries: int, images: int = 0) -> None:
        """Add ``queries``, and ``images`` encoded for them, to ``purpose``.

        Raises ValueError and BudgetExceeded, and then adds nothing.
        """
        if purpose not in PURPOSES:
            raise ValueError(f"purpose: expected one of {', '.join(PURPOSES)}, got {purpose!r}")
        searched = self.counts["search"] + (queries if purpose == "search" else 0)
        if self.budget is not None and searched > self.budget:
            raise BudgetExceeded(f"{searched} search queries asked of a budget of {self.budget}")
        if self.total_budget is not None and self.total + queries > self.total_budget:
            raise BudgetExceeded(
                f"{self.total + queries} queries asked of a total budget of {self.total_budget}"
            )
        self.counts[purpose] += queries
        self.images[purpose] += images

    def charge_upload(self, images: int) -> None:
        """Add ``images`` that the service encoded at their upload."""
        self.images["upload"] += images


@runtime_checkable
class BlackBox(Protocol):
    """Everything that a learner sees of a model: declared facts, and predictions for contexts.

    Every context is ``p0 + offset``, where p0 is the box's own initial context; a learner never
    sees p0, embeddings, features, gradients or weights.
    """

    context_length: int  # L, context tokens that a learner may shift
    context_width: int  # D, width of a token embedding
    embedding_std: float  # declared scale of one token-embedding entry, the unit of an offset
    class_names: Sequence[str]  # K names, in logit order
    image_sets: Mapping[str, int]  # uploaded image sets: name -> number of images N
    meter: QueryMeter

    def predict(
        self, image_set: str, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield logits for P contexts in blocks (B, N, K) that add up to P, in order.

        ``context_offsets``: (P, L, D). Blocks are as large as the box's memory allows, so that
        P x N x K need not fit into memory. Each context is one query, charged before any
        computation. Raises KeyError (image set not uploaded), ValueError (shape or non-finite
        offset) and BudgetExceeded.
        """
        ...


class VisualSide(NamedTuple):
    """Facts of a box's image side; visual prompt tokens have no declared scale."""

    most_tokens: int  # visual prompt tokens that it takes
    width: int  # W, width of one token


@runtime_checkable
class VisualBox(BlackBox, Protocol):
    """A black box that also accepts visual prompt tokens, appended to each image's tokens."""

    visual: VisualSide

    def predict(
        self,
        image_set: str,
        context_offsets: torch.Tensor,
        purpose: str = "search",
        visual_prompts: torch.Tensor | None = None,
    ) -> Iterator[torch.Tensor]:
        """Yield logits as a black box does, row i of ``visual_prompts`` (P, V, W) with context i.

        None means no tokens. With tokens, every image is encoded again for every context, which
        the meter counts. Also raises ValueError for prompts of another shape.
        """
        ...


@runtime_checkable
class UploadBox(BlackBox, Protocol):
    """A black box that accepts new images during a fit, for one question or a few."""

    image_size: int  # S, side of an image in pixels
    image_std: tuple[float, float, float]  # the unit of a change of a 0..1 pixel, by colour

    def upload(self, images: torch.Tensor, purpose: str = "search") -> AbstractContextManager[str]:
        """Return a context manager with the name of an image set, which it deletes at its end.

        ``images`` (n, 3, S, S) float in 0..1; each is encoded once, for ``purpose``. Raises
        ValueError for another shape or range.
        """
        ...


@runtime_checkable
class FeatureBox(Protocol):
    """A service that returns features of images and texts; the learner multiplies them itself."""

    context_length: int
    context_width: int
    embedding_std: float
    class_names: Sequence[str]
    image_sets: Mapping[str, int]
    meter: QueryMeter
    feature_width: int  # E
    logit_scale: float  # logits are this times the cosine of an image's and a text's features

    def image_features(self, image_set: str, purpose: str = "refine") -> torch.Tensor:
        """Return unit features (N, E) of an image set; one query. Raises KeyError."""
        ...

    def text_features(
        self, context_offsets: torch.Tensor, purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield unit features in blocks (B, K, E) for contexts (P, L, D), one query each.

        Raises ValueError and BudgetExceeded.
        """
        ...


@runtime_checkable
class TextBox(Protocol):
    """A service that scores images against texts: class names in templates.

    It accepts no soft prompts, so it has no offsets and no widths.
    """

    class_names: Sequence[str]  # K names, in the order of scores
    image_sets: Mapping[str, int]  # uploaded image sets: name -> number of images N
    meter: QueryMeter
    templates_per_call: int | None  # None: no limit
    answers: str  # "logits", or "log-probabilities", which are centred over classes

    def score(
        self, image_set: str, templates: Sequence[str], purpose: str = "search"
    ) -> Iterator[torch.Tensor]:
        """Yield scores in blocks (B, N, K) for P templates, in order; ``{}`` is the class name.

        Each template is one query, charged before any computation. Raises KeyError (image set not
        uploaded), ValueError (a template without exactly one ``{}``) and BudgetExceeded.
        """
        ...


class Facts(Protocol):
    """Facts that boxes of all levels except weights declare, for checks of questions."""

    context_length: int
    context_width: int
    image_sets: Mapping[str, int]


def check_image_set(box: Facts | TextBox, image_set: str) -> None:
    """Raise KeyError for an image set that is not uploaded."""
    if image_set not in box.image_sets:
        known = ", ".join(box.image_sets) or "none"
        raise KeyError(f"image set {image_set!r} is not uploaded; uploaded: {known}")


def check_templates(templates: Sequence[str]) -> None:
    """Raise ValueError without templates, and for a template without exactly one ``{}``."""
    if not templates:
        raise ValueError("templates: expected at least 1, got 0")
    for template in templates:
        if template.count("{}") != 1:
            raise ValueError(f"template: expected {{}} exactly once, got {template!r}")


def check_offsets(box: Facts, context_offsets: torch.Tensor) -> None:
    """Raise ValueError for offsets (P, L, D) of another shape than the box's, or not finite."""
    expected = (box.context_length, box.context_width)
    if context_offsets.ndim != 3 or tuple(context_offsets.shape[1:]) != expected:
        raise ValueError(
            f"context offsets of shape {tuple(context_offsets.shape)}, not "
            f"(P, {expected[0]}, {expected[1]})"
        )
    if not torch.isfinite(context_offsets).all():
        raise ValueError("context offsets that are not finite")


def check_question(box: Facts, image_set: str, context_offsets: torch.Tensor) -> None:
    """Raise KeyError for an unknown image set, and ValueError for invalid offsets."""
    check_image_set(box, image_set)
    check_offsets(box, context_offsets)


def check_visual_prompts(side: VisualSide, visual_prompts: torch.Tensor, contexts: int) -> None:
    """Raise ValueError for visual prompts that are not (P, V, W), V in 1..most, or not finite."""
    shape = tuple(visual_prompts.shape)
    right = len(shape) == 3 and shape[0] == contexts and shape[2] == side.width
    if not right or not 1 <= shape[1] <= side.most_tokens:
        raise ValueError(
            f"visual prompts: expected shape ({contexts}, 1 to {side.most_tokens}, {side.width}), "
            f"got {shape}"
        )
    if not torch.isfinite(visual_prompts).all():
        raise ValueError("visual prompts: expected finite numbers, got others")


def check_upload(size: int, images: torch.Tensor) -> None:
    """Raise ValueError for images that are not (n, 3, S, S) floats in 0..1."""
    if images.ndim != 4 or tuple(images.shape[1:]) != (3, size, size) or not len(images):
        raise ValueError(
            f"upload: expected images of shape (n, 3, {size}, {size}), got {tuple(images.shape)}"
        )
    low, high = images.aminmax()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"upload: expected pixels in 0..1, got {low:g} to {high:g}")
