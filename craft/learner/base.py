"""Base class of all learners: options in the constructor, ``fit``, ``predict``."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self, cast

import torch

from craft.learner.checkpoint import Checkpoint, Part
from craft.learner.divergence import BOX, Diverged, require_finite
from craft.learner.folds import fold_sizes
from craft.learner.gate import Gate
from craft.learner.options import Options
from craft.learner.prompts import Prompts, ask
from craft.learner.workload import Work
from craft.protocol import BlackBox

Progress = Callable[["Learner"], None]


class Answer(NamedTuple):
    """A learner's scores (N, K), and the box's own (N, K) if the same query returned them."""

    scores: torch.Tensor
    own: torch.Tensor | None = None


class Learner(abc.ABC):
    """Base of all learners; learned attributes end in an underscore.

    A subclass sets ``offset_`` (1, L, D), the final context, and ``visual_`` (1, V, W), its visual
    prompts if any. It may override :meth:`refine`; the default returns the black box's logits
    unchanged. Its ``fit`` calls :meth:`_fit_gate` before it changes anything, so that all its
    answers can be gated.
    """

    Options: ClassVar[type[Options]] = Options
    #: The prompts that the learner uses: a ``context`` of its own, the data set's zero-shot
    #: ``template``, or the ``ensemble`` of the data set's templates if there are several.
    prompts: ClassVar[str] = "context"

    #: Whether the search only ranks its losses, so that lower precision suffices. False for a
    #: learner that subtracts losses or takes gradients.
    ranks: ClassVar[bool] = False

    def __init__(self, **options: Any) -> None:
        self.options = self.Options.resolve(options)
        self.offset_: torch.Tensor | None = None
        self.visual_: torch.Tensor | None = None
        self.gate_: Gate | None = None
        self._rows: list[dict[str, float | torch.Tensor]] = []
        self.queries_ = 0
        self._resumed: Checkpoint | None = None
        self._position: tuple[str, int, dict[str, Part]] | None = None

    @property
    def access(self) -> str:
        """Return the access level of the learner, as its options declare it."""
        return self.options.access

    @property
    def history_(self) -> list[dict[str, float]]:
        """Return the row of each generation, in order.

        Reading it waits for a GPU once, for all rows; a generation does not wait. Raises Diverged
        if a number is not finite.
        """
        late = [
            (row, name, generation, value)
            for generation, row in enumerate(self._rows, 1)
            for name, value in row.items()
            if isinstance(value, torch.Tensor)
        ]
        if late:
            values = torch.stack([value.double() for *_, value in late]).tolist()
            for (row, name, generation, _), value in zip(late, values, strict=True):
                if not math.isfinite(value):
                    raise Diverged(
                        f"{name} is not finite in generation {generation}, after "
                        f"{row['queries']} queries: {self._cause()}"
                    )
                row[name] = value
        return cast("list[dict[str, float]]", self._rows)

    @history_.setter
    def history_(self, rows: list[dict[str, float]]) -> None:
        self._rows = cast("list[dict[str, float | torch.Tensor]]", rows)

    @property
    def generations_(self) -> int:
        """Return the number of generations so far, including those before a checkpoint."""
        return len(self._rows)

    def best_loss(self) -> float | None:
        """Return the lowest loss so far, of candidates if there are any, else of training."""
        for name in ("search_loss_best", "loss", "refine_loss"):
            if losses := [float(row[name]) for row in self._rows if name in row]:
                return min(losses)
        return None

    def _note(self, **values: float | torch.Tensor) -> None:
        """Add a generation's row; tensors () stay on their device until they are read."""
        self._rows.append(values)

    def _cause(self) -> str:
        """Return the possible cause of a number that is not finite."""
        return BOX

    @abc.abstractmethod
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
        """Learn from the images of ``train_set``, labels (N,) int64, only through queries.

        The labels are on the device on which the box answers; the learner computes there.

        ``refine_sets`` are uploads of the same images in the same order; they train the refiner in
        turn. ``progress`` is called with self after each generation. Raises BudgetExceeded,
        Diverged (numbers that are not finite) and the errors of the box.
        """

    def _generations(self, phase: str, count: int, **parts: Part) -> Iterator[int]:
        """Yield the generations of a phase of :meth:`fit`, from 0 or from the checkpoint's.

        ``parts`` hold everything that generations change except ``offset_``, ``visual_``,
        ``history_`` and ``queries_``. Only a learner that loops over these generations can resume.
        """
        start, resumed = 0, self._resumed
        if resumed:
            if resumed.phase != phase:
                return  # it had ended before the checkpoint
            for name, part in parts.items():
                part.resume(resumed.part(name))
            start, self._resumed = resumed.done, None
        for generation in range(start, count):
            self._position = (phase, generation + 1, parts)
            yield generation

    def checkpoint(self) -> Checkpoint | None:
        """Return the state of the fit, within ``progress``; None for a learner without state.

        Its tensors are valid until the next generation.
        """
        if self._position is None:
            return None
        phase, done, parts = self._position
        tensors = {} if self.offset_ is None else {"offset": self.offset_}
        tensors |= {} if self.visual_ is None else {"visual": self.visual_}
        tensors |= self.gate_.state() if self.gate_ else {}
        for name, part in parts.items():
            tensors |= {f"{name}/{key}": value for key, value in part.state().items()}
        return Checkpoint(phase, done, self.queries_, self.history_, tensors)

    def resume(self, checkpoint: Checkpoint) -> Self:
        """Let the next :meth:`fit`, with the arguments of the first, resume from a checkpoint."""
        self.queries_, self.history_ = checkpoint.queries, list(checkpoint.history)
        self.offset_ = checkpoint.tensors.get("offset")
        self.visual_ = checkpoint.tensors.get("visual")
        self.gate_ = Gate.restore(checkpoint.tensors) if self.gates else None
        self._resumed = checkpoint
        return self

    def budget(self, images: int, classes: int) -> int:
        """Return the search budget of a fit on N ``images`` of K ``classes``."""
        del images, classes
        return self.options.budget

    def work(self, images: int, classes: int) -> Work:
        """Return the work of :meth:`fit` on N ``images`` of K ``classes``; a search by default."""
        options, gates = self.options, int(self.gates)
        generations, prompts = options.generations, options.population
        work = Work(generations, search=generations * prompts, refine=gates, predict=1 + gates)
        if not options.visual_tokens:
            return work
        folds = fold_sizes(images // classes, options.search_folds)
        seen = sum(classes * folds[generation % len(folds)] for generation in range(generations))
        return replace(work, images=prompts * seen, predict_images=1)

    @property
    def gates(self) -> bool:
        """Return whether the answers are gated: see :mod:`craft.learner.gate`."""
        return self.options.gate

    def _use(self, prompts: Prompts) -> None:
        """Set the prompt that the learner predicts with."""
        self.offset_, self.visual_ = prompts

    def _fit_gate(self, box: BlackBox, labels: torch.Tensor, train_set: str) -> None:
        """Fit the gate on the shots, labels (N,), by one query; do nothing without that option.

        A resumed fit has its gate already.
        """
        if self.gates and not self._resumed:
            self._set_gate(self._own_scores(box, train_set, "refine"), labels)

    def _set_gate(self, scores: torch.Tensor, labels: torch.Tensor) -> None:
        """Fit the gate on the box's own scores (N, K) of the shots, labels (N,)."""
        self.gate_ = Gate.fit(scores, labels) if self.gates else None

    def _own_scores(self, box: BlackBox, image_set: str, purpose: str) -> torch.Tensor:
        """Return the box's scores (N, K) at its own context."""
        untouched = torch.zeros(1, box.context_length, box.context_width)
        return query(box, image_set, untouched, purpose)

    def refine(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the learner's logits for the black box's logits (..., N, K)."""
        return logits

    def _answer(self, box: BlackBox, image_set: str) -> Answer:
        """Return the learner's scores before any gate, with as few queries as possible."""
        assert self.offset_ is not None, "checked by predict"
        logits = query(box, image_set, Prompts(self.offset_, self.visual_), "evaluate")
        moved = self.visual_ is not None or bool(self.offset_.any())
        return Answer(self.refine(logits), None if moved else logits)

    @torch.no_grad()
    def predict(self, box: BlackBox, image_set: str) -> torch.Tensor:
        """Return logits (N, K) on an uploaded image set, or log-probabilities with a gate.

        Costs one query, and a second one for the gate if the context has moved. Raises RuntimeError
        before fit, and Diverged.
        """
        if self.offset_ is None:
            raise RuntimeError(f"{type(self).__name__}.predict was called before fit")
        scores, own = self._answer(box, image_set)
        if not torch.isfinite(scores).all():
            _ = self.history_  # raises for the generation that it began in
            raise Diverged(
                f"the learner's scores on {image_set!r} are not finite after generation "
                f"{len(self._rows)}: {self._cause()}"
            )
        if not self.gates:
            return scores.float()
        if self.gate_ is None:
            raise RuntimeError(f"option gate: expected {type(self).__name__}.fit to fit a gate")
        if own is None:
            own = self._own_scores(box, image_set, "evaluate")
        return self.gate_.to(own.device)(own, scores.double().softmax(dim=1)).log().float()

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        if self.offset_ is None:
            raise RuntimeError(f"{type(self).__name__}.state was called before fit")
        visual = {} if self.visual_ is None else {"visual": self.visual_}
        return {"offset": self.offset_} | visual | (self.gate_.state() if self.gate_ else {})

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        if "offset" not in state:
            raise ValueError(f"state of a learner: expected 'offset', got {[*state]}")
        self.offset_, self.visual_ = state["offset"], state.get("visual")
        self.gate_ = Gate.restore(state) if self.gates else None
        return self


def query(
    box: BlackBox, image_set: str, prompts: torch.Tensor | Prompts, purpose: str
) -> torch.Tensor:
    """Return logits (N, K) of a single context (1, L, D) or prompt; raises Diverged."""
    if isinstance(prompts, torch.Tensor):
        prompts = Prompts(prompts)
    logits = torch.cat(list(ask(box, image_set, prompts, purpose)))[0]
    return require_finite(logits, f"scores of the black box on {image_set!r}", BOX)


def accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the per cent of images whose largest logit is their label's: (N, K), (N,)."""
    return percent_right(logits, labels).item()


def percent_right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return :func:`accuracy` as a tensor (), without waiting for its device."""
    return 100.0 * (logits.argmax(dim=-1) == labels).double().mean()
