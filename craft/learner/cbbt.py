"""CBBT: a prompt by estimated gradients, beside an adapter by exact ones (Guo et al., 2023).

Needs features. Losses of the black-box text side along random directions estimate the gradient of
the prompt. Backpropagation trains a residual adapter of the image features. Every step asks for the
text features of q + 1 contexts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from craft.learner.base import Answer, Progress
from craft.learner.batches import whole_batches
from craft.learner.checkpoint import Draws, Part
from craft.learner.divergence import BOX, lower, require_finite
from craft.learner.feature_learner import FeatureLearner, Shots, image_features, prototypes_of
from craft.learner.feature_options import CBBTOptions
from craft.learner.optimizers import adam, delayed_cosine
from craft.learner.sphere_gradient import sphere_directions, sphere_gradient
from craft.learner.workload import Work
from craft.protocol import FeatureBox

#: Smallest step along a direction, in any dimension.
_LEAST_RADIUS = 0.001


class Adapter(nn.Module):
    """Unit features ratio * A(v) + (1 - ratio) * v, A two linear layers with ReLU, no biases."""

    def __init__(self, width: int, options: CBBTOptions, generator: torch.Generator) -> None:
        super().__init__()
        self._ratio = options.adapter_ratio
        hidden = max(1, width // options.adapter_reduction)
        self.down, self.up = (
            skip_init(nn.Linear, inner, outer, bias=False)
            for inner, outer in ((width, hidden), (hidden, width))
        )
        for layer in (self.down, self.up):
            bound = 1 / math.sqrt(layer.in_features)
            with torch.no_grad():
                layer.weight.uniform_(-bound, bound, generator=generator)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return adapted unit features (N, E)."""
        adapted = F.relu(self.up(F.relu(self.down(features))))
        return F.normalize(self._ratio * adapted + (1 - self._ratio) * features, dim=-1)


class CBBT(FeatureLearner):
    """Learns a shift of the context's first words and an adapter of image features."""

    Options: ClassVar[type[CBBTOptions]] = CBBTOptions
    options: CBBTOptions
    adapter_: Adapter | None = None

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
        """Learn from features (N, E) of ``refine_sets``, which take turns by epoch, labels (N,)."""
        options = self.options
        self._fit_gate(box, labels, train_set)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(seed)
        shape = (box.context_length, box.context_width)
        size = math.prod(shape)
        radius = options.radius or max(1 / size, _LEAST_RADIUS)
        shots = Shots(box)
        offset = torch.zeros(size, requires_grad=True)
        prompt = adam([offset], options.learning_rate, options.weight_decay, decoupled=False)
        parts: dict[str, Part] = {"prompt": prompt, "draws": Draws(generator), "shots": shots}
        adapting = None
        if options.adapter:
            self.adapter_ = Adapter(box.feature_width, options, generator)
            weights = self.adapter_.parameters()
            adapting = adam(weights, options.adapter_rate, 0.0, decoupled=False)
            parts["adapter"] = adapting
        for epoch in self._generations("epochs", options.epochs, **parts):
            prompt.set_rate(
                delayed_cosine(epoch, options.epochs, options.learning_rate, options.warmup_rate)
            )
            features = shots.images(refine_sets[epoch % len(refine_sets)])
            total, steps = 0.0, 0
            for batch in whole_batches(len(labels), options.batch_size, generator):
                asked = Asked(self, box, features[batch], labels[batch])
                directions = sphere_directions(options.directions, size, generator)
                gradient = sphere_gradient(asked, offset.detach(), directions, radius)
                require_finite(gradient, "the estimated gradient", f"{self._cause()}; or {BOX}")
                gradient = gradient * min(1.0, options.clip / max(float(gradient.norm()), 1e-12))
                loss = asked.loss(asked.first)
                if adapting:
                    adapting.step(loss)
                prompt.step(offset @ gradient)  # whose gradient is the estimate
                self.queries_ += options.directions + 1
                total, steps = total + loss.item(), steps + 1
            self.offset_ = offset.detach().clone().reshape(1, *shape)
            self._note(queries=self.queries_, epoch=epoch + 1, loss=total / steps)
            if progress:
                progress(self)
        _ = self.history_
        return self

    def adapted(self, features: torch.Tensor) -> torch.Tensor:
        """Return adapted features (N, E)."""
        return features if self.adapter_ is None else self.adapter_(features)

    def _answer(  # type: ignore[override]  # the box of another access level
        self, box: FeatureBox, image_set: str
    ) -> Answer:
        """Return scores of adapted features at the learnt prompt."""
        assert self.offset_ is not None, "checked by predict"
        text = prototypes_of(box, self.offset_, "evaluate")
        features = image_features(box, image_set, "evaluate")
        return Answer(box.logit_scale * self.adapted(features) @ text.T)

    def _cause(self) -> str:
        return lower("the prompt or the adapter", self.options, "learning_rate", "adapter_rate")

    def budget(self, images: int, classes: int) -> int:
        """Return the queries of all epochs."""
        return self.work(images, classes).search

    def work(self, images: int, classes: int) -> Work:
        """Return q + 1 contexts a step and the features of each view; see :meth:`Learner.work`."""
        del classes
        options = self.options
        steps = options.epochs * max(1, images // options.batch_size)
        views = min(max(1, len(options.refine_copies)), options.epochs)
        searched, own = steps * (options.directions + 1), 2 * self.gates
        return Work(options.epochs, search=searched, refine=views + own, predict=2 + own)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the tensors that make up the fitted learner, for safetensors."""
        weights = self.adapter_.state_dict() if self.adapter_ else {}
        return super().state() | {f"adapter.{name}": value for name, value in weights.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> Self:
        """Become the learner whose :meth:`state` this is; raises ValueError for a foreign one."""
        super().restore(state)
        if not self.options.adapter:
            return self
        weights = {
            name.removeprefix("adapter."): value
            for name, value in state.items()
            if name.startswith("adapter.")
        }
        if "down.weight" not in weights:
            raise ValueError("state: expected tensors 'adapter.*', got none")
        width = weights["down.weight"].shape[1]
        self.adapter_ = Adapter(width, self.options, torch.Generator())
        self.adapter_.load_state_dict(weights)
        return self


class Asked:
    """Losses of a batch at contexts by one question; keeps the first context's text features."""

    def __init__(
        self, learner: CBBT, box: FeatureBox, images: torch.Tensor, labels: torch.Tensor
    ) -> None:
        self._learner, self._box = learner, box
        self._images, self._labels = images, labels
        self.first = torch.empty(0)

    def __call__(self, points: torch.Tensor) -> torch.Tensor:
        """Return losses (m,) at offsets (m, n), with the current adapter."""
        shape = (self._box.context_length, self._box.context_width)
        losses: list[torch.Tensor] = []
        with torch.no_grad():
            features = self._learner.adapted(self._images)
            for text in self._box.text_features(points.reshape(-1, *shape), "search"):
                if not losses:
                    self.first = text[0]
                logits = self._box.logit_scale * features @ text.transpose(1, 2)  # (B, n, K)
                labels = self._labels.expand(len(text), -1)
                each = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
                losses.append(each.mean(dim=1))
        return torch.cat(losses)

    def loss(self, text: torch.Tensor) -> torch.Tensor:
        """Return the batch's loss () for text features (K, E), with the adapter's gradient."""
        logits = self._box.logit_scale * self._learner.adapted(self._images) @ text.T
        return F.cross_entropy(logits, self._labels)
