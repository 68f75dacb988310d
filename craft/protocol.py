"""The black box as a learner may see it; imports nothing else of ours (paper, Section 3.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

#: What a query is made for. The paper counts the CMA-ES candidates only ("search"); the record
#: states the others too: prompts scored to train or test the refiner.
PURPOSES = ("search", "refine", "evaluate")


class BudgetExceeded(RuntimeError):
    """A query was refused because it would have exceeded the budget."""


@dataclass
class QueryMeter:
    """Counts queries (one context scored on one image set) by purpose and refuses past a budget.

    ``budget`` bounds the purpose "search", as the paper counts; ``total_budget`` bounds the sum,
    as an invoice would. ``None`` is no bound.
    """

    budget: int | None = None
    total_budget: int | None = None
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PURPOSES, 0))

    @property
    def total(self) -> int:
        """Queries of every purpose so far."""
        return sum(self.counts.values())

    def charge(self, purpose: str, queries: int) -> None:
        """Add ``queries`` to ``purpose``; raises ValueError, BudgetExceeded (nothing is added)."""
        if purpose not in PURPOSES:
            raise ValueError(f"unknown query purpose {purpose!r}; accepted: {', '.join(PURPOSES)}")
        searched = self.counts["search"] + (queries if purpose == "search" else 0)
        if self.budget is not None and searched > self.budget:
            raise BudgetExceeded(f"{searched} search queries asked of a budget of {self.budget}")
        if self.total_budget is not None and self.total + queries > self.total_budget:
            raise BudgetExceeded(
                f"{self.total + queries} queries asked of a total budget of {self.total_budget}"
            )
        self.counts[purpose] += queries


@runtime_checkable
class BlackBox(Protocol):
    """All that a learner holds of a model: declared facts, and predictions for contexts.

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
        P x N x K is never held where it does not fit. Each context is one query, charged before
        anything is computed. Raises KeyError (image set not uploaded), ValueError (shape or
        non-finite offset) and BudgetExceeded.
        """
        ...


def check_question(box: BlackBox, image_set: str, context_offsets: torch.Tensor) -> None:
    """Refuse what no box can answer: offsets (P, L, D) that are not its own, or not finite.

    Raises KeyError for an image set that is not uploaded, ValueError for the offsets.
    """
    if image_set not in box.image_sets:
        known = ", ".join(box.image_sets) or "none"
        raise KeyError(f"image set {image_set!r} is not uploaded; uploaded: {known}")
    expected = (box.context_length, box.context_width)
    if context_offsets.ndim != 3 or tuple(context_offsets.shape[1:]) != expected:
        raise ValueError(
            f"context offsets of shape {tuple(context_offsets.shape)}, not "
            f"(P, {expected[0]}, {expected[1]})"
        )
    if not torch.isfinite(context_offsets).all():
        raise ValueError("context offsets that are not finite")
