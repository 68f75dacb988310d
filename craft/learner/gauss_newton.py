"""A search for the context that reads whole score matrices (``gauss-newton``).

A method of this project, not of a paper. A query returns N x K scores, of which a search that ranks
candidates uses one number. Here, r queries give the scores' derivative along r directions. Newton's
method minimises the penalised cross-entropy on that tangent, and a few damped steps are queried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Self

import torch

from craft.learner.base import Learner, Progress
from craft.learner.checkpoint import Draws, Part
from craft.learner.gauss_newton_options import DAMPINGS, GaussNewtonOptions
from craft.learner.head import Head
from craft.learner.joint import WithHead
from craft.learner.probe import answers, require_shots
from craft.learner.tangent import Objective, PromptAlone
from craft.learner.workload import Work
from craft.protocol import BlackBox
from craft.runtime.memory import memory_limit

#: Scores (N, K) of each of the points (P, W), one at a time.
Ask = Callable[[torch.Tensor], Iterator[torch.Tensor]]


class TooCoarse(RuntimeError):
    """A box's answers are too noisy or too coarsely rounded for finite differences."""


def require_memory(directions: int, images: int, classes: int) -> None:
    """Raise MemoryError where the derivative of the scores (r, N, K) leaves no room for the rest.

    It is held once; its half again is for blocks of it and for single score matrices.
    """
    needed, limit = 1.5 * 8 * directions * images * classes, memory_limit()
    if needed > limit:
        raise MemoryError(
            f"derivative of {images} x {classes} scores along {directions} directions: expected at "
            f"most {limit / 1e9:.1f} GB, got {needed / 1e9:.1f} GB; take fewer shots, or Probe, "
            "which holds the scores once"
        )


class Point:
    """The current point x (W,) of the search, in units of embedding_std, and its scores (N, K)."""

    def __init__(self, width: int) -> None:
        self.x = torch.zeros(width, dtype=torch.float64)
        self.scores = torch.empty(0, 0, dtype=torch.float64)
        self.cost = math.inf

    def state(self) -> dict[str, torch.Tensor]:
        """Return x, the scores and their cost."""
        cost = torch.tensor(self.cost, dtype=torch.float64)
        return {"x": self.x, "scores": self.scores, "cost": cost}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Continue from a :meth:`state`."""
        self.x, self.scores, self.cost = state["x"], state["scores"], float(state["cost"])


class GaussNewton(Learner):
    """Rounds of r + 7 queries until the budget is spent; the loss on the shots never rises."""

    Options: ClassVar[type[GaussNewtonOptions]] = GaussNewtonOptions
    options: GaussNewtonOptions
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
        """Search a context, then fit a head there if the option ``head`` asks for one.

        See :meth:`Learner.fit`. Raises TooCoarse, and MemoryError for too many scores.
        """
        del refine_sets
        require_shots(labels, len(box.class_names))
        require_memory(self.options.most_directions, len(labels), len(box.class_names))
        shape = (box.context_length, box.context_width)
        unit = box.embedding_std
        generator = torch.Generator().manual_seed(seed)
        point = Point(math.prod(shape))
        labels = labels.cpu()

        def ask(points: torch.Tensor) -> Iterator[torch.Tensor]:
            """Yield scores (N, K) at each of the points (P, W)."""
            offsets = (unit * points).float().reshape(-1, *shape)
            self.queries_ += len(points)
            for block in answers(box, train_set, offsets, "search"):
                yield from block.double().cpu()

        objective = WithHead(labels) if self.options.head == "joint" else PromptAlone(labels)
        parts: dict[str, Part] = {
            "point": point,
            "draws": Draws(generator),
            "objective": objective,
        }
        for number in self._generations("search", self.options.rounds, **parts):
            if number == 0:
                point.scores = self._begin(ask, len(point.x), generator)
                self._set_gate(point.scores, labels)
                point.cost = objective.begin(point.scores)
            tried = self._round(ask, point, objective, self.options.directions(number), generator)
            self.offset_ = (unit * point.x).float().reshape(1, *shape)
            self._note(
                queries=self.queries_,
                search_loss_best=point.cost / len(labels),
                search_loss_mean=sum(tried) / len(tried) / len(labels),
            )
            if progress:
                progress(self)
        if self.options.head != "none":
            self.head_ = Head.fit(point.scores[None], labels, self.options.probe)
        return self

    def _begin(self, ask: Ask, width: int, generator: torch.Generator) -> torch.Tensor:
        """Return scores (N, K) of the untouched context; raise TooCoarse for noisy answers."""
        direction = _directions(width, 1, generator)[:, 0]
        step = self.options.step
        spaced = torch.tensor([0.0, 0.0, step / 4, step / 2, 3 * step / 4])
        scores = torch.stack(list(ask(spaced[:, None] * direction)))
        share = relative_noise(scores, 4.0)
        if share > self.options.most_noise:
            raise TooCoarse(
                f"answers of the black box: expected differences exact to "
                f"{self.options.most_noise:g} of a step's, got {share:.2g}; ask for more digits, "
                "or use a learner that ranks candidates"
            )
        return scores[0]

    def _round(
        self,
        ask: Ask,
        point: Point,
        objective: Objective,
        count: int,
        generator: torch.Generator,
    ) -> list[float]:
        """Move ``point`` if one of the damped steps lowers its cost; return the costs tried."""
        prior, width, step = self.options.prior, len(point.x), self.options.step
        directions = _directions(width, count, generator)  # (W, r)
        tangent = point.scores.new_empty(count, *point.scores.shape)  # (r, N, K)
        for row, moved in zip(tangent, ask(point.x + step * directions.T), strict=True):
            torch.sub(moved, point.scores, out=row).div_(step)
        steps = objective.steps(
            point.scores,
            tangent,
            prior * (directions.T @ point.x),  # slopes of the prior, (r,)
            [(damping + prior) * width for damping in DAMPINGS],
        )
        points = torch.stack([point.x + directions @ coefficients for coefficients in steps])
        scores = list(ask(points))
        costs = [
            objective.cost(s) + prior / 2 * float(x.square().sum())
            for x, s in zip(points, scores, strict=True)
        ]
        best = min(range(len(costs)), key=costs.__getitem__)
        if costs[best] < point.cost:
            point.x, point.scores, point.cost = points[best], scores[best], costs[best]
            objective.accept(point.scores)
        return costs

    def refine(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the head's log-probabilities (N, K) of logits (N, K), or the logits unchanged."""
        return logits if self.head_ is None else self.head_.probabilities(logits[None]).log()

    def work(self, images: int, classes: int) -> Work:
        """Return the queries of all rounds; see :meth:`Learner.work`."""
        del images, classes
        searched, gates = self.options.searched, int(self.gates)
        return Work(self.options.rounds, search=searched, predict=1 + gates)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        return super().state() | (self.head_.state() if self.head_ else {})

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        self.head_ = Head.restore(state) if self.options.head != "none" else None
        return self


def _directions(width: int, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return ``count`` directions (W, r) whose entries have a mean square of 1.

    They are orthogonal, W of them at a time where there are more.
    """
    blocks = []
    for first in range(0, count, width):
        block = (width, min(width, count - first))
        drawn = torch.randn(block, generator=generator, dtype=torch.float64)
        blocks.append(torch.linalg.qr(drawn).Q * math.sqrt(width))
    return torch.cat(blocks, dim=1)


def relative_noise(scores: torch.Tensor, spacings: float) -> float:
    """Return the noise of one answer as a share of the change over a step.

    ``scores`` (5, N, K): one context twice, then three further ones, evenly spaced along a line;
    a step is ``spacings`` of these. Noise is what repeats differ by, or what a third difference
    leaves, which a smooth answer does not have and a rounded one has; the larger.
    """
    first, again, *later = scores
    repeat = (first - again).square().mean().sqrt() / math.sqrt(2)
    third = first - 3 * later[0] + 3 * later[1] - later[2]
    rounding = third.square().mean().sqrt() / math.sqrt(20)
    change = (later[2] - first).square().mean().sqrt() * spacings / 3
    noise = float(torch.maximum(repeat, rounding))
    return noise / float(change) if change > 0 else math.inf
