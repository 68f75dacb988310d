"""Context and head together: the collaborative loop of a search that reads score matrices.

A method of this project, not of a paper. The cost of a candidate context is the smallest penalised
loss over all heads (variable projection). A step minimises the loss on the tangent of the refined
scores, in context and head together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import minimize

from craft.learner import ridge_path
from craft.learner.head import Head
from craft.learner.probe_options import ProbeOptions
from craft.learner.score_space import summed_cross_entropy

#: L-BFGS steps of one tangent fit: its answer is only a point to ask for.
_STEPS = 60


class WithHead:
    """The least penalised loss over heads, in the untouched context's features and penalty."""

    def __init__(self, labels: torch.Tensor) -> None:
        self._labels = labels
        self._untouched = torch.empty(0)
        self._head: Head | None = None
        self._weights = torch.empty(0)  # (F, K), the best head where the search is

    def begin(self, scores: torch.Tensor) -> float:
        """Fit the head that lends features and penalty; return the cost."""
        self._set_frame(scores)
        return self._solved(scores)[0]

    def _set_frame(self, scores: torch.Tensor) -> None:
        self._untouched = scores
        self._head = Head.fit(scores[None], self._labels, ProbeOptions())
        classes = scores.shape[1]
        self._weights = torch.zeros(classes + 1, classes, dtype=torch.float64)

    def _solved(self, scores: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Return the cost of scores (N, K) and the head (F, K) that has it."""
        assert self._head is not None, "set by begin and resume"
        anchor, features = self._head.anchored(scores)
        penalty = self._head.penalty
        weights = ridge_path.solve(features, anchor, self._labels, penalty, self._weights)
        loss = summed_cross_entropy(anchor + features @ weights, self._labels)
        return float(loss + penalty / 2 * weights.square().sum()), weights

    def cost(self, scores: torch.Tensor) -> float:
        """Return the least penalised loss of scores (N, K); raises NotSolved."""
        return self._solved(scores)[0]

    def accept(self, scores: torch.Tensor) -> None:
        """Keep the best head of scores."""
        self._weights = self._solved(scores)[1]

    def steps(
        self,
        scores: torch.Tensor,
        tangent: torch.Tensor,
        slopes: torch.Tensor,
        curvatures: Sequence[float],
    ) -> list[torch.Tensor]:
        """Return c (r,) for each curvature, the head free to follow; each from the one before."""
        assert self._head is not None, "set by begin and resume"
        anchor, features = self._head.anchored(scores)
        self._head.refine_tangent_(tangent, self._weights)
        found, start = [], (self._weights, torch.zeros(len(tangent), dtype=torch.float64))
        for curvature in curvatures:
            start = joint_minimum(
                anchor,
                features,
                tangent,
                self._labels,
                self._head.penalty,
                slopes,
                curvature,
                start,
            )
            found.append(start[1])
        return found

    def state(self) -> dict[str, torch.Tensor]:
        """Return the untouched context's scores, and the best head where the search is."""
        return {"untouched": self._untouched, "weights": self._weights}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Restore a :meth:`state`; the frame follows from the scores."""
        self._set_frame(state["untouched"])
        self._weights = state["weights"]


def joint_minimum(
    anchor: torch.Tensor,
    features: torch.Tensor,
    tangent: torch.Tensor,
    labels: torch.Tensor,
    penalty: float,
    slopes: torch.Tensor,
    curvature: float,
    start: tuple[torch.Tensor, torch.Tensor],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return T (F, K) and c (r,) that minimise the penalised loss on a tangent, nearly.

    sum CE(A + phi T + B c, y) + l / 2 |T|^2 + slopes . c + curvature / 2 |c|^2 for the anchor A
    (N, K), features phi (N, F) and the tangent B (r, N, K): convex.
    """
    shape, flat = start[0].shape, tangent.flatten(1)  # (r, N K)
    images = torch.arange(len(labels))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        joined = torch.from_numpy(values)
        weights, c = joined[: shape.numel()].view(shape), joined[shape.numel() :]
        scores = anchor + features @ weights + (c @ flat).view_as(anchor)
        value = summed_cross_entropy(scores, labels) + penalty / 2 * weights.square().sum()
        value = value + slopes @ c + curvature / 2 * c.square().sum()
        residuals = scores.softmax(dim=1)
        residuals[images, labels] -= 1
        by_weights = features.T @ residuals + penalty * weights
        by_c = flat @ residuals.flatten() + slopes + curvature * c
        return float(value), torch.cat([by_weights.flatten(), by_c]).numpy()

    found = minimize(
        loss,
        torch.cat([start[0].flatten(), start[1]]).numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _STEPS, "maxcor": 20, "ftol": 1e-9, "gtol": 1e-4, "maxls": 20},
    )
    joined = torch.from_numpy(found.x)
    return joined[: shape.numel()].view(shape), joined[shape.numel() :]
