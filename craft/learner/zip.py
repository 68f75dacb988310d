"""ZIP: few trained numbers of a prompt, by random perturbations alone (Park et al., ICLR 2025).

Needs predictions. Blank context tokens start at random. A fixed random map of a few numbers, of low
rank over the tokens, moves each token. A step follows differences of losses; its length is limited
to the square root of the number of weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch.nn import functional as F

from craft.learner.base import Learner, Progress
from craft.learner.batches import BatchQueue
from craft.learner.checkpoint import Draws, Part
from craft.learner.divergence import BOX, lower, require_finite
from craft.learner.fastfood import fastfood
from craft.learner.prompt_search import score_candidates
from craft.learner.prompts import Prompts
from craft.learner.spsa import Gains, perturbations
from craft.learner.workload import Work
from craft.learner.zip_options import ZIPOptions
from craft.protocol import BlackBox


class Prompt:
    """The trained numbers w (U, s, V, v in turn) of m tokens, as a part of a fit.

    Token i is e_i + M_i Phi_i for M = U diag(s) V^T + 1 v^T (m, n) and fixed maps Phi (m, n, D).
    """

    def __init__(
        self, shape: tuple[int, int], options: ZIPOptions, unit: float, draw: torch.Generator
    ) -> None:
        (tokens, width), rank = shape, options.rank
        numbers = options.dimension // tokens
        self._shapes = ((tokens, rank), (rank,), (numbers, rank), (numbers,))
        self._start = unit * options.init_std * torch.randn(tokens, width, generator=draw)
        maps = [fastfood(numbers, width, draw) for _ in range(tokens)]
        self._maps = unit * torch.stack(maps)  # (m, n, D)
        loadings = torch.randn(numbers, rank, generator=draw)
        parts = torch.zeros(tokens, rank), torch.ones(rank), loadings, torch.zeros(numbers)
        self.weights = torch.cat([part.flatten() for part in parts])

    def offsets(self, weights: torch.Tensor) -> torch.Tensor:
        """Return contexts (P, m, D) of weights (P, n)."""
        parts = weights.split([math.prod(shape) for shape in self._shapes], dim=1)
        u, s, v, shift = (
            part.view(-1, *shape) for part, shape in zip(parts, self._shapes, strict=True)
        )
        numbers = (u * s[:, None]) @ v.transpose(1, 2) + shift[:, None]  # (P, m, n)
        return self._start + torch.einsum("pmn,mnd->pmd", numbers, self._maps)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the weights; the rest is drawn again."""
        return {"weights": self.weights}

    def resume(self, state: Mapping[str, torch.Tensor]) -> None:
        """Take over a :meth:`state`."""
        self.weights = state["weights"]


class ZIP(Learner):
    """Steps of 2 R queries, all on one batch; the last iterate counts."""

    Options: ClassVar[type[ZIPOptions]] = ZIPOptions
    options: ZIPOptions

    @torch.no_grad()
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
        """Learn a context; see :meth:`Learner.fit`.

        The queries score ``refine_sets``, which take turns by epoch. A query scores all of a set;
        the loss is that of the batch.
        """
        del train_set
        options = self.options
        generator = torch.Generator().manual_seed(seed)
        unit = box.embedding_std / options.clip_std
        shape = (box.context_length, box.context_width)
        prompt = Prompt(shape, options, unit, generator)
        gains = Gains(options.gain, 1.0, options.gain_decay, options.step, options.step_decay)
        batches = BatchQueue(len(labels), options.batch_size, generator)
        parts: dict[str, Part] = {
            "prompt": prompt,
            "batches": batches,
            "draws": Draws(generator),
        }
        for step in self._generations("steps", options.steps, **parts):
            rows = batches.next().to(labels.device)
            image_set = refine_sets[batches.epoch % len(refine_sets)]
            moves = perturbations(options.repeats, len(prompt.weights), generator)
            distance = gains.distance(step + 1)
            tried = prompt.weights + distance * torch.cat([moves, -moves])

            def losses(
                logits: torch.Tensor, rows: torch.Tensor = rows
            ) -> torch.Tensor:  # (B, N, K) -> (B,)
                targets = labels[rows].expand(len(logits), -1)
                each = F.cross_entropy(logits[:, rows].mT, targets, reduction="none")
                return each.mean(dim=1)

            found = score_candidates(box, image_set, Prompts(prompt.offsets(tried)), losses)
            require_finite(found, f"losses of step {step + 1}", BOX)
            above, below = found.double().chunk(2)
            gradient = ((above - below)[:, None] / (2 * distance * moves.double())).mean(dim=0)
            most = math.sqrt(len(gradient))
            if options.clip and gradient.norm() >= most:
                gradient = most * gradient / gradient.norm()
            prompt.weights = prompt.weights - gains.rate(step + 1) * gradient.float()
            self.queries_ += len(tried)
            self.offset_ = prompt.offsets(prompt.weights[None])
            self._note(queries=self.queries_, loss=found.mean())
            if progress:
                progress(self)
        _ = self.history_
        return self

    def _cause(self) -> str:
        return f"{lower('the prompt', self.options, 'gain', 'step')}; or {BOX}"

    def work(self, images: int, classes: int) -> Work:
        """Return 2 R queries a step; see :meth:`Learner.work`."""
        del images, classes
        return Work(self.options.steps, search=2 * self.options.repeats * self.options.steps)
