"""A convex head on the scores of a few contexts, one of them the box's own (``Probe``).

A method of this project, not of a paper. With one query it uses the scores of the shots at the
untouched context; with more queries, also their change at random contexts around it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Self

import torch

from craft.learner.base import Answer, Learner, Progress, percent_right
from craft.learner.divergence import BOX, require_finite
from craft.learner.head import Asked, Head
from craft.learner.probe_options import ProbeOptions
from craft.learner.workload import Work
from craft.protocol import BlackBox


class Probe(Learner):
    """One query of the shots, or ``queries`` of them, and a convex fit; nothing is searched."""

    Options: ClassVar[type[ProbeOptions]] = ProbeOptions
    options: ProbeOptions
    head_: Head | None = None

    def fit(
        self,
        box: BlackBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Fit the head; see :meth:`Learner.fit`. Raises NotSolved, ValueError for one class."""
        del refine_sets
        self._place(box, seed)
        require_shots(labels, len(box.class_names))
        asked = Asked()
        for _ in self._generations("scores", 1, asked=asked):
            asked.scores = self._ask(box, train_set, "refine")
            self._fit_head(asked.scores, labels)
            assert self.head_ is not None, "just set"
            reached = percent_right(self.head_.probabilities(asked.scores), labels)
            self._note(queries=self.queries_, train_accuracy=reached)
            if progress:
                progress(self)
        if self.head_ is None:  # resumed after the query: the rest is quick, and the same
            self._fit_head(asked.scores, labels)
        return self

    def _place(self, box: BlackBox, seed: int) -> None:
        """Choose the contexts of the queries."""
        self.offset_ = contexts(box, self.options.queries, self.options.context_scale, seed)

    def _ask(self, box: BlackBox, image_set: str, purpose: str) -> torch.Tensor:
        """Return scores (P, N, K) at the contexts."""
        assert self.offset_ is not None, "set by fit and restore"
        return scores_at(box, image_set, self.offset_, purpose)

    def _fit_head(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        self.head_ = Head.fit(scores, labels, self.options)
        self._set_gate(scores[0], labels)

    def _answer(self, box: BlackBox, image_set: str) -> Answer:
        """Return log-probabilities (N, K) by ``queries`` queries, and the first one's scores."""
        assert self.head_ is not None, "set by fit and restore"
        scores = self._ask(box, image_set, "evaluate")
        return Answer(self.head_.probabilities(scores).log(), scores[0])

    def work(self, images: int, classes: int) -> Work:
        """Return the queries of the shots; see :meth:`Learner.work`."""
        del images, classes
        return Work(1, refine=self.options.queries, predict=self.options.queries)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        assert self.head_ is not None, "set by fit and restore"
        return super().state() | self.head_.state()

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        self.head_ = Head.restore(state)
        return self


def contexts(box: BlackBox, count: int, scale: float, seed: int) -> torch.Tensor:
    """Return offsets (P, L, D): 0 first, then Gaussian ones of ``scale`` times embedding_std."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count - 1, box.context_length, box.context_width)
    drawn = scale * box.embedding_std * torch.randn(shape, generator=generator)
    return torch.cat([torch.zeros(1, *shape[1:]), drawn])


def scores_at(box: BlackBox, image_set: str, offsets: torch.Tensor, purpose: str) -> torch.Tensor:
    """Return the box's scores (P, N, K) at offsets (P, L, D); raises Diverged."""
    return torch.cat(list(answers(box, image_set, offsets, purpose)))


@torch.no_grad()
def answers(
    box: BlackBox, image_set: str, offsets: torch.Tensor, purpose: str
) -> Iterator[torch.Tensor]:
    """Yield the same by blocks (B, N, K) of the offsets, as the box answers; raises Diverged."""
    for block in box.predict(image_set, offsets, purpose):
        yield require_finite(block, f"scores of the black box on {image_set!r}", BOX)


def require_shots(labels: torch.Tensor, classes: int) -> None:
    """Raise ValueError for a task of one class, and for classes without a shot."""
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes}")
    lacking = [n for n in range(classes) if not bool((labels == n).any())]
    if lacking:
        raise ValueError(
            f"shots: expected at least 1 of each class, got none of class {lacking[0]}"
        )
