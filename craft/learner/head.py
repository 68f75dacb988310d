"""A convex head on the scores of a few contexts, which ``Probe`` and other learners fit.

A method of this project, not of a paper. The answer mixes, as probabilities, the solutions of a
ridge path around the scores of the first context.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import torch

from craft.learner import ridge_path
from craft.learner.probe_options import ProbeOptions
from craft.learner.score_space import Whitening, centred, temperature


class Head:
    """Mixed solutions of a ridge path over the scores (P, N, K) of P contexts."""

    def __init__(
        self,
        tau: torch.Tensor,
        bias: torch.Tensor,
        whitenings: list[Whitening],
        weights: torch.Tensor,
        penalties: torch.Tensor,
        shares: torch.Tensor,
        solutions: torch.Tensor,
    ) -> None:
        self._tau = tau  # ()
        self._bias = bias  # (), the constant feature
        self._whitenings = whitenings  # of block 0, then of each difference to it
        self._weights = weights  # (C,), of the mixed candidates
        self._penalties = penalties  # (C,)
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
        bias = scores.new_tensor(options.bias if int(folds.max()) > 0 else 1.0)
        features = [_features(blocks, whitenings, share, bias) for share in shares]
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
            bias,
            whitenings,
            scores.new_tensor([weight for _, weight in kept]),
            scores.new_tensor(
                [ridge_path.PENALTIES[n % len(ridge_path.PENALTIES)] for n, _ in kept]
            ),
            scores.new_tensor(kinds),
            torch.stack(solutions),
        )

    def anchored(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the anchor (N, K) and the features (N, F) of one context's scores (N, K)."""
        anchor = self._tau * centred(scores)
        return anchor, _features([anchor], self._whitenings, 0.0, self._bias)

    def refine_tangent_(self, tangent: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Turn how scores move (r, N, K) into how refined ones do, for a solution T (F, K).

        In place, as it may be most of the memory.
        """
        linear = self._whitenings[0].root @ weights[:-1]  # (K, K)
        for row in tangent:
            anchor = self._tau * centred(row)
            torch.add(anchor, anchor @ linear, out=row)
        return tangent

    @property
    def penalty(self) -> float:
        """Return the geometric mean of the penalties that the answer mixes, for one context."""
        return float((self._penalties.log() @ self._weights).exp())

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Return probabilities (M, K), float64, for scores (P, M, K) at the head's contexts."""
        scores = self._tau * centred(scores)
        blocks = [scores[0], *(scores[1:] - scores[0])]
        mixed = torch.zeros_like(scores[0])
        for weight, share, solution in zip(
            self._weights, self._shares, self._solutions, strict=True
        ):
            features = _features(blocks, self._whitenings, float(share), self._bias)
            mixed += weight * (scores[0] + features @ solution).softmax(dim=1)
        return mixed

    def state(self) -> dict[str, torch.Tensor]:
        """Return what :meth:`restore` needs, by name."""
        named = {
            "head.tau": self._tau,
            "head.bias": self._bias,
            "head.weights": self._weights,
            "head.penalties": self._penalties,
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
        kinds = ("weights", "penalties", "shares", "solutions")
        found = (state[f"head.{kind}"] for kind in kinds)
        return cls(state["head.tau"], state["head.bias"], whitenings, *found)


def _features(
    blocks: list[torch.Tensor], whitenings: list[Whitening], share: float, bias: torch.Tensor
) -> torch.Tensor:
    """Return features (N, F): whitened scores, whitened differences to them, and ``bias``.

    ``share`` is the variance of all differences together; F is P K + 1 for a share of 0 too.
    """
    scale = (share / max(1, len(blocks) - 1)) ** 0.5
    parts = [whitenings[0](blocks[0])]
    parts += [scale * w(block) for w, block in zip(whitenings[1:], blocks[1:], strict=True)]
    return torch.cat([*parts, bias.expand(len(blocks[0]), 1)], dim=1)


class Asked:
    """The scores (P, N, K) of the shots, as a part of a fit."""

    def __init__(self) -> None:
        self.scores = torch.empty(0)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the scores."""
        return {"scores": self.scores}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore the scores of a :meth:`state`."""
        self.scores = state["scores"]
