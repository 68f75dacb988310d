"""CLAP: prototypes trained with a penalty for leaving zero-shot (Silva-Rodriguez et al., 2024).

Needs features, and no validation images by design. The penalty of a class is the mean zero-shot
probability of its shots.
"""

from __future__ import annotations

from typing import ClassVar, Self

import torch
from torch.nn import functional as F

from craft.learner.base import Progress
from craft.learner.checkpoint import Draws, Part
from craft.learner.classifier_options import CLAPOptions
from craft.learner.divergence import lower
from craft.learner.feature_classifier import FeatureClassifier
from craft.learner.feature_learner import Shots
from craft.learner.optimizers import delayed_cosine, sgd
from craft.learner.workload import Work
from craft.protocol import FeatureBox


class CLAP(FeatureClassifier):
    """Scores scale cos(F, w) of prototypes w (K, E) that start at the class names' features.

    The authors' prototypes have the text features' length nu, which services do not return. In
    units of nu, the same descent has the learning rate / nu^2 and the penalty times nu^2.
    """

    Options: ClassVar[type[CLAPOptions]] = CLAPOptions
    options: CLAPOptions

    def fit(  # type: ignore[override]  # the box of another access level
        self,
        box: FeatureBox,
        labels: torch.Tensor,
        *,
        seed: int,
        train_set: str = "train",
        refine_sets: tuple[str, ...] = ("train",),
        progress: Progress | None = None,
    ) -> Self:
        """Train prototypes on features of all ``refine_sets`` together, labels (N,)."""
        del train_set
        options, unit = self.options, self.options.text_norm**2
        generator = torch.Generator().manual_seed(seed)
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        shots = Shots(box)
        prototypes = torch.empty(len(box.class_names), box.feature_width, device=labels.device)
        prototypes.requires_grad_()
        descent = sgd([prototypes], options.learning_rate / unit, 0.0, options.momentum)
        parts: dict[str, Part] = {
            "prototypes": descent,
            "draws": Draws(generator),
            "shots": shots,
        }
        targets = labels.repeat(len(refine_sets))
        for epoch in self._generations("epochs", options.epochs, **parts):
            rows = torch.cat([shots.images(name) for name in refine_sets])  # (V N, E)
            texts = shots.prototypes()
            if epoch == 0:
                prototypes.data.copy_(texts)
                self._set_gate(box.logit_scale * rows[: len(labels)] @ texts.T, labels)
            certainty = class_certainties(box.logit_scale * rows @ texts.T, targets, len(texts))
            rate, first = options.learning_rate, options.warmup_rate
            descent.set_rate(delayed_cosine(epoch, options.epochs, rate, first) / unit)
            order = torch.randperm(len(rows), generator=generator).to(labels.device)
            count, total = max(1, len(labels) // options.batch_size), 0.0
            for batch in order.split(options.batch_size)[:count]:
                scores = box.logit_scale * rows[batch] @ F.normalize(prototypes, dim=1).T
                loss = F.cross_entropy(scores, targets[batch])
                if options.penalised:
                    moved = (prototypes - texts).square().sum(dim=1)
                    loss = loss + unit * (certainty * moved).mean()
                descent.step(loss)
                total += loss.item()
            self._take(box, prototypes)
            self._note(queries=self.queries_, loss=total / count)
            if progress:
                progress(self)
        self._take(box, prototypes)
        _ = self.history_  # raises for a loss that is not finite
        return self

    def _take(self, box: FeatureBox, prototypes: torch.Tensor) -> None:
        """Set the classifier to prototypes (K, E)."""
        self.weight_ = (box.logit_scale * F.normalize(prototypes.detach(), dim=1).T).contiguous()
        self.bias_ = torch.zeros(len(prototypes), device=prototypes.device)

    def _cause(self) -> str:
        return lower("the prototypes", self.options, "learning_rate", "momentum")

    def work(self, images: int, classes: int) -> Work:
        """Return the epochs, and the features asked for; see :meth:`Learner.work`."""
        asked = super().work(images, classes)
        return Work(self.options.epochs, refine=asked.refine, predict=asked.predict)


def class_certainties(scores: torch.Tensor, labels: torch.Tensor, classes: int) -> torch.Tensor:
    """Return for each class (K,) the mean probability of the label over its rows (n, K)."""
    own = scores.softmax(dim=1).gather(1, labels[:, None])[:, 0]
    total = torch.zeros(classes, dtype=own.dtype, device=own.device).index_add_(0, labels, own)
    return total / torch.bincount(labels, minlength=classes).clamp_min(1)
