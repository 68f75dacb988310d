"""GDA: Gaussian discriminant analysis added to zero-shot (Wang et al., ICLR 2024).

Needs features; nothing is trained. All classes share a covariance, whose shrunk inverse gives the
classifier in closed form.
"""

from __future__ import annotations

import math
from typing import ClassVar, Self

import torch

from craft.learner.base import Progress
from craft.learner.classifier_options import GDAOptions
from craft.learner.feature_classifier import FeatureClassifier
from craft.learner.feature_learner import Shots
from craft.learner.ridge_path import folds_of
from craft.protocol import FeatureBox

#: Candidate weights of the discriminant, for the authors' number of pooled views.
_WEIGHTS = tuple(10.0**exponent for exponent in range(-4, 3))
_VIEWS = 10


class GDA(FeatureClassifier):
    """Scores scale F T^T + alpha (F W + b), alpha chosen on held-out shots."""

    Options: ClassVar[type[GDAOptions]] = GDAOptions
    options: GDAOptions

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
        """Fit the classifier on features of all ``refine_sets``, labels (N,), deterministically."""
        del seed, train_set
        self.offset_ = torch.zeros(1, box.context_length, box.context_width)
        shots = Shots(box)
        for _ in self._generations("fit", 1, shots=shots):
            self._fit(box, shots, labels, refine_sets)
            self._note(queries=self.queries_)
            if progress:
                progress(self)
        if self.weight_ is None:  # resumed behind the queries
            self._fit(box, shots, labels, refine_sets)
        return self

    def _fit(
        self, box: FeatureBox, shots: Shots, labels: torch.Tensor, refine_sets: tuple[str, ...]
    ) -> None:
        views = torch.stack([shots.images(name) for name in refine_sets]).double()  # (V, N, E)
        named = box.logit_scale * shots.prototypes().double().T  # (E, K)
        self._set_gate((views[0] @ named).float(), labels)
        alpha = self.options.classifier_weight
        if alpha is None:
            alpha = chosen_weight(views, named, labels, self.options.folds)
        weight, bias = discriminant(views, labels, named.shape[1])
        self.weight_, self.bias_ = (named + alpha * weight).float(), (alpha * bias).float()


def discriminant(
    views: torch.Tensor, labels: torch.Tensor, classes: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weights (E, K) and biases (K,) of views (V, N, E) of images, labels (N,).

    W = P mu and b = ln(1 / K) - mu P mu / 2 for class means mu and equal priors, with
    P = E pinv((n - 1) S + tr(S) I) for the covariance S of the n = V N rows about their means.
    """
    rows, targets = views.flatten(0, 1), labels.repeat(len(views))
    members = torch.nn.functional.one_hot(targets, classes).to(rows.dtype)  # (n, K)
    means = (members.T @ rows) / members.sum(dim=0).clamp_min(1)[:, None]  # (K, E)
    deviations = rows - means[targets]
    scatter = deviations.T @ deviations  # (n - 1) S
    width = rows.shape[1]
    trace = scatter.diagonal().sum() / max(1, len(rows) - 1)
    shrunk = scatter + trace * torch.eye(width, dtype=rows.dtype, device=rows.device)
    weight = width * torch.linalg.pinv(shrunk, hermitian=True) @ means.T
    return weight, -math.log(classes) - (means * weight.T).sum(dim=1) / 2


def chosen_weight(
    views: torch.Tensor, named: torch.Tensor, labels: torch.Tensor, most: int
) -> float:
    """Return the alpha with the best accuracy on held-out shots, the smallest of equal ones.

    ``views`` (V, N, E), ``named`` (E, K) the zero-shot classifier; at most ``most`` folds. The
    authors choose on validation images, from weights that suit ten views: W grows as n falls. With
    one shot of a class nothing can be held out, and the least weight is taken.
    """
    weights = [alpha * len(views) / _VIEWS for alpha in _WEIGHTS]
    folds = folds_of(labels, most)
    count = int(folds.max()) + 1
    if count == 1:
        return weights[0]
    right = [0] * len(weights)
    for fold in range(count):
        aside, kept = folds == fold, folds != fold
        weight, bias = discriminant(views[:, kept], labels[kept], named.shape[1])
        held_out, targets = views[:, aside].flatten(0, 1), labels[aside].repeat(len(views))
        zero_shot, adapted = held_out @ named, held_out @ weight + bias
        for n, alpha in enumerate(weights):
            right[n] += int(((zero_shot + alpha * adapted).argmax(dim=1) == targets).sum())
    return weights[right.index(max(right))]
