"""A convex head on the scores of a few contexts, one of them the box's own (``Probe``).

Of this project, not of a paper. With one query it reads the scores of the shots at the untouched
context; with more, also how they change at random contexts around it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

import torch

from craft.learner import ridge_path
from craft.learner.base import Answer, Learner, Progress, percent_right
from craft.learner.divergence import BOX, require_finite
from craft.learner.probe_options import ProbeOptions
from craft.learner.score_space import Whitening, centred, temperature
from craft.learner.workload import Work
from craft.protocol import BlackBox


class Head:
    """Mixed solutions of a ridge path over the scores (P, N, K) of P contexts."""

    def __init__(
        self,
        tau: torch.Tensor,
        whitenings: list[Whitening],
        weights: torch.Tensor,
        shares: torch.Tensor,
        solutions: torch.Tensor,
    ) -> None:
        self._tau = tau  # ()
        self._whitenings = whitenings  # of block 0, then of each difference to it
        self._weights = weights  # (C,), of the mixed candidates
        self._shares = shares  # (C,), of the differences' variance in each candidate's features
        self._solutions = solutions  # (C, F, K)

    @classmethod
    def fit(cls, scores: torch.Tensor, labels: torch.Tensor, options: ProbeOptions) -> Self:
        """Return the head of the shots' scores (P, N, K), labels (N,); raises NotSolved."""
        scores = centred(scores)
        tau = temperature(scores[0], labels)
        scores = tau * scores
        blocks = [scores[0], *(scores[1:] - scores[0])]
        whitenings = [Whitening.fit(block, options.shrinkage) for block in blocks]
        folds = ridge_path.folds_of(labels, options.folds)
        # At one shot nothing can be held out to say whether the differences help.
        shares = [0.0, 1.0] if len(scores) > 1 and int(folds.max()) > 0 else [0.0]
        features = [_features(blocks, whitenings, share) for share in shares]
        losses: list[float] = []
        for each in features:
            losses += ridge_path.held_out_losses(each, scores[0], labels, folds)
        kept = ridge_path.mixture(losses)
        paths = {}
        for number, _ in kept:
            which = number // len(ridge_path.PENALTIES)
            if which not in paths:
                paths[which] = ridge_path.path(features[which], scores[0], labels)
        solutions = [
            paths[number // len(ridge_path.PENALTIES)][number % len(ridge_path.PENALTIES)]
            for number, _ in kept
        ]
        kinds = [shares[number // len(ridge_path.PENALTIES)] for number, _ in kept]
        return cls(
            scores.new_tensor(tau),
            whitenings,
            scores.new_tensor([weight for _, weight in kept]),
            scores.new_tensor(kinds),
            torch.stack(solutions),
        )

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Return probabilities (M, K), float64, for scores (P, M, K) at the head's contexts."""
        scores = self._tau * centred(scores)
        blocks = [scores[0], *(scores[1:] - scores[0])]
        mixed = torch.zeros_like(scores[0])
        for weight, share, solution in zip(
            self._weights, self._shares, self._solutions, strict=True
        ):
            features = _features(blocks, self._whitenings, float(share))
            mixed += weight * (scores[0] + features @ solution).softmax(dim=1)
        return mixed

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`restore` needs, by name."""
        named = {
            "head.tau": self._tau,
            "head.weights": self._weights,
            "head.shares": self._shares,
            "head.solutions": self._solutions,
        }
        for n, whitening in enumerate(self._whitenings):
            named |= whitening.state(f"head.block{n}")
        return named

    @classmethod
    def restore(cls, state: Mapping[str, torch.Tensor]) -> Self:
        """Return the head of a :meth:`state`; raises ValueError for a foreign one."""
        if "head.tau" not in state:
            raise ValueError("state: expected tensors 'head.*', got none")
        blocks = sum(name.startswith("head.block") and name.endswith(".mean") for name in state)
        whitenings = [Whitening.restore(state, f"head.block{n}") for n in range(blocks)]
        tau, *others = (state[f"head.{n}"] for n in ("tau", "weights", "shares", "solutions"))
        return cls(tau, whitenings, *others)


def _features(
    blocks: list[torch.Tensor], whitenings: list[Whitening], share: float
) -> torch.Tensor:
    """Return features (N, F): whitened scores, whitened differences to them, and 1.

    ``share`` is the variance of all differences together; F is P K + 1 for a share of 0 too.
    """
    scale = (share / max(1, len(blocks) - 1)) ** 0.5
    parts = [whitenings[0](blocks[0])]
    parts += [scale * w(block) for w, block in zip(whitenings[1:], blocks[1:], strict=True)]
    return torch.cat([*parts, torch.ones_like(blocks[0][:, :1])], dim=1)


class Asked:
    """The scores (P, N, K) of the shots, as a part of a fit."""

    def __init__(self) -> None:
        self.scores = torch.empty(0)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the scores."""
        return {"scores": self.scores}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Have the scores of a :meth:`state`."""
        self.scores = state["scores"]


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
        self.offset_ = contexts(box, self.options.queries, self.options.context_scale, seed)
        require_shots(labels, len(box.class_names))
        asked = Asked()
        for _ in self._generations("scores", 1, asked=asked):
            asked.scores = scores_at(box, train_set, self.offset_, "refine")
            self._fit_head(asked.scores, labels)
            assert self.head_ is not None, "just set"
            reached = percent_right(self.head_.probabilities(asked.scores), labels)
            self._note(queries=self.queries_, train_accuracy=reached)
            if progress:
                progress(self)
        if self.head_ is None:  # resumed after the query: the rest is quick, and the same
            self._fit_head(asked.scores, labels)
        return self

    def _fit_head(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        self.head_ = Head.fit(scores, labels, self.options)
        self._set_gate(scores[0], labels)

    def _answer(self, box: BlackBox, image_set: str) -> Answer:
        """Return log-probabilities (N, K) by ``queries`` queries, and the first one's scores."""
        assert self.offset_ is not None and self.head_ is not None, "checked by predict"
        scores = scores_at(box, image_set, self.offset_, "evaluate")
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
    with torch.no_grad():
        scores = torch.cat(list(box.predict(image_set, offsets, purpose)))
    return require_finite(scores, f"scores of the black box on {image_set!r}", BOX)


def require_shots(labels: torch.Tensor, classes: int) -> None:
    """Raise ValueError for a task of one class, and for classes without a shot."""
    if classes < 2:
        raise ValueError(f"classes: expected at least 2, got {classes}")
    lacking = [n for n in range(classes) if not bool((labels == n).any())]
    if lacking:
        raise ValueError(
            f"shots: expected at least 1 of each class, got none of class {lacking[0]}"
        )
