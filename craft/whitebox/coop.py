"""CoOp: context vectors learned by gradient descent through the text tower (Zhou et al., 2022)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
import torch.nn.functional as F

from craft.learner.base import Answer, Learner, Progress, accuracy
from craft.learner.batches import whole_batches
from craft.learner.checkpoint import Descent, Draws
from craft.learner.divergence import Diverged, lower
from craft.learner.optimizers import adam, delayed_cosine, sgd
from craft.learner.options import Options
from craft.learner.workload import Work
from craft.whitebox.coop_options import CoOpOptions
from craft.whitebox.white_box import WhiteBox

#: Epochs by shots, as CoOp's scripts set them; between two entries the next larger holds.
EPOCHS = {1: 50, 2: 100, 4: 100, 8: 200, 16: 200}


class CoOp(Learner):
    """Learns M context vectors, class name at the end, cross-entropy, cosine schedule by epoch.

    Features are encoded once; the option ``crops`` has those of CoOp's own augmentation.
    """

    Options: ClassVar[type[Options]] = CoOpOptions
    options: CoOpOptions

    def fit(
        self,
        box: WhiteBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Learn the context from features (N, E) of ``refine_sets`` in turn, labels (N,)."""
        options = self.options
        self._fit_gate(box, labels, train_set)
        generator = torch.Generator().manual_seed(seed)
        shape = (options.context_tokens, box.tower.context_width)
        context = (options.init_std * torch.randn(shape, generator=generator)).requires_grad_()
        tower = box.tower.with_context(torch.zeros(shape))
        descent = self._descent(context)
        epochs = self._epochs(len(labels), len(box.tower.class_names))
        parts = {"optimizer": descent, "shuffling": Draws(generator)}
        for epoch in self._generations("epochs", epochs, **parts):
            descent.set_rate(
                delayed_cosine(epoch, epochs, options.learning_rate, options.warmup_rate)
            )
            features = box.image_sets[refine_sets[epoch % len(refine_sets)]]
            total, steps = 0.0, 0
            for batch in whole_batches(len(labels), options.batch_size, generator):
                text = tower.encode(context[None])[0]  # (K, E)
                loss = F.cross_entropy(tower.logit_scale * features[batch] @ text.T, labels[batch])
                descent.step(loss)
                total, steps = total + loss.item(), steps + 1
            if not math.isfinite(total):
                raise Diverged(f"the loss is not finite in epoch {epoch + 1}: {self._cause()}")
            self.offset_ = context.detach().clone()[None]
            self._note(epoch=epoch + 1, loss=total / steps)
            if progress:
                progress(self)
        self.history_[-1]["train_accuracy"] = accuracy(self.predict(box, refine_sets[0]), labels)
        return self

    def _answer(self, box: WhiteBox, image_set: str) -> Answer:
        """Return scores of cached features at the learnt context."""
        assert self.offset_ is not None, "checked by predict"
        text = box.tower.with_context(torch.zeros_like(self.offset_[0])).encode(self.offset_)
        return Answer(box.tower.logit_scale * box.image_sets[image_set] @ text[0].T)

    @torch.no_grad()
    def _own_scores(self, box: WhiteBox, image_set: str, purpose: str) -> torch.Tensor:
        """Return scores at the tower's own words; nothing is asked of a service."""
        del purpose
        untouched = torch.zeros(1, box.tower.context_length, box.tower.context_width)
        return box.tower.logit_scale * box.image_sets[image_set] @ box.tower.encode(untouched)[0].T

    def _cause(self) -> str:
        names = ("learning_rate", "init_std", "momentum", "weight_decay")
        return lower("the context", self.options, *names)

    def work(self, images: int, classes: int) -> Work:
        """Return a step through the text tower per batch; see :meth:`Learner.work`."""
        epochs = self._epochs(images, classes)
        return Work(epochs, gradients=epochs * max(1, images // self.options.batch_size))

    def _epochs(self, images: int, classes: int) -> int:
        given = self.options.epochs
        return default_epochs(images // classes) if given is None else given

    def _descent(self, context: torch.Tensor) -> Descent:
        options = self.options
        settings = options.learning_rate, options.weight_decay
        if options.optimizer == "sgd":
            return sgd([context], *settings, options.momentum)
        return adam([context], *settings, decoupled=True)


def default_epochs(shots: int, epochs: Mapping[int, int] = EPOCHS) -> int:
    """Return CoOp's number of epochs for a number of shots."""
    return epochs[min((known for known in epochs if known >= shots), default=max(epochs))]
